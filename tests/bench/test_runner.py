"""Whole runs, short ones."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from cnnfast.bench import measure, problems, runner
from cnnfast.bench.problem import Problem
from cnnfast.bench.results import Result
from cnnfast.bench.runner import Options, schedule
from cnnfast.bench.workers import Worker


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "MOST_ROUNDS", measure.FEWEST_ROUNDS)


class Quiet:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def stage(self, text: str) -> None:
        pass

    def start(self, layers: int) -> None:
        pass

    def layer(self, problem: Problem) -> None:
        pass

    def done(self, result: Result) -> None:
        self.results.append(result)


def options(tmp_path: Path, only: str, seconds: float = 60.0) -> Options:
    return Options(tmp_path, quick=True, only=only, peers="none", seconds=seconds, threads=1)


def test_the_quick_layers_come_first_then_the_networks_in_turns(tmp_path: Path) -> None:
    everything = schedule(Options(tmp_path))
    quick = schedule(Options(tmp_path, quick=True))
    assert all(problem.quick for problem in quick)
    assert everything[: len(quick)] == quick
    assert sorted(p.name for p in everything) == sorted(p.name for p in problems.load())
    rest = everything[len(quick) :]
    assert len({problem.network for problem in rest[:8]}) == 8
    assert {problem.network for problem in schedule(Options(tmp_path, quick=True, only="lenet/"))} == {"lenet"}


def test_results_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    watcher = Quiet()
    outcome = runner.run(options(tmp_path, "lenet_(c1|c3)$"), watcher)
    assert [result.problem.name for result in outcome.results] == ["lenet_c1", "lenet_c3"]
    assert [result.problem.name for result in watcher.results] == ["lenet_c3", "lenet_c1"]
    assert outcome.machine["threads"] == 1
    assert not outcome.wrong
    for result in outcome.results:
        assert result.peak_gflops
        assert result.rounds >= 2
        assert result.numpy
        assert result.numpy.seconds
        assert all(run.seconds or run.estimate for run in result.ours)


def test_what_does_not_fit_the_time_is_named(tmp_path: Path) -> None:
    outcome = runner.run(options(tmp_path, "lenet/", seconds=0.001), Quiet())
    assert outcome.results == []
    assert len(outcome.left_out) == 5


def test_a_crash_costs_its_own_figures_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Worker.ask

    def dying(self: Worker, command: str, timeout: float = 60, **request: Any) -> Any:
        if command == "prepare" and request["algorithm"] == "im2col":
            os.kill(self.pid, signal.SIGKILL)
        return ask(self, command, timeout, **request)

    monkeypatch.setattr(Worker, "ask", dying)
    (result,) = runner.run(options(tmp_path, "lenet_c3$"), Quiet()).results
    assert result.pick
    assert result.pick.seconds
    assert not result.pick.note
    crashed = next(run for run in result.ours if run.algorithm == "im2col")
    assert crashed.seconds is None
    assert "SIGKILL" in crashed.note


def test_ctrl_c_leaves_out_the_rest_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: object, seconds: float) -> Result:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner.Layer, "run", interrupt)
    outcome = runner.run(options(tmp_path, "lenet_(c1|c3)$"), Quiet())
    assert outcome.interrupted
    assert {problem.name for problem in outcome.left_out} == {"lenet_c1", "lenet_c3"}
