"""direct: a convolution as an implicit product of pixels by filters, summed over taps and channels.

A block multiplies a tile's pixels by its filters, `depth` channels of one tap at a time: the next slice comes from
memory into registers while this one is multiplied, and goes to the other half of shared memory. The taps' bounds are
looked at where the tap changes, C / depth slices apart.

Of 128 x 128 x 8, a slice is 512 multiply-adds a thread for 32 loads of 16 bytes from shared memory, 2 from global
memory and 5 stores to shared memory. A block reads 8 KB for its 131072 multiply-adds a slice: at 128 a clock, a
multiprocessor's blocks together take 8 bytes a clock from the L2 cache, whose rate is several times that.
"""

from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.integers import modulo, over, quotient
from cnnfast.backends.cuda.intrinsics.repeat import repeated
from cnnfast.backends.cuda.intrinsics.tile import multiply
from cnnfast.backends.cuda.kernel import Kernel, kernel
from cnnfast.backends.cuda.toolchain import QUADS, cuda, pointer, types

from .outputs import Epilogue, outputs
from .tile import OUTSIDE, Tile, corner, fragments, loader, width_of


class Ways(NamedTuple):
    """How a kernel goes through memory: neighbouring threads along the channels ("sum") or along what stands side by
    side in the output ("outer"), 16 bytes (wide) or one element at a time."""

    x: str
    x_wide: bool
    weight: str


class Walk(NamedTuple):
    """The kernel's scalars: a convolution, with strides, padding and dilation of any sign, and the parts of its sum."""

    pixels: int
    filters: int
    channels: int
    blocks_n: int
    parts: int
    part_steps: int
    slices: int
    taps: int
    H: int
    W: int
    S: int
    P: int
    Q: int
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
    wr: int
    ws: int
    wc: int
    wk: int
    w_group: int
    w_first: int
    yn: int
    yp: int
    yq: int
    yk: int
    y_group: int
    y_part: int
    y_first: int
    P_factor: int
    P_shift: int
    Q_factor: int
    Q_shift: int


