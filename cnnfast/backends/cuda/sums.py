"""Sums over rows and pixels on a device: the problem from arrays, its plan, its run."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Final

from .arrays import DeviceArray, empty
from .kernel import Plan, Row
from .kernels import reduced
from .kernels.functions import Key
from .kernels.reduced import Sums
from .run import run

ROWS: Final[tuple[Row, ...]] = (reduced.ROW,)


@lru_cache(maxsize=1024)
def plan(problem: Sums) -> Plan:
    """The launches of sums."""
    (row,) = ROWS
    return row.plan(problem, row.tiles(problem)[0])


def per_channel(
    key: Key, finish: tuple[str, int], x: DeviceArray, axis: int, operands: Sequence[DeviceArray | None],
    images: bool = False, into: Sequence[DeviceArray] | None = None,
) -> tuple[DeviceArray, ...]:  # fmt: skip
    """Sums over all axes but the channels' (and the images' with `images`). operands: arrays that lie as x does, or
    one-dimensional ones along the channels; None: x's first element of each channel. The images, and an image's
    pixels, follow each other evenly in memory. `into`: where the results go, one place after the other."""
    dims, strides = x.shape, x.strides
    C = dims[axis]
    between = [i for i in range(1, len(dims)) if i != axis and dims[i] != 1]
    area = prod(dims[i] for i in between)
    pixel = strides[between[-1]] if between else 0
    last = strides[axis] == 1 and C > 1
    walks = []
    for each in operands:
        if each is None:
            walks.append((strides[0] if images else 0, strides[axis], 0, 0))
        elif len(each.shape) == 1:
            walks.append((0, each.strides[0], 0, 0))
        elif last and not images:
            walks.append((0, 1, pixel if between else strides[0], 0))  # images follow each other as rows do
        elif last:
            walks.append((strides[0], 1, pixel, 0))
        else:
            walks.append((strides[0], strides[axis], 0, pixel) if images else (0, strides[axis], strides[0], pixel))
    rows = (area if images else dims[0] * area) if last else (1 if images else dims[0])
    count = 2 if finish[0] != "one" else 1
    name = "float64" if x.dtype == "float64" else "float32"
    results = tuple(into or (empty(x, (dims[0], C) if images else (C,), name) for _ in range(count)))
    arrays = [x if each is None else each for each in operands]
    problem = Sums(
        key, finish, dims[0] if images else 1, C, rows, 0 if last else area, tuple(walks),
        tuple(each.dtype for each in (*arrays, *results)), all(each.address % 16 == 0 for each in arrays),
    )  # fmt: skip
    given = {f"x{i}": each for i, each in enumerate(arrays)}
    run(plan(problem), given | {f"y{i}": each for i, each in enumerate(results)}, x)
    return results
