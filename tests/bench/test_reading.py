"""bench.json holds all that the report is drawn from."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from cnnfast.bench import problems, report
from cnnfast.bench.limits import Limit
from cnnfast.bench.photograph import Photograph
from cnnfast.bench.reading import read
from cnnfast.bench.results import Result, Timed
from cnnfast.bench.runner import Options, Outcome

MACHINE = {"cnnfast": "0", "python": "3", "numpy": "2", "isa": "avx2", "threads": 2, "system": "Linux", "cpu": "one",
           "cpus": 2}  # fmt: skip
LIMITS = [
    Limit("fma", "", 0, 2, 200.0), Limit("read", "memory", 8192, 2, 40.0), Limit("copy", "memory", 8192, 2, 30.0),
]  # fmt: skip


def layer(name: str, seconds: float = 1e-3) -> Result:
    (problem,) = problems.select(f"{name}$")
    facts: dict[str, Any] = {"work": 0.3, "packed": 4000, "rows": ["winograd_f43", "direct", "plain"], "tile": [14, 32]}
    ours = [
        Timed("cnnfast", "winograd_f43", chosen=True, seconds=seconds, fastest=0.9 * seconds, samples=8, facts=facts),
        Timed("cnnfast", "direct", seconds=0.5 * seconds, bound_share=math.inf),
        Timed("cnnfast", "plain", estimate=9.0, note="about 9.0 s a call: not timed", checked_on="8x8"),
    ]
    peers = [Timed("torch", seconds=2 * seconds, difference=1e-6), Timed("ncnn", note="died")]
    return Result(problem, ours, peers, Timed("numpy", "reference", seconds=0.5), 190.0, None, 4)


def outcome(*results: Result) -> Outcome:
    left = problems.select("lenet/")
    return Outcome(
        Options(Path("there"), quick=True, only="vgg", seconds=9.0), dict(MACHINE), {"torch": "2.0"}, list(LIMITS),
        Photograph(note="none"), list(results), left, 0.5, 12.0,
    )  # fmt: skip


def written(found: Outcome, folder: Path) -> Path:
    return report.write(found, folder)[0][0]


def test_what_is_read_is_written_the_same(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    path = written(outcome(layer("vgg_1_1"), layer("vgg_3_2")), tmp_path / "a")
    again = written(read([path], tmp_path / "b"), tmp_path / "b")
    assert again.read_text() == path.read_text()
    page = (tmp_path / "a" / "report.html").read_text()
    assert "winograd_f43: 1.000 ms" in page
    assert (tmp_path / "b" / "report.html").read_text() == page


def test_every_median_is_there(tmp_path: Path) -> None:
    data = json.loads(written(outcome(layer("vgg_3_2")), tmp_path).read_text())
    (told,) = data["layers"]
    assert {run["algorithm"]: run["seconds"] for run in told["ours"]} == {
        "winograd_f43": 1e-3, "direct": 0.5e-3, "plain": None,
    }  # fmt: skip
    assert (told["rounds"], told["peers"][0]["seconds"], told["numpy"]["seconds"]) == (4, 2e-3, 0.5)
    assert told["roof_seconds"] == pytest.approx(told["flops"] / 200e9)
    assert told["ours"][0]["roof_seconds"] == pytest.approx(0.3 * told["flops"] / 200e9)
    assert data["choice"]["share"] == 0
    assert data["choice"]["misses"][0]["best"] == "direct"


def test_several_are_put_together(tmp_path: Path) -> None:
    one = outcome(layer("vgg_3_2"), layer("vgg_1_1"))
    two = outcome(layer("vgg_1_1", 2e-3), layer("lenet_c1"))
    two.neighbours = None
    two.limits = [Limit("fma", "", 0, 2, 210.0), Limit("copy", "memory", 8192, 2, 20.0)]
    paths = [written(each, tmp_path / name) for each, name in ((one, "a"), (two, "b"))]
    both = read(paths, tmp_path)
    assert {each.problem.name: each.seconds for each in both.results} == {
        "lenet_c1": 1e-3, "vgg_1_1": 2e-3, "vgg_3_2": 1e-3,
    }  # fmt: skip
    assert [each.problem.name for each in both.results] == ["lenet_c1", "vgg_1_1", "vgg_3_2"]
    assert "lenet_c1" not in [problem.name for problem in both.left_out]
    assert len(both.left_out) == len(problems.select("lenet/")) - 1
    assert [limit.rate for limit in both.limits] == [210.0, 40.0, 30.0]
    assert (both.seconds, both.neighbours) == (24.0, 0.5)


def test_another_machine_and_another_file_are_refused(tmp_path: Path) -> None:
    path = written(outcome(layer("vgg_3_2")), tmp_path / "a")
    data = json.loads(path.read_text())
    other = tmp_path / "other.json"
    for words, change in {
        "of one machine, got .*other.json with isa avx512, not avx2": {"machine": MACHINE | {"isa": "avx512"}},
        "this version, got .*other.json: .*format 1 is not": {"format": 1},
        "KeyError.*layers": {"layers": None},
        "problem must be a line": {"layers": [data["layers"][0] | {"problem": "# nothing"}]},
    }.items():
        kept = {key: value for key, value in (data | change).items() if value is not None}
        other.write_text(json.dumps(kept))
        with pytest.raises(ValueError, match=words):
            read([path, other], tmp_path)
    other.write_text("{")
    with pytest.raises(ValueError, match=r"redraw must name files bench\.json"):
        read([other], tmp_path)
    with pytest.raises(OSError, match=r"no-such"):
        read([tmp_path / "no-such.json"], tmp_path)


def test_pictures_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    found = outcome(layer("vgg_3_2"))
    (tmp_path / "photograph").mkdir()
    (tmp_path / "photograph" / "box.png").write_bytes(b"png")
    found.photograph = Photograph({"box": "elsewhere/photograph/box.png", "lost": "elsewhere/photograph/lost.png"})
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(report.as_json(found) | {"layers": []}))
    assert read([path], tmp_path).photograph.files == {"box": str(tmp_path / "photograph" / "box.png")}
