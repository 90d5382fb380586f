"""algorithm="tune": the fastest measured row, remembered, kept in files, never looked at by "auto"."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native
from cnnfast.ops import stopwatch, tuning, tuning_file

X = np.random.default_rng(0).standard_normal((2, 9, 8, 6), dtype=np.float32)
W = np.random.default_rng(1).standard_normal((3, 3, 6, 4), dtype=np.float32)
DW, PW = np.ones((3, 3, 6, 1), np.float32), np.ones((1, 1, 6, 5), np.float32)
CALLS: dict[str, tuple[Any, ...]] = {
    "conv2d": (X, W), "depthwise_conv2d": (X, DW), "separable_conv2d": (X, DW, PW),
    "inverted_residual2d": (X, np.ones((1, 1, 6, 6), np.float32), DW, PW), "conv2d_max_pool2d": (X, W),
    "conv_transpose2d": (X, np.ones((2, 2, 4, 6), np.float32)), "max_pool2d": (X, 2), "min_pool2d": (X, 2),
    "avg_pool2d": (X, 2), "lp_pool2d": (X, 2.0, 2), "global_avg_pool2d": (X,), "global_max_pool2d": (X,),
    "adaptive_avg_pool2d": (X, 3), "adaptive_max_pool2d": (X, 3), "conv1d": (X[0], W[0]),
    "conv3d": (X[np.newaxis], W[np.newaxis]), "max_pool1d": (X[0], 2), "avg_pool1d": (X[0], 2),
    "max_pool3d": (X[np.newaxis], 2), "avg_pool3d": (X[np.newaxis], 2),
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    isa, threads = native.isa(), native.get_num_threads()
    monkeypatch.setattr(tuning, "_known", {})
    tuning._loads += 1  # cached pools of other tests are of no use
    monkeypatch.delenv("CNNFAST_CACHE_DIR", raising=False)
    yield
    native.set_isa(isa)
    native.set_num_threads(threads)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Which rows each measurement had; `fastest` says that im2col is the fastest, or else the last."""
    asked: list[tuple[str, ...]] = []

    def fastest(runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
        asked.append(tuple(runs))
        for run in runs.values():
            assert run()
        best = "im2col" if "im2col" in runs else list(runs)[-1]
        return {name: 1e-6 if name == best else 2e-6 for name in runs}

    monkeypatch.setattr(tuning, "fastest", fastest)
    return asked


def plan(algorithm: str = "tune", **keywords: Any) -> str:
    """The row of a plan."""
    return cnnfast.plan_conv2d(X.shape, W, algorithm=algorithm, **keywords).explain().algorithm


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("op", CALLS)
def test_every_op_with_algorithms_tunes(op: str) -> None:
    function = getattr(cnnfast, op)
    right = function(*CALLS[op])
    for _ in range(2):
        assert np.array_equal(function(*CALLS[op], algorithm="tune"), right)


def test_integers_and_indices_tune(measured: list[tuple[str, ...]]) -> None:
    x = np.arange(32, dtype=np.uint8).reshape(1, 4, 4, 2)
    y, at = cnnfast.max_pool2d(x, 2, return_indices=True, algorithm="tune")
    assert np.array_equal(y, cnnfast.max_pool2d(x, 2))
    assert at.shape == y.shape
    z = cnnfast.conv2d(x, np.ones((1, 1, 2, 1), np.int8), algorithm="tune")
    assert z.ravel().tolist() == x.astype(int).sum(axis=-1).ravel().tolist()
    assert all(len(rows) > 1 for rows in measured)  # one row is no choice


def test_every_row_is_measured_once_and_the_fastest_taken(measured: list[tuple[str, ...]]) -> None:
    rows = tuple(row.algorithm for row in cnnfast.plan_conv2d(X.shape, W).explain().candidates if row.accepts)
    assert plan() == plan() == "im2col"
    assert measured == [rows]
    assert tuning.known()[0].microseconds["im2col"] == 1.0
    assert plan("auto") == cnnfast.plan_conv2d(X.shape, W).explain().algorithm != "im2col"


def test_the_stopwatch_finds_the_fastest() -> None:
    clock = [0.0]

    def taking(seconds: float) -> Callable[[], None]:
        def run() -> None:
            clock[0] += seconds

        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stopwatch.time, "perf_counter", lambda: clock[0])
        found = stopwatch.fastest({"slow": taking(2e-3), "fast": taking(1e-3), "hopeless": taking(1.0)})
        assert min(found, key=found.__getitem__) == "fast"
        assert found == pytest.approx({"slow": 2e-3, "fast": 1e-3, "hopeless": 1.0})
        assert clock[0] < 1.5  # the hopeless one ran once


