"""What other processes do meanwhile."""

import os
from pathlib import Path

import pytest

from cnnfast.bench import neighbours
from cnnfast.bench.neighbours import Neighbours, busy_seconds, process_seconds


def test_our_own_work_is_not_a_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"wall": 10.0, "all": 100.0, "own": 5.0}
    monkeypatch.setattr(neighbours.time, "monotonic", lambda: clock["wall"])
    monkeypatch.setattr(neighbours, "busy_seconds", lambda: clock["all"])
    monkeypatch.setattr(neighbours, "process_seconds", lambda process: clock["own"] / 2)
    watch = Neighbours([1])
    clock.update(wall=20.0, all=125.0, own=15.0)  # 25 busy seconds in 10, 10 of them ours
    assert watch.busy() == pytest.approx(1.5)
    clock["own"] = 31.0
    assert watch.busy() == 0


@pytest.mark.skipif(not neighbours.STAT.exists(), reason="no /proc here")
def test_the_system_is_read() -> None:
    assert (busy_seconds() or 0) >= process_seconds(os.getpid()) > 0
    assert process_seconds(2**30) == 0


def test_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(neighbours, "STAT", tmp_path / "nothing")
    assert Neighbours([]).busy() is None
