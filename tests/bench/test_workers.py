"""The engines' processes: they answer, they say what is wrong, they may die."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cnnfast.bench import arrays, measure
from cnnfast.bench.problems import parse_line
from cnnfast.bench.steps import steps_of
from cnnfast.bench.workers import EngineError, Worker

LINE = "small: conv2d h12 c4 k6 r3 pad1"


@pytest.fixture
def ours() -> Iterator[Worker]:
    with Worker("ours", threads=1) as worker:
        worker.greet()
        yield worker


def prepare(worker: Worker, folder: Path, algorithm: str = "auto") -> dict[str, object]:
    problem = parse_line(LINE)
    assert problem
    arrays.save(arrays.make(problem), folder / "x")
    return worker.ask(
        "prepare", key="k", line=LINE, steps=steps_of(problem), algorithm=algorithm, arrays=str(folder / "x"),
        output=str(folder / "y.npy"),
    )  # fmt: skip


def test_prepare_and_time(ours: Worker, tmp_path: Path) -> None:
    answer = prepare(ours, tmp_path)
    assert np.load(tmp_path / "y.npy").shape == (1, 12, 12, 6)
    seconds = ours.ask("time", key="k", warm=0.001, samples=3, calls=5)["seconds"]
    assert len(seconds) == 3
    assert min(seconds) > 0
    assert json.dumps(answer)


def test_unsupported_is_told_from_failed(ours: Worker, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="fly") as refused:
        ours.ask("fly")
    assert refused.value.unsupported
    with pytest.raises(EngineError, match="nothing of the kind") as failed:
        ours.ask("time", key="nothing of the kind", warm=0, samples=1, calls=1)
    assert not failed.value.unsupported
    with pytest.raises(EngineError, match=r"algorithm must be one of .* got 'quantum'"):
        prepare(ours, tmp_path, "quantum")


def test_a_death_is_reported_and_survived(ours: Worker, tmp_path: Path) -> None:
    os.kill(ours.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match="SIGKILL"):
        prepare(ours, tmp_path)
    assert prepare(ours, tmp_path)["once"]


def test_what_was_prepared_is_prepared_again(ours: Worker, tmp_path: Path) -> None:
    prepare(ours, tmp_path)
    os.kill(ours.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match="SIGKILL"):
        ours.ask("probe", kind="fma", bytes=0, seconds=0.001)
    assert ours.ask("time", key="k", warm=0, samples=1, calls=1)["seconds"]


def test_a_silence_is_reported_and_survived(ours: Worker, tmp_path: Path) -> None:
    prepare(ours, tmp_path)
    with pytest.raises(EngineError, match="no answer in 0 s"):
        ours.ask("time", timeout=0.2, key="k", warm=30, samples=1, calls=1)
    assert prepare(ours, tmp_path)["once"]


def test_an_engine_that_does_not_load() -> None:
    with Worker("nobody", threads=1) as worker, pytest.raises(EngineError, match="nobody"):
        worker.greet()


def test_an_engine_whose_module_is_missing(tmp_path: Path) -> None:
    (tmp_path / "ncnn.py").write_text("raise ImportError('broken on purpose')\n")
    blocked = Worker("ncnn", threads=1)
    blocked.close()
    sys.path.insert(0, str(tmp_path))
    try:
        with Worker("ncnn", threads=1) as worker, pytest.raises(EngineError, match="broken on purpose"):
            worker.greet()
    finally:
        sys.path.remove(str(tmp_path))


def test_a_stopped_engine_spends_nothing(ours: Worker) -> None:
    state = Path(f"/proc/{ours.pid}/stat")
    if not state.exists():
        pytest.skip("no /proc here")
    ours.ask("release")
    for _ in range(100):
        if state.read_text().rsplit(")", 1)[1].split()[0] == "T":
            return
        time.sleep(0.01)
    pytest.fail("the process was not stopped after its answer")


def test_turns_leave_out_what_fails() -> None:
    calls: list[str] = []

    def good() -> list[float]:
        calls.append("good")
        return [1.0, 3.0]

    def bad() -> list[float]:
        calls.append("bad")
        raise EngineError("ended with signal SIGSEGV")

    turns = [measure.Turn(good, 0.0), measure.Turn(bad, 0.0)]
    rounds = measure.in_turns(turns, seconds=0.0)
    assert rounds == measure.FEWEST_ROUNDS
    assert calls.count("bad") == 1
    assert turns[0].median == 2.0
    assert "SIGSEGV" in turns[1].error


def test_turns_use_the_time_they_have_and_no_more() -> None:
    assert measure.in_turns([measure.Turn(lambda: [1.0], 0.0)], seconds=1e9) == measure.MOST_ROUNDS