@pytest.mark.parametrize(
    "keywords",
    [{"stride": 2}, {"padding": 1}, {"dilation": 2}, {"padding": 1, "padding_mode": "reflect"}, {"activation": "relu"},
     {"activation": ("leaky_relu", 0.3)}, {"bias": np.ones(4)}, {"max_workspace": 10**9}, {"dtype": "float64"}],
    ids=str,
)  # fmt: skip
def test_another_problem_is_measured_anew(keywords: dict[str, Any], measured: list[tuple[str, ...]]) -> None:
    plan()
    plan(**keywords)
    plan(**keywords)
    assert len(measured) == len(tuning.known()) == 2


def test_another_batch_thread_count_and_isa_are_measured_anew(measured: list[tuple[str, ...]]) -> None:
    plan()
    cnnfast.plan_conv2d((5, *X.shape[1:]), W, algorithm="tune")
    native.set_num_threads(native.get_num_threads() + 1)
    plan()
    others = [isa for isa in native.isas() if isa != native.isa()]
    for isa in others:
        native.set_isa(isa)
        plan()
    assert len(measured) == 3 + len(others)


def test_what_max_workspace_refuses_is_not_measured(measured: list[tuple[str, ...]]) -> None:
    candidates = cnnfast.plan_conv2d(X.shape, W).explain().candidates
    sizes = sorted(row.needed_size for row in candidates if row.accepts)
    assert sizes[0] < sizes[-1]
    plan(max_workspace=sizes[-1] - 1)
    cnnfast.set_max_workspace(sizes[-1] - 1)
    plan()  # the same problem
    cnnfast.set_max_workspace(None)
    fitting = {row.algorithm for row in candidates if row.accepts and row.needed_size < sizes[-1]}
    assert [set(rows) for rows in measured] == [fitting] * (len(fitting) > 1)


def test_pools_are_measured_again_after_a_load(measured: list[tuple[str, ...]], tmp_path: Path) -> None:
    cnnfast.max_pool2d(X, 2, algorithm="tune")
    cnnfast.save_tuning(tmp_path / "t.json")
    data = json.loads((tmp_path / "t.json").read_text())
    data["results"][0]["algorithm"] = "window"
    (tmp_path / "t.json").write_text(json.dumps(data))
    cnnfast.max_pool2d(X, 2, algorithm="tune")
    assert cnnfast.load_tuning(tmp_path / "t.json") == 1
    cnnfast.max_pool2d(X, 2, algorithm="tune")
    assert [entry.algorithm for entry in tuning.known()] == ["window"]
    assert len(measured) == 1


def test_a_file_saves_the_measuring(measured: list[tuple[str, ...]], tmp_path: Path) -> None:
    plan()
    cnnfast.conv_transpose2d(*CALLS["conv_transpose2d"], algorithm="tune")
    path = tmp_path / "tuning.json"
    assert cnnfast.save_tuning(path) == 2
    assert os.listdir(tmp_path) == ["tuning.json"]
    before = tuning.known()
    tuning._known.clear()
    assert cnnfast.load_tuning(str(path)) == 2
    assert tuning.known() == before
    assert plan() == "im2col"
    assert len(measured) == 2
    assert plan("auto") != "im2col"


