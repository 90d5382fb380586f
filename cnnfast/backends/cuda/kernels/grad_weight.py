"""The gradient with respect to a convolution's weight: an implicit product of taps and channels by filters, summed over
pixels, `depth` of them at a time. The sums are made in fixed parts, which a second step adds up in their order."""

from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.integers import divisor, modulo, over, quotient
from cnnfast.backends.cuda.intrinsics.repeat import repeated
from cnnfast.backends.cuda.intrinsics.tile import multiply
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import QUADS, cuda, device, pointer

from .conv_direct import scalar_types
from .direct import fits
from .outputs import Epilogue, outputs
from .pad import padded, padding
from .product import PROCESSORS, Setting, multiple
from .sum_parts import second_step
from .tile import OUTSIDE, Tile, corner, fragments, loader, tiles_of, width_of


class Walk(NamedTuple):
    """The kernel's scalars. What it writes are `pixels` rows (n, P, Q) of `filters`, as `outputs` says: here a row is a
    weight's (r, s, c)."""

    pixels: int
    filters: int
    blocks_n: int
    parts: int
    part_steps: int
    points: int
    """Pixels of the image's gradient."""
    H: int
    W: int
    lines: int
    columns: int
    """P and Q of the image's gradient."""
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    top: int
    left: int
    xn: int
    xh: int
    xw: int
    xc: int
    x_group: int
    gn: int
    gp: int
    gq: int
    gk: int
    g_group: int
    yn: int
    yp: int
    yq: int
    yk: int
    y_group: int
    y_part: int
    P: int
    Q: int
    P_factor: int
    P_shift: int
    Q_factor: int
    Q_shift: int
    lines_factor: int
    lines_shift: int
    columns_factor: int
    columns_shift: int


