"""`algorithm=` on a device: a row of the op's table there, or the fastest as measured."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from cnnfast.ops import checks, tuning, tuning_file
from cnnfast.ops.device import found, given
from cnnfast.ops.signatures import SIGNATURES
from cnnfast.ops.tuning_file import Key


def algorithms(op: str) -> tuple[str, ...]:
    """The rows of the op's table on a device, the best first."""
    return tuple(row.name for row in found.backend("table").TABLE.get(SIGNATURES[op].table, ()))


def algorithm(op: str, value: object) -> str | None:
    """As `dispatch.algorithm`: a row's name, "tune", or None for "auto"."""
    if isinstance(value, str) and value == "auto":
        return None
    return checks.choice("algorithm", value, ("auto", tuning.TUNE, *algorithms(op)))


def computed(op: str, inputs: given.Inputs, to: given.Target, row: str | None, **keywords: Any) -> Any:
    """`given.compute` by the row that was asked for."""
    if row == tuning.TUNE:
        row = _fastest(op, inputs, to, keywords)
    try:
        return given.compute(op, inputs, to, algorithm=row, **keywords)
    except ValueError:
        if ":" not in (row or ""):
            raise
    return given.compute(op, inputs, to, algorithm=None, **keywords)  # a tile of another version's table


def _fastest(op: str, inputs: given.Inputs, to: given.Target, keywords: Mapping[str, Any]) -> str | None:
    backend = found.backend("run")
    arrays = [None if each is None else (each.shape, each.strides) for each in inputs.values()]
    problem = {"arrays": arrays, "dtype": to.dtype, **keywords}
    frozen = tuple(sorted((name, tuning_file.frozen(value)) for name, value in problem.items()))
    device, architecture = backend.place(to.x)
    key = Key(device, architecture, 0, tuning_file.ON_DEVICE + op, frozen)

    def candidates() -> dict[str, Callable[[], float]]:
        known: dict[str, Callable[[], float]] = {}
        for row in algorithms(op):
            for tile in count():
                name = f"{row}:{tile}"

                def work(name: str = name) -> object:
                    return given.compute(op, inputs, to, algorithm=name, **keywords)

                try:
                    work()
                except ValueError:  # the row does not take the problem, or has no more tiles
                    break
                known[name] = lambda work=work: backend.seconds(work, to.x)  # type: ignore[misc]
        return known

    if not found.takes(found.function(op), "algorithm") or 0 in to.shape:
        return None
    return tuning.best(key, candidates)
