"""`cnnfast bench`: limits, photograph, layers, each within its share of the time."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

from . import found, limits, machine, photograph, problems
from .layer import Engines, Layer, Patience
from .limits import Limit
from .neighbours import Neighbours
from .photograph import Photograph
from .problem import Problem
from .results import Result
from .roof import Roof, roof_of
from .workers import EngineError, Worker

QUICK_S, DEFAULT_S = 48.0, 280.0  # of measuring, so that with the report it ends within one minute and within five
REPORT_S = 4.0  # kept for the table and the plots
LEAST_LAYER_S = 0.15  # what preparing and judging the smallest layer takes


@dataclass(frozen=True)
class Options:
    """What the command line asks for; `threads` 0 means as many as cnnfast uses by itself."""

    out: Path
    quick: bool = False
    threads: int = 0
    only: str = ""
    peers: str | None = None
    peer_python: str | None = None
    seconds: float = 0.0

    @property
    def budget(self) -> float:
        return self.seconds or (QUICK_S if self.quick else DEFAULT_S)


class Watcher(Protocol):
    """Is told how the run goes; `cnnfast.cli` shows it."""

    def stage(self, text: str) -> None: ...
    def start(self, layers: int) -> None: ...
    def layer(self, problem: Problem) -> None: ...
    def done(self, result: Result) -> None: ...


@dataclass
class Outcome:
    """All that a run found."""

    options: Options
    machine: dict[str, Any]
    peers: dict[str, str] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)
    photograph: Photograph = field(default_factory=Photograph)
    results: list[Result] = field(default_factory=list)
    left_out: list[Problem] = field(default_factory=list)
    neighbours: float | None = None
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def roof(self) -> Roof | None:
        return roof_of(self.limits, (each.peak_gflops for each in self.results))

    @property
    def wrong(self) -> list[str]:
        """What was out of its bound, in words."""
        layers = [f"{each.problem.name} {run.algorithm}" for each in self.results for run in each.wrong]
        return layers + (["the photograph"] if (self.photograph.bound_share or 0) > 1 else [])


def run(options: Options, watcher: Watcher) -> Outcome:
    """The whole benchmark.

    Raises:
        ValueError, OSError: options that cannot be met, or no folder to write to; nothing has been measured.
        EngineError: cnnfast itself cannot run in a process of its own.
    """
    start = time.perf_counter()
    wanted = schedule(options)
    seats = found.choose(options.peers, options.peer_python)
    options.out.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(options, machine.facts())
    threads = options.threads or int(outcome.machine["threads"])
    outcome.machine["threads"] = threads
    watcher.stage("starting the engines")
    with engines(threads, seats, outcome) as ready:
        watcher.stage("measuring the limits of the machine")
        outcome.limits = list(limits.measure(ready.ours, threads, 1.5 if options.quick else 6.0))
        watcher.stage("filtering the photograph")
        outcome.photograph = photograph.run(options.out / "photograph")
        neighbours = Neighbours(worker.pid for worker in (ready.ours, ready.reference, *ready.peers))
        measure_layers(wanted, ready, outcome, start + options.budget - REPORT_S, watcher)
        outcome.neighbours = neighbours.busy()
    in_order = {problem.name: i for i, problem in enumerate(problems.load())}
    outcome.results.sort(key=lambda result: in_order[result.problem.name])
    outcome.seconds = time.perf_counter() - start
    return outcome


def measure_layers(wanted: list[Problem], ready: Engines, outcome: Outcome, deadline: float, watcher: Watcher) -> None:
    """One layer after the other; each may take its share of the time that is left. Ctrl-C leaves out the rest."""
    patience = Patience(0.04, 0.3) if outcome.options.quick else Patience(0.15, 1.0)
    watcher.start(len(wanted))
    for i, problem in enumerate(wanted):
        left = deadline - time.perf_counter()
        if left < least_seconds(problem, outcome, len(ready.peers)):
            outcome.left_out.append(problem)
            continue
        watcher.layer(problem)
        try:
            with tempfile.TemporaryDirectory(prefix="cnnfast-bench-") as folder:
                result = Layer(problem, ready, patience, Path(folder)).run(left / (len(wanted) - i))
        except KeyboardInterrupt:
            outcome.interrupted = True
            outcome.left_out += wanted[i:]
            return
        outcome.results.append(result)
        watcher.done(result)


def schedule(options: Options) -> list[Problem]:
    """What to measure, most telling first: the quick ones, then the rest, each with the networks in turns, so that what
    does not fit is missing everywhere a little.

    `only` decides alone where it is given; else `quick` takes the problems marked so.
    """
    chosen = problems.select(options.only)
    quick = [problem for problem in chosen if problem.quick]
    rest = [problem for problem in chosen if not problem.quick]
    return in_turns(quick) + ([] if options.quick and not options.only else in_turns(rest))


def in_turns(chosen: list[Problem]) -> list[Problem]:
    """The first of each network, then the second of each, and so on."""
    networks: dict[str, list[Problem]] = {}
    for problem in chosen:
        networks.setdefault(problem.network, []).append(problem)
    return [problem for row in zip_longest(*networks.values()) for problem in row if problem is not None]


def least_seconds(problem: Problem, outcome: Outcome, peers: int) -> float:
    """A guess at what the layer takes at the very least: two rounds of every engine at half the machine's speed."""
    peak = max((limit.rate for limit in outcome.limits if limit.kind == "fma"), default=100.0) * 1e9
    memory = min((limit.rate for limit in outcome.limits if limit.kind == "copy"), default=10.0) * 1e9
    call = 2 * problem.flops / peak + problem.bytes / memory
    return LEAST_LAYER_S + (3 + peers) * (5 * call + 0.08)


@contextlib.contextmanager
def engines(threads: int, seats: list[found.Seat], outcome: Outcome) -> Iterator[Engines]:
    """Every engine's process, started together; a peer that does not load is left out and says why."""
    with contextlib.ExitStack() as stack:
        ours, reference = (stack.enter_context(Worker(name, threads)) for name in ("ours", "reference"))
        peers = [stack.enter_context(Worker(seat.peer.name, threads, seat.python)) for seat in seats if seat.python]
        outcome.peers = {seat.peer.name: seat.missing for seat in seats}
        for worker in (ours, reference):
            worker.greet()
        able = []
        for worker in peers:
            try:
                worker.greet()
                able.append(worker)
                outcome.peers[worker.name] = worker.version
            except (EngineError, OSError) as error:
                outcome.peers[worker.name] = f"does not load: {error}"
        yield Engines(ours, reference, tuple(able))