@kernel
def conv_weight(dtype: str, tile: Tile, x_wide: bool, g_wide: bool, after: Epilogue) -> Kernel:
    """The kernel for a dtype and a tile; wide: 16 bytes of channels, or of filters, at a time; else neighbouring
    threads go from pixel to pixel."""
    element, width = ELEMENTS[dtype], width_of(dtype)

    def loads(size: int, wide: bool) -> Any:
        return loader(dtype, size, tile, "outer" if wide else "sum", width if wide else 1)

    x_loader, g_loader = loads(tile.m, x_wide), loads(tile.n, g_wide)
    x_position, x_fetch, x_put = x_loader[1:]
    g_position, g_fetch, g_put = g_loader[1:]
    x_half, g_half = tile.depth * (tile.m + width), tile.depth * (tile.n + width)
    x_both, g_both = 2 * x_half, 2 * g_half
    of_rows, of_filters = fragments(tile, width)
    by_row = after.along == "filters"
    slow, fast = (of_rows, of_filters) if by_row else (of_filters, of_rows)
    product, at_corner, write = multiply(slow, fast, tile.depth), corner(tile, width), outputs(dtype, slow, fast, after)
    nothing = (element.computed(0),) * (tile.m_each * tile.n_each)
    computed, depth, tile_m, tile_n = element.computed, tile.depth, tile.m, tile.n
    outside = np.int32(OUTSIDE)

    def pixel_of(i: Any, k: Any) -> Any:
        """A pixel's image, line and column."""
        line = quotient(i, k.columns_factor, k.columns_shift)
        n = quotient(line, k.lines_factor, k.lines_shift)
        return n, np.int32(line - n * k.lines), np.int32(i - line * k.columns)

    pixel_of = device(pixel_of)

    def start(j: Any, t: Any, m0: Any, first: Any, k: Any) -> Any:
        """A load's offset in x, row and column, at a tap and channel of the first pixel."""
        m = np.int32(m0 + x_position(j, t)[0])
        tap = quotient(m, k.Q_factor, k.Q_shift)
        r = quotient(tap, k.P_factor, k.P_shift)
        h = np.int32(r * k.dilation_h - k.top)
        w = np.int32((tap - r * k.P) * k.dilation_w - k.left)
        at = np.int32(first + (m - tap * k.Q) * k.xc + h * k.xh + w * k.xw)
        return at, np.int32(h if m < k.pixels else outside // 2), w

    def at_pixel(j: Any, start: Any, i: Any, t: Any, k: Any) -> Any:
        """The offset of a load from x at the pixels from the i-th on."""
        at, h, w = start
        n, p, q = pixel_of(np.int32(i + x_position(j, t)[1]), k)
        down, right = np.int32(p * k.stride_h), np.int32(q * k.stride_w)
        row, column = np.int32(h + down), np.int32(w + right)
        if row < 0 or row >= k.H or column < 0 or column >= k.W:
            return outside
        return np.int32(at + n * k.xn + down * k.xh + right * k.xw)

    def filter_start(j: Any, t: Any, n0: Any, first: Any, k: Any) -> Any:
        n = np.int32(n0 + g_position(j, t)[0])
        return np.int32(first + n * k.gk) if n < k.filters else outside

    def at_gradient(j: Any, start: Any, i: Any, t: Any, k: Any) -> Any:
        n, p, q = pixel_of(np.int32(i + g_position(j, t)[1]), k)
        return np.int32(start + n * k.gn + p * k.gp + q * k.gq) if start >= 0 else outside

    starts_of, at_pixels = repeated(start, x_loader.loads), repeated(at_pixel, x_loader.loads, start=1)
    filter_starts, at_gradients = repeated(filter_start, g_loader.loads), repeated(at_gradient, g_loader.loads, start=1)

    def gradient(x: Any, g: Any, y: Any, k: Any) -> None:
        xs = cuda.shared.array(x_both, computed, QUADS)
        gs = cuda.shared.array(g_both, computed, QUADS)
        t, block, z = np.int32(cuda.threadIdx.x), np.int32(cuda.blockIdx.x), np.int32(cuda.blockIdx.y)
        group, part = over(z, k.parts), modulo(z, k.parts)
        m0, n0 = np.int32(over(block, k.blocks_n) * tile_m), np.int32(modulo(block, k.blocks_n) * tile_n)
        i = np.int32(part * k.part_steps * depth)
        end = np.int32(min(i + k.part_steps * depth, k.points))
        starts = starts_of(t, m0, group * k.x_group, k)
        to = filter_starts(t, n0, group * k.g_group, k)
        x_put(xs, 0, t, x_fetch(x, at_pixels(starts, i, t, k), 0, i, end, t))
        g_put(gs, 0, t, g_fetch(g, at_gradients(to, i, t, k), 0, i, end, t))
        m, n = at_corner(t)
        sums = nothing
        half = np.int32(0)
        cuda.syncthreads()
        while i < end:
            i = np.int32(i + depth)
            x_next = x_fetch(x, at_pixels(starts, i, t, k), 0, i, end, t)
            g_next = g_fetch(g, at_gradients(to, i, t, k), 0, i, end, t)
            x_at, g_at = np.int32(half * x_half), np.int32(half * g_half)
            sums = product(sums, xs, x_at + m, gs, g_at + n) if by_row else product(sums, gs, g_at + n, xs, x_at + m)
            half = np.int32(1 - half)
            x_put(xs, half * x_half, t, x_next)
            g_put(gs, half * g_half, t, g_next)
            cuda.syncthreads()
        first = np.int32(part * k.y_part + group * k.y_group)
        write(sums, g, g, y, first, 0, m0 + m, n0 + n, k)

    out = computed if after.split else element.stored
    parameters = (element.pointer, element.pointer, pointer(out), *scalar_types(Walk))
    return Kernel(
        "", gradient, parameters, (tile.threads, 1, 1), blocks=tile.blocks,
        needs=("fma.rn.f", "ld.shared.v", "ld.global.nc"), scalars=Walk,
    )  # fmt: skip


def settings(problem: Conv) -> tuple[Setting, ...]:
    """The tiles, by the time their blocks take, the shortest first."""
    rows, filters = problem.R * problem.S * problem.C // problem.groups, problem.K // problem.groups

    def setting(tile: Tile) -> tuple[float, Setting]:
        blocks = -(rows // -tile.m) * -(filters // -tile.n) * problem.groups
        parts = max(1, min(-(2 * PROCESSORS // -max(blocks, 1)), problem.pixels // (16 * tile.depth), 256))
        rounds = -(blocks * parts // -PROCESSORS)
        share = 1.0 if tile.m_each * tile.n_each == 64 else 1.2
        return rounds * tile.m * tile.n * share / parts, Setting(tile, parts)

    channels_wide, filters_wide = wide(problem)
    tiles = tiles_of(problem.dtype, channels_wide and filters_wide)
    return tuple(found for _, found in sorted(map(setting, tiles), key=lambda pair: pair[0])[:2])


def wide(problem: Conv) -> tuple[bool, bool]:
    """Whether x's channels, and y's filters, are read 16 bytes at a time; of a copy with its border x's may not be."""
    width, groups = width_of(problem.dtype), problem.groups
    (xn, xh, xw, xc), (gn, gp, gq, gk) = problem.x_strides, problem.y_strides
    x = problem.aligned and xc == 1 and multiple(width, problem.C // groups, xn, xh, xw)
    return x, problem.aligned and gk == 1 and multiple(width, problem.K // groups, gn, gp, gq)


def plan(problem: Conv, setting: Setting) -> Plan:
    """A copy of x with its border where that is not zeros, and the sums. The arrays are the forward convolution's: `y`
    is read, and `weight` written."""
    if problem.padding_mode == "zeros":
        return sums(problem, setting, "x")
    conv, count = padded(problem)
    made = sums(conv, setting, "padded")
    return Plan((padding(problem, ("x", "padded")), *made.steps), {"padded": (count, problem.dtype), **made.scratch})


def sums(problem: Conv, setting: Setting, x: str) -> Plan:
    """The parts of the sums, then the sums; one launch where there is one part."""
    tile, parts = setting
    width, groups = width_of(problem.dtype), problem.groups
    channels, filters = problem.C // groups, problem.K // groups
    rows, (wr, ws, wc, wk) = problem.R * problem.S * channels, problem.weight_strides
    (xn, xh, xw, xc), (gn, gp, gq, gk) = problem.x_strides, problem.y_strides
    x_wide, g_wide = wide(problem)
    slices = -(problem.pixels // -tile.depth)
    part_steps = -(slices // -parts)
    count = rows * problem.K
    walk = Walk(
        rows, filters, -(filters // -tile.n), parts, part_steps, problem.pixels, problem.H, problem.W, problem.P,
        problem.Q, *problem.stride, *problem.dilation, problem.padding[0][0], problem.padding[1][0], xn, xh, xw, xc,
        channels * xc, gn, gp, gq, gk, filters * gk, wr, ws, wc, wk, filters * wk, count, problem.S, channels,
        *divisor(problem.S), *divisor(channels), *divisor(problem.P), *divisor(problem.Q),
    )  # fmt: skip
    along = "filters" if wk == 1 or wc != 1 else "pixels"
    if along == "filters":
        y_wide = wk == 1 and multiple(width, wr, ws, wc, filters)
    else:
        y_wide = ws == channels and multiple(width, problem.S * channels, wr, wk)
    split = parts > 1
    as_computed = ELEMENTS[problem.dtype].stored is ELEMENTS[problem.dtype].computed
    y_wide = y_wide and (split or (problem.aligned and as_computed))
    made = conv_weight(problem.dtype, tile, x_wide, g_wide, Epilogue(along, y_wide, split=split))
    grid = -(rows // -tile.m) * walk.blocks_n, parts * groups, 1
    steps = [Step(made, grid, (x, "y", "parts" if split else "weight"), tuple(walk))]
    scratch: dict[str, tuple[int, str]] = {}
    if split:
        scratch["parts"] = parts * count, ELEMENTS[problem.dtype].computed.name
        steps.append(second_step(problem.dtype, count, parts, ("parts", "", "", "weight")))
    return Plan(tuple(steps), scratch)


ROW = Row("direct", fits, plan, settings)
