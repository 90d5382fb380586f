"""What is derived from the timings, and how it is shown and written."""

import json
import math
import sys
from pathlib import Path

import pytest

from cnnfast.bench import report, tables
from cnnfast.bench.limits import Limit, apart, cache_sizes, working_sets
from cnnfast.bench.photograph import Photograph
from cnnfast.bench.problem import Problem
from cnnfast.bench.problems import parse_line
from cnnfast.bench.results import Result, Timed, geomean, summarise
from cnnfast.bench.runner import Options, Outcome

MACHINE = {
    "cnnfast": "0", "python": "3", "numpy": "2", "machine": "x86_64", "isa": "avx2", "isas": ["baseline", "avx2"],
    "threads": 2, "system": "Linux", "cpu": "a processor", "cpus": 2,
}  # fmt: skip


def problem_of(line: str) -> Problem:
    problem = parse_line(line, "net")
    assert problem is not None
    return problem


def conv(seconds: float = 0.001) -> Result:
    return Result(
        problem_of("layer: conv2d h16 c64 k64 r3 pad1"),  # 18.9 MFLOP
        ours=[
            Timed("cnnfast", "direct", chosen=True, seconds=seconds, bound_share=0.1, alarm_share=0.1),
            Timed("cnnfast", "im2col", seconds=2 * seconds, bound_share=0.1, alarm_share=0.1),
            Timed("cnnfast", "plain", note="about 9.0 s a call: not timed", bound_share=0.2, checked_on="8x8"),
        ],
        peers=[Timed("torch", seconds=0.0011), Timed("ncnn", seconds=0.0009), Timed("litert", note="died")],
        numpy=Timed("numpy", "reference", seconds=0.05),
        peak_gflops=20.0,
    )


def pool() -> Result:
    return Result(
        problem_of("pool: max_pool2d h100 c64 r2"),
        ours=[Timed("cnnfast", "window", chosen=True, seconds=0.0001, bound_share=0.0)],
        copy_gbs=64.0,
    )


def outcome(tmp_path: Path, *results: Result) -> Outcome:
    return Outcome(
        Options(tmp_path), dict(MACHINE), peers={"torch": "2.0", "ncnn": "not installed: pip install ncnn"},
        limits=[
            Limit("fma", "", 0, 1, 10.0), Limit("fma", "", 0, 2, 20.0), Limit("read", "L2", 4096, 2, 90.0, 2**21),
            Limit("copy", "L2", 4096, 2, 64.0, 2**21), Limit("read", "memory", 8192, 2, 9.0),
            Limit("copy", "memory", 8192, 2, 6.0),
        ],
        results=list(results), left_out=[problem_of("rest: conv2d h8 c3 k4 r3")],
        photograph=Photograph(note="no picture today"), seconds=1.0,
    )  # fmt: skip


def test_rates_shares_and_ratios() -> None:
    layer = conv()
    assert layer.gflops(0.001) == pytest.approx(18.874368)
    assert layer.of_limit(0.001) == pytest.approx(18.874368 / 20)
    assert layer.best_peer
    assert layer.best_peer.engine == "ncnn"
    assert layer.ratio == pytest.approx(0.9)
    assert layer.faster_row is None
    assert pool().gflops(0.0001) is None
    assert pool().of_limit(0.0001) == pytest.approx(4 * 64 * (100 * 100 + 50 * 50) / 0.0001 * 1e-9 / 64)


def test_a_choice_that_lags_is_marked() -> None:
    layer = conv()
    layer.ours[1].seconds = 0.0005
    assert layer.faster_row is layer.ours[1]
    assert "direct !" in tables.layer_row(layer)
    layer.ours[1].seconds = 0.00098  # within the noise
    assert layer.faster_row is None


