"""One problem from start to end: make its numbers, prepare every engine, judge the outputs, time all in turns."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import arrays, limits, measure
from .problem import Problem
from .results import Result, Timed
from .steps import steps_of
from .workers import EngineError, Worker

MOST_CROPPED_WORK = 40_000_000  # multiply-adds that tell whether a row is too slow for the whole problem
FAR_OFF = 1e-3  # a peer this far from our output, relative to its largest value, did something else


@dataclass(frozen=True)
class Engines:
    """The processes of a run."""

    ours: Worker
    reference: Worker
    peers: tuple[Worker, ...]


@dataclass(frozen=True)
class Patience:
    """How long things may take, in seconds: one call of an algorithm, and the NumPy reference."""

    call: float
    numpy: float


class Layer:
    """The work on one problem; `run` gives its result."""

    def __init__(self, problem: Problem, engines: Engines, patience: Patience, folder: Path) -> None:
        self.problem, self.engines, self.patience, self.folder = problem, engines, patience, folder
        self.result = Result(problem)
        self.turns: list[tuple[Timed, measure.Turn]] = []
        self.judged: dict[str, Path] = {}

    def run(self, seconds: float) -> Result:
        """Everything, in about `seconds`; what must be done once is done however long it takes."""
        start = time.perf_counter()
        arrays.save(arrays.make(self.problem), self.folder / "x")
        self.prepare_ours()
        for worker in self.engines.peers:
            self.prepare_peer(worker)
        self.judge()
        limit = self.limit_turn()
        everything = [turn for _, turn in self.turns] + [limit]
        self.result.rounds = measure.in_turns(everything, seconds - (time.perf_counter() - start))
        self.take_medians(limit)
        self.time_numpy()
        for worker in (self.engines.ours, *self.engines.peers):
            with contextlib.suppress(EngineError):  # it died, and has nothing left
                worker.ask("release")
        return self.result

    def prepare_ours(self) -> None:
        """What auto picks, and every other row of the table that takes the problem."""
        chosen = Timed("cnnfast", "auto", chosen=True)
        self.result.ours.append(chosen)
        self.prepare(self.engines.ours, chosen, self.problem, "x")
        if chosen.note:
            return
        chosen.algorithm = chosen.facts["algorithm"]
        others = [row for row in chosen.facts["rows"] if row != chosen.algorithm]
        self.judged[chosen.algorithm] = self.output(chosen)
        for row in others:
            self.prepare_other(Timed("cnnfast", row))

    def prepare_other(self, run: Timed) -> None:
        """A row that auto did not pick may be a thousand times slower: see on a smaller picture first."""
        small = self.problem.cropped(MOST_CROPPED_WORK)
        if small != self.problem:
            arrays.save(arrays.make(small), self.folder / "small")
            once = self.prepare(self.engines.ours, run, small, "small")
            estimate = (once or 0) * self.problem.steps_of_work / small.steps_of_work
            if once is not None:
                self.turns.pop()
            if estimate > self.patience.call:
                run.estimate, run.checked_on = estimate, f"{small.h}x{small.w}"
                run.note = f"about {estimate:.1f} s a call: not timed"
                self.judge_small(run, small)
        if not run.note:
            self.prepare(self.engines.ours, run, self.problem, "x")
        self.result.ours.append(run)
        if not run.note:
            self.judged[run.algorithm] = self.output(run)

    def prepare_peer(self, worker: Worker) -> None:
        run = Timed(worker.name)
        self.result.peers.append(run)
        if self.prepare(worker, run, self.problem, "x") is None or not self.judged:
            return
        ours, theirs = np.load(self.output(self.result.ours[0])), np.load(self.output(run))
        run.difference = float(np.abs(ours - theirs).max() / max(float(np.abs(ours).max()), 1e-30))
        if not run.difference < FAR_OFF:
            run.note = f"another result: off by {run.difference:.1e}"
            self.turns.pop()

    def prepare(self, worker: Worker, run: Timed, problem: Problem, folder: str) -> float | None:
        """Have the engine ready, its output written and a turn planned; seconds of a call, or None and a note."""
        key = f"{run.algorithm} {folder}"
        try:
            answer = worker.ask(
                "prepare", key=key, line=problem.line, steps=steps_of(problem), algorithm=run.algorithm,
                arrays=str(self.folder / folder), output=str(self.output(run)),
            )  # fmt: skip
        except EngineError as error:
            run.note = str(error)
            return None
        run.facts = answer["facts"]
        self.turns.append((run, measure.call_turn(worker, key, answer["once"], answer["calls"])))
        return float(answer["once"])

    def output(self, run: Timed) -> Path:
        if run.engine == "cnnfast":
            return self.folder / f"y-cnnfast-{'chosen' if run.chosen else run.algorithm}.npy"
        return self.folder / f"y-{run.engine}.npy"

    def judge(self) -> None:
        """Every algorithm's output against the oracle."""
        if not self.judged:
            return
        verdicts = self.ask_oracle("judge", self.problem, "x", outputs={k: str(v) for k, v in self.judged.items()})
        for run in self.result.ours:
            if run.algorithm in verdicts:
                self.enter(run, verdicts[run.algorithm])

    def judge_small(self, run: Timed, small: Problem) -> None:
        verdicts = self.ask_oracle("judge", small, "small", outputs={run.algorithm: str(self.output(run))})
        if run.algorithm in verdicts:
            self.enter(run, verdicts[run.algorithm])

    @staticmethod
    def enter(run: Timed, verdict: dict[str, float]) -> None:
        run.bound_share, run.alarm_share = verdict["bound_share"], verdict["alarm_share"]

    def ask_oracle(self, command: str, problem: Problem, folder: str, **more: Any) -> dict[str, dict[str, float]]:
        try:
            return self.engines.reference.ask(command, line=problem.line, arrays=str(self.folder / folder), **more)
        except EngineError as error:
            for run in self.result.ours:
                run.note = run.note or f"not checked: {error}"
            return {}

    def limit_turn(self) -> measure.Turn:
        """The limit this problem is held against, measured between the turns of the engines."""
        worker = self.engines.ours
        if self.problem.bandwidth_bound:
            return measure.probe_turn(worker, "copy", limits.apart(self.problem.bytes // worker.threads))
        return measure.probe_turn(worker, "fma")

    def take_medians(self, limit: measure.Turn) -> None:
        for run, turn in self.turns:
            run.note = run.note or turn.error
            run.samples = len(turn.samples)
            if turn.samples and not turn.error:
                run.seconds, run.fastest = turn.median, min(turn.samples)
        if limit.samples:
            setattr(self.result, "copy_gbs" if self.problem.bandwidth_bound else "peak_gflops", limit.median)

    def time_numpy(self) -> None:
        """Once: it is a floor, not a rival."""
        self.result.numpy = run = Timed("numpy", "reference", samples=1)
        try:
            answer = self.engines.reference.ask(
                "once", line=self.problem.line, arrays=str(self.folder / "x"), limit=self.patience.numpy
            )
        except EngineError as error:
            run.note = str(error)
            return
        run.seconds = answer.get("seconds")
        if run.seconds is None:
            run.note = f"about {answer['estimate']:.1f} s: not timed"
