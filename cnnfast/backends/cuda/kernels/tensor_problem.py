"""Which convolutions tensor cores take, and the launches that make them."""

from itertools import pairwise
from typing import Any

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.kernel import GRID, Plan, Step
from cnnfast.backends.cuda.kernels.tensor_epilogue import add_parts
from cnnfast.backends.cuda.kernels.tensor_layout import SIDE, channels_last, squares, turn_parts, weights_by_filter
from cnnfast.backends.cuda.kernels.tensor_loads import Tile
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import SIMULATED

THREADS = 128
ALIGNED = None if SIMULATED else 1024
"""Of the shared memory: what the widest swizzle repeats after."""
LARGEST = 2**31 - 1
"""Offsets are 32 bits wide."""


def takes(problem: Conv) -> bool:
    """Halves unless precision is "strict", and floats as tf32 where it is "fast"; filters, and with groups channels, in
    multiples of 16 bytes."""
    taken = {"float16": ("default", "fast"), "bfloat16": ("default", "fast"), "float32": ("fast",)}
    if problem.precision not in taken.get(problem.dtype, ()):
        return False
    width = ELEMENTS[problem.dtype].width
    C, K = problem.C // problem.groups, problem.K // problem.groups
    spans = (sum((size - 1) * abs(step) for size, step in zip(sizes, strides, strict=True)) for sizes, strides in (
        ((problem.N, problem.H, problem.W, C * problem.groups + width), problem.x_strides),
        ((problem.N, problem.P, problem.Q, problem.K), problem.y_strides),
    ))  # fmt: skip
    packed = problem.N * problem.H * problem.W * (problem.C + width)
    taps = problem.R * problem.S
    columns = max(taps * (C + width), problem.C + width, problem.K)  # of what may be rearranged, in squares
    return (
        max(problem.groups, -(columns // -SIDE)) <= GRID[1]
        and problem.padding_mode == "zeros" and problem.pixels > 0 and C > 0 and K > 0 and K % width == 0
        and (C % width == 0 or problem.groups == 1)
        and max(*spans, packed, taps * (C + width) * problem.K) < LARGEST
    )  # fmt: skip


def wide(problem: Conv, sizes: tuple[int, int, int], strides: tuple[int, int, int, int]) -> bool:
    """Whether 16 bytes of channels can be had at once, at every pixel."""
    width = ELEMENTS[problem.dtype].width
    used = (step for size, step in zip(sizes, strides[:3], strict=True) if size > 1)
    return problem.aligned and strides[3] == 1 and all(step % width == 0 for step in used)


def scalars(problem: Conv, w_filter: int, w_place: int, to_next: int, tile_columns: int, part: int) -> tuple[int, ...]:
    """What both kernels are given, in the order of their parameters."""
    C, K = problem.C // problem.groups, problem.K // problem.groups
    return (
        problem.pixels, problem.H, problem.W, C, K, problem.S, problem.R * problem.S * C, problem.P, problem.Q,
        *problem.stride, *problem.dilation, problem.padding[0][0], problem.padding[1][0], *problem.x_strides[:3],
        w_filter, w_place, to_next, tile_columns, problem.groups, part,
    )  # fmt: skip


def launches(problem: Conv, tile: Tile, make: Any) -> Plan:
    """The product by the kernel that `make` makes; before it x and the weights are rearranged where they must be; after
    it, where the sum is split or y's channels are not contiguous, the sums' parts are added in order."""
    dtype, width = problem.dtype, ELEMENTS[problem.dtype].width
    given, x, before, scratch = prepare(problem)
    weight, order, w_filter, w_place = weights(problem, given.C // given.groups)
    if weight != "weight":
        before += (weights_by_filter(problem, given.C // given.groups),)
        scratch |= {weight: (problem.K * w_filter, dtype)}
    depth = tile.depth * 4 // ELEMENTS[dtype].bytes
    C, K = given.C // given.groups, given.K // given.groups
    places = given.R * given.S * C
    part = -(-(places // -depth) // -tile.splits) * depth
    splits = -(places // -part)
    after = problem.activation, problem.has_bias, problem.has_residual
    bias, residual = "bias" if problem.has_bias else "y", "residual" if problem.has_residual else "y"
    columns = -(K // -tile.columns)
    grid = -(problem.pixels // -tile.rows) * columns, 1, problem.groups * splits
    form = dtype, tile._replace(splits=1), order, -(depth // -C)
    sizes = problem.N, problem.P, problem.Q
    pitch = step_through(sizes, problem.y_strides[:3]) if wide(problem, sizes, problem.y_strides) else None
    if splits == 1 and pitch is not None:
        numbers = scalars(given, w_filter, w_place, pitch, columns, part)
        made = make(*form, *after, False)
        return Plan((*before, Step(made, grid, (x, weight, bias, residual, "y"), numbers)), scratch)
    made = make(*form, (None, 0.0), False, False, True)
    numbers = scalars(given, w_filter, w_place, problem.K, columns, part)
    multiply = Step(made, grid, (x, weight, x, x, "parts"), numbers)
    outputs = problem.pixels * problem.K
    names = "parts", bias, residual, "y"
    if pitch is not None:
        blocks = -(outputs // -(THREADS * width)), 1, 1
        add = Step(add_parts(dtype, *after), blocks, names, (splits, outputs, problem.K, pitch))
    else:
        blocks = squares(problem.pixels, problem.K)
        numbers = splits, problem.pixels, problem.K, problem.P, problem.Q, *problem.y_strides
        add = Step(turn_parts(dtype, *after), blocks, names, numbers)
    return Plan((*before, multiply, add), {**scratch, "parts": (splits * outputs, "float32")})


def best_first(problem: Conv, tiles: tuple[Tile, ...], multiprocessors: int) -> tuple[Tile, ...]:
    """The first tile that leaves at most a fourth of its columns idle and has blocks for each multiprocessor comes
    first; where none has, the smallest, its sum split among as many blocks as there are multiprocessors for, four
    stages or more each."""
    filters = problem.K // problem.groups

    def blocks(tile: Tile) -> int:
        return -(problem.pixels // -tile.rows) * -(filters // -tile.columns) * problem.groups

    def poor(tile: Tile) -> bool:
        return -(filters // -tile.columns) * tile.columns > filters * 4 / 3 or blocks(tile) < multiprocessors

    if not all(map(poor, tiles)):
        return tuple(sorted(tiles, key=poor))
    last = tiles[-1]
    stage = last.depth * 4 // ELEMENTS[problem.dtype].bytes
    places = problem.R * problem.S * problem.C // problem.groups
    splits = min(multiprocessors // blocks(last), places // (4 * stage))
    return ((last._replace(splits=splits),) if splits > 1 else ()) + tiles[::-1]


def step_through(sizes: tuple[int, ...], strides: tuple[int, ...]) -> int | None:
    """The stride of the axes as one, where memory has them so."""
    kept = [(size, step) for size, step in zip(sizes, strides, strict=True) if size > 1]
    for (_, outer), (size, inner) in pairwise(kept):
        if outer != size * inner:
            return None
    return kept[-1][1] if kept else 0


def prepare(problem: Conv) -> tuple[Conv, str, tuple[Step, ...], dict[str, tuple[int, str]]]:
    """(the problem with x as the kernels can load it, that x's name, the steps to it, scratch)."""
    width = ELEMENTS[problem.dtype].width
    N, H, W = problem.N, problem.H, problem.W
    if problem.C // problem.groups % width == 0 and wide(problem, (N, H, W), problem.x_strides):
        return problem, "x", (), {}
    C = -(problem.C // -width) * width
    given = problem._replace(C=C, x_strides=(H * W * C, W * C, C, 1))
    return given, "packed", (channels_last(problem, C),), {"packed": (N * H * W * C, problem.dtype)}


def weights(problem: Conv, channels: int) -> tuple[str, str, int, int]:
    """(the weights' array, its contiguous axis, strides along K and along (r, s, c)); channels: of a group of x."""
    R, S, C = problem.R, problem.S, problem.C // problem.groups
    wr, ws, wc, wk = problem.weight_strides
    width = ELEMENTS[problem.dtype].width
    step = step_through((R, S, C), (wr, ws, wc))
    if problem.aligned and channels == C and step is not None:
        if step == 1 and wk % width == 0:
            return "weight", "C", wk, 1
        if wk == 1 and step % width == 0 and problem.dtype != "float32":  # ldmatrix turns halves alone
            return "weight", "K", 1, step
    return "rearranged", "C", R * S * channels, 1
