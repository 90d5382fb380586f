"""A network from an ONNX file: how long it takes here, in the other engines that read such files, and at least."""

import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnfast.ops.arrays import Array

from . import measure
from .found import Seat
from .workers import EngineError, Worker

PREPARE_S = 300.0


@dataclass(frozen=True)
class Row:
    """An engine's latency.

    difference : of its first output from ours, of the largest number there
    error : why there is no latency
    """

    engine: str
    version: str
    seconds: float | None = None
    difference: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """Every engine's row, ours first. `floor` is the least time the machine allows our steps, `gflop` their work."""

    rows: tuple[Row, ...]
    floor: float | None
    gflop: float


def compare(model: Path, inputs: Sequence[Array], seats: Sequence[Seat], threads: int, seconds: float) -> Outcome:
    """Run a model in each engine in turn, in a process each, for about so many seconds."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "inputs").mkdir()
        for i, x in enumerate(inputs):
            np.save(folder / "inputs" / f"{i}.npy", x)
        asked = [stack.enter_context(Worker("ours", threads))]
        asked += [stack.enter_context(Worker(seat.peer.name, threads, seat.python)) for seat in seats if seat.python]
        found = [_prepared(worker, model, folder) for worker in asked]
        measure.in_turns([turn for turn, _, _ in found if not turn.error], seconds)
        ours = found[0][1]
        rows = [_row(worker, turn, y, ours) for worker, (turn, y, _) in zip(asked, found, strict=True)]
        missing = [Row(seat.peer.name, "", error=seat.missing) for seat in seats if not seat.python]
        facts = found[0][2]
        return Outcome((*rows, *missing), facts.get("floor"), facts.get("gflop", 0.0))


def _prepared(worker: Worker, model: Path, folder: Path) -> tuple[measure.Turn, Array | None, dict[str, float]]:
    output = folder / f"{worker.name}.npy"
    try:
        worker.greet()
        answer = worker.ask(
            "prepare",
            PREPARE_S,
            key="model",
            model=str(model.absolute()),
            arrays=str(folder / "inputs"),
            output=str(output),
        )
    except EngineError as error:
        return measure.Turn(list, 0.0, error=str(error)), None, {}
    turn = measure.call_turn(worker, "model", answer["once"], answer["calls"])
    return turn, np.load(output), answer["facts"]


def _row(worker: Worker, turn: measure.Turn, y: Array | None, ours: Array | None) -> Row:
    if y is None or not turn.samples:
        return Row(worker.name, worker.version, error=turn.error or "it was not timed")
    difference = None
    if ours is not None and y.shape == ours.shape and ours.size:
        largest = float(np.abs(ours).max())
        difference = float(np.abs(y - ours).max()) / (largest or 1.0)
    return Row(worker.name, worker.version, statistics.median(turn.samples), difference, turn.error)
