"""Which convolutions tensor cores take, and their weights as they want them."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.kernel import Kernel, Plan, Step, kernel
from cnnfast.backends.cuda.kernels.tensor_loads import Tile
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import SIMULATED, cuda, types

SIDE, PITCH, STRIPE = 32, 33, 8
"""Of the square that a block rearranges, from row to row in shared memory, and its rows at a time."""
ALIGNED = None if SIMULATED else 1024
"""Of the shared memory: what the widest swizzle repeats after."""
LARGEST = 2**31 - 1
"""Offsets are 32 bits wide."""


def takes(problem: Conv) -> bool:
    """Halves, and floats as tf32 where precision is "fast"; channels and filters contiguous, in multiples of 16 bytes;
    y's pixels evenly spaced."""
    if problem.dtype not in ("float16", "bfloat16") and (problem.dtype, problem.precision) != ("float32", "fast"):
        return False
    width = ELEMENTS[problem.dtype].width
    C, K = problem.C // problem.groups, problem.K // problem.groups
    xs, ys = problem.x_strides, problem.y_strides
    spans = (sum((size - 1) * step for size, step in zip(sizes, strides, strict=True)) for sizes, strides in (
        ((problem.N, problem.H, problem.W, problem.C), xs), ((problem.N, problem.P, problem.Q, problem.K), ys),
    ))  # fmt: skip
    return (
        problem.padding_mode == "zeros" and problem.aligned and problem.pixels > 0
        and C > 0 and K > 0 and C % width == 0 and K % width == 0
        and xs[3] == ys[3] == 1 and all(step % width == 0 for step in (*xs[:3], *ys[:3]))
        and step_through((problem.N, problem.P, problem.Q), ys[:3]) is not None
        and max(*spans, problem.R * problem.S * C * problem.K) < LARGEST
    )  # fmt: skip


def scalars(problem: Conv, w_filter: int, w_place: int, tile_columns: int) -> tuple[int, ...]:
    """What both kernels are given, in the order of their parameters."""
    C, K = problem.C // problem.groups, problem.K // problem.groups
    pitch = step_through((problem.N, problem.P, problem.Q), problem.y_strides[:3])
    assert pitch is not None
    return (
        problem.pixels, problem.H, problem.W, C, K, problem.S, problem.R * problem.S * C, problem.P, problem.Q,
        *problem.stride, *problem.dilation, problem.padding[0][0], problem.padding[1][0], *problem.x_strides[:3],
        w_filter, w_place, pitch, tile_columns,
    )  # fmt: skip


def launches(problem: Conv, tile: Tile, make: Any) -> Plan:
    """The product by the kernel that `make` makes, after the weights' rearrangement where they need one."""
    steps, weight, order, w_filter, w_place, scratch = prepare(problem)
    depth = tile.depth * 4 // ELEMENTS[problem.dtype].bytes
    wraps = -(depth // -(problem.C // problem.groups))
    made = make(problem.dtype, tile, order, wraps, problem.activation, problem.has_bias, problem.has_residual)
    columns = -(problem.K // problem.groups // -tile.columns)
    arrays = "x", weight, "bias" if problem.has_bias else "y", "residual" if problem.has_residual else "y", "y"
    grid = -(problem.pixels // -tile.rows) * columns, 1, problem.groups
    step = Step(made, grid, arrays, scalars(problem, w_filter, w_place, columns))
    return Plan((*steps, step), scratch)


def best_first(problem: Conv, tiles: tuple[Tile, ...], multiprocessors: int) -> tuple[Tile, ...]:
    """The first tile that leaves at most a fourth of its columns idle and has blocks for each multiprocessor comes
    first; where none has, the smallest."""
    filters = problem.K // problem.groups

    def poor(tile: Tile) -> bool:
        columns = -(filters // -tile.columns)
        blocks = -(problem.pixels // -tile.rows) * columns * problem.groups
        return columns * tile.columns > filters * 4 / 3 or blocks < multiprocessors

    return tuple(sorted(tiles, key=poor) if not all(map(poor, tiles)) else tiles[::-1])


def step_through(sizes: tuple[int, ...], strides: tuple[int, ...]) -> int | None:
    """The stride of the axes as one, where memory has them so."""
    kept = [(size, step) for size, step in zip(sizes, strides, strict=True) if size > 1]
    for (_, outer), (size, inner) in pairwise(kept):
        if outer != size * inner:
            return None
    return kept[-1][1] if kept else 0


def prepare(problem: Conv) -> tuple[tuple[Step, ...], str, str, int, int, Mapping[str, tuple[int, str]]]:
    """(steps before, the weights' array, its contiguous axis, strides along K and along (r, s, c), scratch)."""
    R, S, C, K = problem.R, problem.S, problem.C // problem.groups, problem.K
    wr, ws, wc, wk = problem.weight_strides
    width, places = ELEMENTS[problem.dtype].width, R * S * C
    step = step_through((R, S, C), (wr, ws, wc))
    if step == 1 and wk % width == 0:
        return (), "weight", "C", wk, 1, {}
    if step is not None and wk == 1 and step % width == 0 and problem.dtype != "float32":
        return (), "weight", "K", 1, step, {}
    made = rearrange_weights(problem.dtype, wk == 1)
    grid = -(places // -SIDE), -(K // -SIDE), 1
    first = Step(made, grid, ("weight", "rearranged"), (places, K, S, C, wr, ws, wc, wk))
    return (first,), "rearranged", "C", places, 1, {"rearranged": (places * K, problem.dtype)}


@kernel
def rearrange_weights(dtype: str, filters_first: bool) -> Kernel:
    """out[k, r, s, c] = weight[r, s, c, k], a square of 32 x 32 a block; it is read along k where filters_first."""
    element = ELEMENTS[dtype]
    stored = element.stored

    def rearrange(
        weight: Any, out: Any, places: Any, K: Any, S: Any, C: Any, wr: Any, ws: Any, wc: Any, wk: Any
    ) -> None:
        square = cuda.shared.array((SIDE, PITCH), stored)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        place, k = cuda.blockIdx.x * SIDE, cuda.blockIdx.y * SIDE
        for i in range(y, SIDE, STRIPE):
            at, at_k = (place + i, k + x) if filters_first else (place + x, k + i)
            if at < places and at_k < K:
                tap = at // C
                found = weight[tap // S * wr + tap % S * ws + at % C * wc + at_k * wk]
                if filters_first:
                    square[i, x] = found
                else:
                    square[x, i] = found
        cuda.syncthreads()
        for i in range(y, SIDE, STRIPE):
            if place + x < places and k + i < K:
                out[(k + i) * places + place + x] = square[x, i]

    return Kernel("", rearrange, (element.pointer,) * 2 + (types.int32,) * 8, (SIDE, STRIPE, 1))