def test_what_is_out_of_bound_is_called_wrong(tmp_path: Path) -> None:
    layer = conv()
    layer.ours[1].bound_share = math.inf
    found = outcome(tmp_path, layer)
    assert found.wrong == ["layer im2col"]
    assert "WRONG: im2col" in tables.layer_row(layer)
    assert any("WRONG: layer im2col" in line for line in tables.closing_lines(found))


def test_nothing_measured_is_shown_as_such() -> None:
    assert tables.layer_row(Result(problem_of("layer: conv2d h8 c3 k4 r3")))[1] == "nothing ran"
    broken = Result(pool().problem, ours=[Timed("cnnfast", "auto", chosen=True, note="ended with signal SIGSEGV")])
    assert "SIGSEGV" in tables.layer_row(broken)[1]
    assert "SIGSEGV" in tables.one_line(broken)
    assert summarise([broken]) == []


def test_summary_is_in_geometric_means() -> None:
    assert geomean([1.0, 4.0]) == pytest.approx(2.0)
    assert geomean([]) is None
    (line,) = summarise([conv(0.001), conv(0.004)])
    assert line.group == "conv2d 3x3"
    assert line.layers == 2
    assert line.of_limit == pytest.approx(18.874368 / 20 / 2)
    assert line.worst_of_limit == pytest.approx(18.874368 / 20 / 4)
    assert line.worst_ratio == pytest.approx(0.9 / 4)
    assert [each.group for each in summarise([conv(), pool()])] == ["conv2d 3x3", "max_pool2d", "all"]


def test_tables_have_a_cell_for_every_column(tmp_path: Path) -> None:
    for _, columns, rows in tables.all_tables(outcome(tmp_path, conv(), pool())):
        assert rows
        assert {len(row) for row in rows} == {len(columns)}
    lines = tables.closing_lines(outcome(tmp_path, conv(), pool()))
    assert any("left out" in line and "rest" in line for line in lines)
    assert any("no picture today" in line for line in lines)


def test_busy_neighbours_put_the_figures_in_doubt(tmp_path: Path) -> None:
    found = outcome(tmp_path, conv())
    found.neighbours = 1.3
    assert any("1.3 processors" in line for line in tables.closing_lines(found))


def test_json_holds_everything_and_no_infinity(tmp_path: Path) -> None:
    layer = conv()
    layer.ours[1].bound_share = math.inf
    written, _ = report.write(outcome(tmp_path, layer, pool()), tmp_path / "new" / "folder")
    data = json.loads(written[0].read_text())
    assert [each["name"] for each in data["layers"]] == ["layer", "pool"]
    assert data["layers"][0]["ours"][0]["seconds"] == 0.001
    assert data["layers"][0]["ratio"] == pytest.approx(0.9)
    assert data["layers"][0]["ours"][1]["bound_share"] == "inf"
    assert data["left_out"] == ["rest"]
    assert data["machine"]["cpu"] == "a processor"


def test_html_is_one_page_with_tables_and_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    written, missing = report.write(outcome(tmp_path, conv(), pool()), tmp_path)
    page = written[1].read_text()
    assert not missing
    assert page.count("<svg") == 3  # roofline, the one network, ratios
    assert "conv2d 3x3" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")


@pytest.mark.parametrize("module", ["matplotlib", "jinja2"])
def test_without_the_extra_there_is_json_and_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.delitem(sys.modules, "cnnfast.bench.plots", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    written, missing = report.write(outcome(tmp_path, conv()), tmp_path)
    assert [path.name for path in written] == ["bench.json"]
    assert 'pip install "cnnfast[plot]"' in missing


def test_working_sets_lie_in_their_level() -> None:
    caches = cache_sizes()
    for threads in (1, 2, 64):
        sets = working_sets(threads)
        assert sets["L1"] < caches["L1"] + 4096
        assert sets["L1"] < sets["L2"] < sets["memory"]
        assert threads * sets["memory"] > caches["L3"]
    for size in (0, 5000, 2**20):
        assert apart(size) // 2 % 4096 == 2048