@kernel
def conv_direct(dtype: str, tile: Tile, ways: Ways, after: Epilogue) -> Kernel:
    """The kernel for a dtype, a tile, ways through memory and what is done with the sums."""
    element, width = ELEMENTS[dtype], width_of(dtype)
    x_loader = loader(dtype, tile.m, tile, ways.x, width if ways.x_wide else 1)
    w_loader = loader(dtype, tile.n, tile, ways.weight, width)
    x_position, x_fetch, x_put = x_loader[1:]
    w_position, w_fetch, w_put = w_loader[1:]
    x_half, w_half = tile.depth * (tile.m + width), tile.depth * (tile.n + width)
    x_both, w_both = 2 * x_half, 2 * w_half
    of_pixels, of_filters = fragments(tile, width)
    by_pixel = after.along == "filters"
    slow, fast = (of_pixels, of_filters) if by_pixel else (of_filters, of_pixels)
    product, at_corner, write = multiply(slow, fast, tile.depth), corner(tile, width), outputs(dtype, slow, fast, after)
    nothing = (element.computed(0),) * (tile.m_each * tile.n_each)
    computed, depth, tile_m, tile_n = element.computed, tile.depth, tile.m, tile.n
    outside = np.int32(OUTSIDE)

    def start(j: Any, t: Any, m0: Any, first: Any, k: Any) -> Any:
        """A load's offset at the tap (0, 0), its row and its column there."""
        o, step = x_position(j, t)
        m = np.int32(m0 + o)
        row = quotient(m, k.Q_factor, k.Q_shift)
        n = quotient(row, k.P_factor, k.P_shift)
        h = np.int32((row - n * k.P) * k.stride_h - k.top)
        w = np.int32((m - row * k.Q) * k.stride_w - k.left)
        at = np.int32(first + n * k.xn + h * k.xh + w * k.xw + step * k.xc)
        return at, np.int32(h if m < k.pixels else outside // 2), w

    def at_tap(j: Any, start: Any, down: Any, right: Any, k: Any) -> Any:
        """A load's offset at a tap."""
        at, h, w = start
        row, column = np.int32(h + down), np.int32(w + right)
        if row < 0 or row >= k.H or column < 0 or column >= k.W:
            return outside
        return np.int32(at + down * k.xh + right * k.xw)

    def filter_start(j: Any, t: Any, n0: Any, first: Any, k: Any) -> Any:
        o, step = w_position(j, t)
        n = np.int32(n0 + o)
        return np.int32(first + n * k.wk + step * k.wc) if n < k.filters else outside

    starts_of, at_taps = repeated(start, x_loader.loads), repeated(at_tap, x_loader.loads, start=1)
    filter_starts = repeated(filter_start, w_loader.loads)

    def conv(x: Any, weight: Any, bias: Any, residual: Any, y: Any, k: Any) -> None:
        xs = cuda.shared.array(x_both, computed, QUADS)
        ws = cuda.shared.array(w_both, computed, QUADS)
        t, block, z = np.int32(cuda.threadIdx.x), np.int32(cuda.blockIdx.x), np.int32(cuda.blockIdx.y)
        group, part = over(z, k.parts), modulo(z, k.parts)
        m0, n0 = np.int32(over(block, k.blocks_n) * tile_m), np.int32(modulo(block, k.blocks_n) * tile_n)
        i = np.int32(part * k.part_steps)
        end = np.int32(min(i + k.part_steps, k.taps * k.slices))
        tap = over(i, k.slices)
        c = np.int32(modulo(i, k.slices) * depth)
        r, s = over(tap, k.S), modulo(tap, k.S)
        starts = starts_of(t, m0, group * k.x_group, k)
        at = at_taps(starts, r * k.dilation_h, s * k.dilation_w, k)
        to = filter_starts(t, n0, k.w_first + group * k.w_group, k)
        tap_w = np.int32(r * k.wr + s * k.ws)
        limit = k.channels if i < end else np.int32(0)  # where there are no taps nothing is read
        x_put(xs, 0, t, x_fetch(x, at, c * k.xc, c, limit, t))
        w_put(ws, 0, t, w_fetch(weight, to, tap_w + c * k.wc, c, limit, t))
        m, n = at_corner(t)
        sums = nothing
        half = np.int32(0)
        cuda.syncthreads()
        while i < end:
            i = np.int32(i + 1)
            c = np.int32(c + depth)
            if c >= k.channels:
                c = np.int32(0)
                s = np.int32(s + 1)
                if s == k.S:
                    s = np.int32(0)
                    r = np.int32(r + 1)
                at = at_taps(starts, r * k.dilation_h, s * k.dilation_w, k)
                tap_w = np.int32(r * k.wr + s * k.ws)
            limit = k.channels if i < end else np.int32(0)  # after the last slice nothing is read
            x_next = x_fetch(x, at, c * k.xc, c, limit, t)
            w_next = w_fetch(weight, to, tap_w + c * k.wc, c, limit, t)
            x_at, w_at = np.int32(half * x_half), np.int32(half * w_half)
            sums = product(sums, xs, x_at + m, ws, w_at + n) if by_pixel else product(sums, ws, w_at + n, xs, x_at + m)
            half = np.int32(1 - half)
            x_put(xs, half * x_half, t, x_next)
            w_put(ws, half * w_half, t, w_next)
            cuda.syncthreads()
        first = np.int32(k.y_first + part * k.y_part + group * k.y_group)
        write(sums, bias, residual, y, first, group * k.filters, m0 + m, n0 + n, k)

    out = computed if after.split else element.stored
    pointers = (*(element.pointer,) * 4, pointer(out))
    return Kernel(
        "", conv, (*pointers, *scalar_types(Walk)), (tile.threads, 1, 1), blocks=tile.blocks,
        needs=("fma.rn.f", "ld.shared.v", "ld.global.nc.v"), scalars=Walk,
    )  # fmt: skip


def scalar_types(scalars: Any) -> tuple[Any, ...]:
    """Of a NamedTuple's fields: 32 bits, 64 for `divisor`'s factors."""
    return tuple(types.int64 if name.endswith("factor") else types.int32 for name in scalars._fields)
