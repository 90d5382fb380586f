"""Timing in turns: A B C A B C ..., so that a machine that slows down slows all of them, and ratios stay."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .workers import EngineError, Worker

GAP_S = 0.003  # between turns
WARM_S = 0.03  # of calls that do not count at the start of a turn: a process just woken has its threads on one core
SAMPLES = 2  # a turn
SLOW_S = 0.1  # calls as long as this need no warming, and one is a sample
FEWEST_ROUNDS, MOST_ROUNDS = 2, 15


@dataclass
class Turn:
    """Something to be timed: `take()` gives a few samples; `seconds` is about what a turn takes."""

    take: Callable[[], list[float]]
    seconds: float
    samples: list[float] = field(default_factory=list)
    error: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


def call_turn(worker: Worker, key: str, once: float, calls: int) -> Turn:
    """A turn that times a prepared runnable; samples are seconds a call."""
    slow = once >= SLOW_S
    warm, samples = (0.0, 1) if slow else (WARM_S, SAMPLES)

    def take() -> list[float]:
        answer = worker.ask("time", key=key, warm=warm, samples=samples, calls=calls)
        seconds: list[float] = answer["seconds"]
        return seconds

    return Turn(take, warm + samples * calls * once + GAP_S)


def probe_turn(worker: Worker, kind: str, bytes_per_thread: int = 0, seconds: float = 0.02) -> Turn:
    """A turn that measures a limit of the machine; samples are GFLOP/s or GB/s."""

    def take() -> list[float]:
        return [float(worker.ask("probe", kind=kind, bytes=bytes_per_thread, seconds=seconds)["rate"])]

    return Turn(take, WARM_S + seconds + GAP_S)


def in_turns(turns: list[Turn], seconds: float) -> int:
    """Take turns for about so many seconds and return the rounds made; a turn that fails is left out from then on."""
    start, longest = time.perf_counter(), sum(turn.seconds for turn in turns)
    for done in range(1, MOST_ROUNDS + 1):
        for turn in turns:
            if turn.error:
                continue
            time.sleep(GAP_S)
            try:
                turn.samples += turn.take()
            except EngineError as error:
                turn.error = str(error)
        spent = time.perf_counter() - start
        if done >= FEWEST_ROUNDS and spent + max(spent / done, min(longest, spent)) > seconds:
            break
    return done
