"""A block's tile of a product, without tensor cores: who loads, who multiplies, who writes what.

Each slice is `depth` steps of the sum of both operands, in shared memory as [step][pixel] and [step][filter], with the
rows 16 bytes apart from a multiple of the banks, so that a quad stored across them meets no bank twice. A thread has
m_each x n_each sums, in groups of 16 bytes that lie m / groups apart: a warp's 8 x 4 threads read 128 and 64 bytes in
a row. An 8 x 8 thread does 64 multiply-adds for 4 loads of 16 bytes.
"""

from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.intrinsics.memory import store_vector
from cnnfast.backends.cuda.intrinsics.repeat import repeated
from cnnfast.backends.cuda.intrinsics.tile import Fragment, gather, spread
from cnnfast.backends.cuda.toolchain import device

OUTSIDE = -(2**31)
"""An offset of what is not there: it stays negative whatever is added on the way through an array."""


class Tile(NamedTuple):
    """A block's m x n outputs, m_each x n_each a thread."""

    m: int
    n: int
    m_each: int
    n_each: int
    depth: int = 8

    @property
    def threads(self) -> int:
        return self.m * self.n // (self.m_each * self.n_each)

    @property
    def blocks(self) -> int:
        """That are to fit a multiprocessor: 128 registers a thread where it has 64 sums."""
        return 512 // self.threads


TILES = {
    "float32": (Tile(128, 128, 8, 8), Tile(128, 64, 8, 8), Tile(64, 64, 8, 4), Tile(64, 32, 8, 4)),
    "float64": (Tile(64, 64, 8, 4), Tile(64, 32, 4, 4)),
    "float16": (Tile(64, 64, 8, 4), Tile(64, 32, 8, 4)),
    "bfloat16": (Tile(64, 64, 8, 4), Tile(64, 32, 8, 4)),
}
"""By dtype, the largest first: a half's are few, since it is other kernels' to multiply them."""


def fragments(tile: Tile, width: int) -> tuple[Fragment, Fragment]:
    """A thread's share of the pixels and of the filters."""
    m_groups, n_groups = tile.m_each // width, tile.n_each // width
    return (
        Fragment(width, m_groups, tile.m // m_groups, tile.m + width),
        Fragment(width, n_groups, tile.n // n_groups, tile.n + width),
    )


def corner(tile: Tile, width: int) -> Any:
    """corner(thread): where its first group of pixels and of filters begin."""
    warps = tile.m // tile.m_each // 8

    def corner(t: Any) -> Any:
        lane, warp = t % 32, t // 32
        m = warp % warps * 8 + lane // 2 % 8
        n = warp // warps * 4 + lane // 16 * 2 + lane % 2
        return np.int32(m * width), np.int32(n * width)

    return device(corner)


class Loader(NamedTuple):
    """How a block brings an operand's slice to shared memory: `loads` loads of `width` elements a thread.

    position(j, thread): the j-th load's (pixel or filter, step of the sum).
    fetch(p, at, by, step, steps, thread): the values of all loads, from at[j] + by; zeros where at[j] is OUTSIDE, or
    from `steps` on.
    put(shared, base, thread, values): where multiply reads them.
    """

    loads: int
    position: Any
    fetch: Any
    put: Any


def loader(dtype: str, size: int, tile: Tile, along: str, width: int) -> Loader:
    """Of `size` pixels or filters a block. `along`: "sum" or "outer", in which direction neighbouring threads (and, of
    more than one element, each load) go."""
    threads, depth, row = tile.threads, tile.depth, size + width_of(dtype)
    count = size * depth // width // threads
    across = (depth if along == "sum" else size) // width
    next_row = threads // across
    load = gather(dtype, width)
    place = spread(width, row) if along == "sum" else store_vector(width)

    def of_sum(j: Any, t: Any) -> Any:
        return np.int32(t // across + j * next_row), np.int32(t % across * width)

    def of_outer(j: Any, t: Any) -> Any:
        return np.int32(t % across * width), np.int32(t // across + j * next_row)

    position: Any = device(of_sum if along == "sum" else of_outer)

    def fetch(j: Any, p: Any, at: Any, by: Any, step: Any, steps: Any, t: Any) -> Any:
        k = position(j, t)[1]
        return load(p, np.int32(at + by), at >= 0 and np.int32(step + k) < steps)

    def put(j: Any, shared: Any, base: Any, t: Any, values: Any) -> Any:
        m, k = position(j, t)
        place(shared, np.int32(base + np.int32(k * row + m)), values)
        return np.int32(0)

    return Loader(count, position, repeated(fetch, count, at=1), repeated(put, count, values=1))


def width_of(dtype: str) -> int:
    """Of what is computed with, the elements in 16 bytes."""
    return 2 if dtype == "float64" else 4
