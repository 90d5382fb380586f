"""Maps over arrays on a device: the problem from arrays, its plan, its run."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from .arrays import DeviceArray, empty
from .kernel import Plan, Row
from .kernels import mapped
from .kernels.functions import Key
from .kernels.mapped import Map
from .run import run

ROWS: Final[tuple[Row, ...]] = (mapped.ROW,)


@lru_cache(maxsize=1024)
def plan(problem: Map) -> Plan:
    """The launches of a map."""
    (row,) = ROWS
    return row.plan(problem, row.tiles(problem)[0])


def order(array: DeviceArray) -> tuple[int, ...]:
    """The array's axes from the slowest in memory to the fastest."""
    return tuple(sorted(range(len(array.shape)), key=lambda i: (-array.strides[i], i)))


def broadcast(array: DeviceArray, shape: Sequence[int]) -> tuple[int, ...]:
    """The strides by which an array fills a shape that it broadcasts to."""
    missing = len(shape) - len(array.shape)
    steps = (0 if size == 1 else step for size, step in zip(array.shape, array.strides, strict=True))
    return (*(0,) * missing, *steps)


def along(array: DeviceArray, shape: Sequence[int], axis: int) -> tuple[int, ...]:
    """The strides of a parameter with one value for each place along an axis, or with a single one."""
    steps = [0] * len(shape)
    if array.shape != (1,) and array.shape:
        steps[axis] = array.strides[0]
    return tuple(steps)


def apply(
    key: Key, operands: Sequence[DeviceArray], shape: Sequence[int],
    strides: Sequence[tuple[int, ...] | None] | None = None, out: DeviceArray | None = None,
) -> DeviceArray:  # fmt: skip
    """f of the operands, of `shape`; `strides`: how those operands fill it that do not by NumPy's rule."""
    x = operands[0]
    y = out
    if y is None:
        y = empty(x, shape, order=order(x) if len(x.shape) == len(shape) else None)
    given = strides or [None] * len(operands)
    steps = [each or broadcast(array, shape) for array, each in zip(operands, given, strict=True)]
    sizes, walks = mapped.collapsed(shape, [y.strides, *steps])
    arrays = (y, *operands)
    aligned = all(a.address % 16 == 0 or walk[-1] == 0 for a, walk in zip(arrays, walks, strict=True))
    problem = Map(key, sizes, walks, tuple(a.dtype for a in arrays), aligned)
    run(plan(problem), {"y": y, **{f"x{i}": a for i, a in enumerate(operands, 1)}}, x)
    return y
