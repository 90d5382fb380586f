"""Where a network's time goes: its steps run one by one, each with what it multiplies, moves, and could not beat."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnfast.backends import native
from cnnfast.graph.executable import Executable
from cnnfast.graph.steps import Step
from cnnfast.ops import runtime
from cnnfast.ops.arrays import Array

from . import limits
from .roof import Roof, roof_of

LIMITS_S, WARM_S, PEAK_S = 1.0, 0.02, 0.02


@dataclass(frozen=True)
class Part:
    """A step of a program: one node, or several that run as one.

    seconds : the median of its runs
    flops : of the definition, a multiply-add as two; 0 where the step is not the engine's
    read, written : bytes, everything touched once
    floor : the least time the machine's limits allow the algorithm; None where they were not measured
    """

    name: str
    op: str
    algorithm: str
    seconds: float
    flops: float
    read: float
    written: float
    floor: float | None


@dataclass(frozen=True)
class Profile:
    """A network's steps in the order of their run; `whole` is the time of a run of all, in one call."""

    parts: tuple[Part, ...]
    whole: float
    roof: Roof | None

    @property
    def floor(self) -> float | None:
        """The floors of all steps together."""
        floors = [part.floor for part in self.parts if part.floor is not None]
        return sum(floors) if len(floors) == len(self.parts) else None


class _Here:
    """The probes in this process, for `limits.measure`."""

    def ask(self, command: str, *, kind: str, bytes: int, seconds: float, threads: int) -> dict[str, float]:
        native.probe(kind, bytes, WARM_S, threads)
        return {"rate": native.probe(kind, bytes, seconds, threads)}


def profile(executable: Executable, inputs: Sequence[Array], runs: int) -> Profile:
    """Run an executable so many times, step by step, and measure the machine's limits meanwhile."""
    threads, peaks = runtime.get_num_threads(), list[float]()
    known = list(limits.measure(_Here(), threads, LIMITS_S))  # type: ignore[arg-type]
    steps = executable.one_by_one(inputs)
    samples: list[list[float]] = [[] for _ in steps]
    for i in range(runs + 1):
        if i % 4 == 0:  # noise only lowers it: the greatest counts
            peaks.append(native.probe("fma", 0, PEAK_S, threads))
        for (_, call), taken in zip(steps, samples, strict=True):
            start = time.perf_counter()
            call()
            if i:  # the first run touches the memory
                taken.append(time.perf_counter() - start)
    roof = roof_of(known, peaks)
    parts = [
        _part(executable, step, statistics.median(taken), roof) for (step, _), taken in zip(steps, samples, strict=True)
    ]
    executable.run(inputs)
    whole = []
    for _ in range(runs):
        start = time.perf_counter()
        executable.run(inputs)
        whole.append(time.perf_counter() - start)
    return Profile(tuple(parts), statistics.median(whole), roof)


def _part(executable: Executable, step: Step, seconds: float, roof: Roof | None) -> Part:
    explain = getattr(step.run, "explain", None)
    why: Any = explain() if explain else None
    written = float(sum(_size(executable, value) for value in step.targets))
    read = float(sum(_size(executable, value) for value in step.sources)) + (why.packed_size if why else 0)
    flops = why.flops if why else 0.0
    own = next((row.flops for row in why.candidates if row.algorithm == why.algorithm), flops) if why else 0.0
    floor = roof.seconds(min(own or flops, flops), max(read, 1), max(written, 1)) if roof else None
    op = " + ".join(node.op.removeprefix("onnx.").partition("@")[0] for node in step.nodes)
    name = step.nodes[0].name or step.nodes[0].outputs[0]
    return Part(name, op, why.algorithm if why else "numpy", seconds, flops, read, written, floor)


def _size(executable: Executable, value: str) -> int:
    """Bytes of a value; 0 where they are not known beforehand."""
    constant = executable.program.constants.get(value)
    if constant is not None:
        return constant.nbytes
    spec = executable.program.specs.get(value)
    return spec.size * spec.dtype.itemsize if spec else 0


def trace(found: Profile) -> list[dict[str, Any]]:
    """The steps as events of Chrome's trace format, one behind the other: for chrome://tracing or ui.perfetto.dev.

    https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
    """
    events, at = [], 0.0
    for part in found.parts:
        events.append({
            "name": part.name, "cat": part.op, "ph": "X", "ts": 1e6 * at, "dur": 1e6 * part.seconds, "pid": 0, "tid": 0,
            "args": {"op": part.op, "algorithm": part.algorithm, "flops": part.flops, "read": part.read,
                     "written": part.written},
        })  # fmt: skip
        at += part.seconds
    return events