def test_a_row_that_takes_the_problem_no_more_is_measured_anew(measured: list[tuple[str, ...]], tmp_path: Path) -> None:
    plan()
    cnnfast.save_tuning(tmp_path / "t.json")
    data = json.loads((tmp_path / "t.json").read_text())
    data["results"][0]["algorithm"] = "depthwise"  # six channels in one group: it refuses
    (tmp_path / "t.json").write_text(json.dumps(data))
    cnnfast.load_tuning(tmp_path / "t.json")
    assert plan() == "im2col"
    assert len(measured) == 2
    assert tuning.known()[0].algorithm == "im2col"


GOOD = {
    "cpu": "x", "isa": "avx2", "threads": 1, "op": "conv2d", "problem": {"x": [1, 2]}, "algorithm": "direct",
    "microseconds": {"direct": 1.5},
}  # fmt: skip


def text(**changes: Any) -> str:
    return json.dumps({"format": "cnnfast tuning", "version": 1, "results": [GOOD, GOOD | changes]})


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "must be a tuning file in JSON"), (text()[:-20], "in JSON"), ("\x00\xff", "in JSON"), 
        ("[" * 10**5, "JSON"),
        ("[]", "tuning file of cnnfast"), ("{}", "tuning file of cnnfast"),
        (json.dumps({"format": "cnnfast tuning", "version": 1, "results": {}}), "tuning file of cnnfast"),
        (text().replace('"version": 1', '"version": 2'), "must be of version 1, got 2: tune again"),
        (text(algorithm="quantum"), 'result 1: algorithm must be one of direct, im2col'),
        (text(microseconds={"quantum": 1.0}), "got 'quantum'"), (text(microseconds={"direct": "x"}), "must be numbers"),
        (text(op="conv9d"), "result 1: op must be one that has algorithms, got 'conv9d'"), (text(op=""), "op must be"),
        (text(threads="1"), "threads must be of type int"), (text(threads=True), "threads must be of type int"),
        (text(problem=[]), "problem must be of type dict"), (text(problem={"x": {}}), "problem must hold names"),
        (text(more=1), "result 1: a result must have"), (text(cpu=None), "cpu must be of type str"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_and_nothing_is_lost(
    content: str, rule: str, tmp_path: Path, measured: list[tuple[str, ...]]
) -> None:
    plan()
    before = tuning.known()
    path = tmp_path / "t.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=r"t\.json") as told:
        cnnfast.load_tuning(path)
    assert rule in str(told.value)
    assert tuning.known() == before
    assert plan() == "im2col"
    assert len(measured) == 1


def test_no_file() -> None:
    with pytest.raises(FileNotFoundError):
        cnnfast.load_tuning("/no/such/file")
    with pytest.raises(FileNotFoundError):
        cnnfast.save_tuning("/no/such/folder/file")


def test_the_cache_folder_keeps_results(
    measured: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNFAST_CACHE_DIR", str(tmp_path / "new" / "folder"))
    plan()
    tuning._known.clear()  # as another process
    assert plan() == "im2col"
    assert len(measured) == 1
    (file,) = (tmp_path / "new" / "folder" / "tuning").iterdir()
    assert [entry.algorithm for entry in tuning_file.read(file)] == ["im2col"]
    file.write_text(file.read_text()[:50])
    tuning._known.clear()
    with pytest.raises(ValueError, match="must be a tuning file in JSON"):
        plan()


def test_a_cache_folder_that_cannot_be_is_a_warning(
    measured: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNNFAST_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="CNNFAST_CACHE_DIR"):
        assert plan() == "im2col"
    assert plan() == "im2col"


def test_many_threads_tune_at_once(measured: list[tuple[str, ...]]) -> None:
    shapes = [(n, 9, 8, 6) for n in (1, 2, 3)] * 8
    with ThreadPoolExecutor(8) as threads:
        plans = list(threads.map(lambda shape: cnnfast.plan_conv2d(shape, W, algorithm="tune"), shapes))
    assert {made.explain().algorithm for made in plans} == {"im2col"}
    assert len(measured) == 3


def test_a_fork_while_another_thread_measures_can_tune(measured: list[tuple[str, ...]]) -> None:
    with tuning._measuring:
        child = os.fork()
        if child == 0:
            os._exit(0 if plan() == "im2col" else 1)
    assert os.waitpid(child, 0)[1] == 0
