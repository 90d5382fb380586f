"""pad2d, upsample2d and concatenate on a device."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from . import maps, pool
from .arrays import DeviceArray, empty, memory
from .elements import ELEMENTS
from .kernel import Plan, Row
from .kernels import resized
from .kernels.resized import Resize
from .problem import Pair
from .run import run

ROWS: Final[tuple[Row, ...]] = (resized.ROW,)


@lru_cache(maxsize=1024)
def plan(problem: Resize) -> Plan:
    """The launches of an image of another size."""
    (row,) = ROWS
    return row.plan(problem, None)


def _resize(mode: str, x: DeviceArray, layout: str, size: Pair, **more: Any) -> DeviceArray:
    y = pool.like(x, layout, size)
    (N, H, W, C), x_strides = pool.image(x, layout)
    aligned = x.address % 16 == y.address % 16 == 0
    P, Q = size
    problem = Resize(
        mode, N, H, W, C, P, Q, x.dtype, x_strides, pool.image(y, layout)[1], aligned=aligned, **more
    )  # fmt: skip
    run(plan(problem), {"x": x, "y": y}, x)
    return y


def pad2d(
    x: DeviceArray, *, padding: tuple[Pair, Pair], mode: str = "constant", value: float = 0.0, layout: str = "NHWC"
) -> DeviceArray:
    """x with a border around each image."""
    (_, H, W, _), _ = pool.image(x, layout)
    size = H + sum(padding[0]), W + sum(padding[1])
    return _resize(mode, x, layout, size, start=(padding[0][0], padding[1][0]), value=float(value))


def upsample2d(
    x: DeviceArray, *, scale_factor: Pair = (2, 2), mode: str = "nearest", align_corners: bool = False,
    layout: str = "NHWC",
) -> DeviceArray:  # fmt: skip
    """Each pixel repeated, or each output between the four pixels around the place it reads at."""
    (_, H, W, _), _ = pool.image(x, layout)
    size = H * scale_factor[0], W * scale_factor[1]
    return _resize(mode, x, layout, size, scale=scale_factor, align_corners=align_corners)


def part(array: DeviceArray, axis: int, start: int, size: int) -> DeviceArray:
    """The places [start, start + size) of an axis, where they lie."""
    shape = tuple(size if i == axis else each for i, each in enumerate(array.shape))
    address = array.address + start * array.strides[axis] * ELEMENTS[array.dtype].bytes
    pointer = memory(address, shape, array.strides, array.dtype)
    return array._replace(pointer=pointer, shape=shape, address=address)


def concatenate(arrays: Sequence[DeviceArray], *, axis: int = -1) -> DeviceArray:
    """The arrays side by side: a copy each, of the bytes there are."""
    first = arrays[0]
    axis %= len(first.shape)
    total = sum(each.shape[axis] for each in arrays)
    shape = tuple(total if i == axis else size for i, size in enumerate(first.shape))
    y = empty(first, shape, order=maps.order(first))
    start = 0
    for each in arrays:
        if 0 not in each.shape:
            maps.apply(("copy",), (each,), each.shape, out=part(y, axis, start, each.shape[axis]))
        start += each.shape[axis]
    return y
