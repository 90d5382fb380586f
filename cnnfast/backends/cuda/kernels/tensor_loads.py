"""How a convolution's tiles come to shared memory for tensor cores: 16-byte copies past the registers.

As a matrix product y = A B: A's rows are the output's pixels, its columns (r, s, c); B's columns are filters. A stage
holds `depth` words (32 bits) of A's columns: first A's rows, then B as it lies in memory: rows of filters where its
channels are contiguous ("C"); where its filters are ("K"), slabs of 64 filters, each of rows of channels. A copy is a
chunk of 4 words. Chunks are swizzled: row by row xored, so that eight rows' chunks, which ldmatrix reads at once, lie
in different banks; and with rows of 32 words just as wgmma's swizzle of 128 bytes.
"""

from typing import Any, NamedTuple

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.async_copy import commit_copies, copy_async
from cnnfast.backends.cuda.toolchain import device, types
from cnnfast.backends.cuda.tuples import each

i32 = types.int32
FAR = 1 << 30
"""A coordinate that no step brings back inside."""


class Tile(NamedTuple):
    """rows x columns outputs a block, `depth` words of the sum a stage; a warp's share of the tile, or a warpgroup's;
    `blocks`: so many are to fit a multiprocessor."""

    rows: int
    columns: int
    warp_rows: int
    warp_columns: int
    stages: int
    blocks: int
    depth: int = 16
    threads_each: int = 32

    @property
    def threads(self) -> int:
        return self.rows // self.warp_rows * (self.columns // self.warp_columns) * self.threads_each

    @property
    def stage(self) -> int:
        """Words of a stage."""
        return self.depth * (self.rows + self.columns)

    @property
    def shared(self) -> int:
        """Bytes: the stages, and in their place at the end the sums."""
        return max(4 * self.stages * self.stage, 4 * self.rows * self.columns)


def swizzle(depth: int) -> Any:
    """mixed(row): what a row's chunks are xored with. Two rows of 16 words fill the banks once, as one of 32 does."""
    shift, mask = (1, 3) if depth == 16 else (0, 7)

    def mixed(row: Any) -> Any:
        return row >> shift & mask

    return device(mixed)


def pixel_rows(dtype: str, tile: Tile, wraps: int) -> Any:
    """(starts, advance, copy) of A.

    starts(m, count, ...): of the rows that a thread copies: offsets of x, and h and w, each a tuple.
    advance(c, r, s, C, S): a stage on in the sum; wraps: how often a stage can pass the last channel.
    copy(...): one stage.
    """
    element = ELEMENTS[dtype]
    chunks = tile.depth // 4
    step = tile.threads // chunks
    passes, stride = tile.rows // step, step * tile.depth
    assert tile.rows % step == step % 8 == 0, tile
    shifts, rows = tuple(i * stride for i in range(passes)), tuple(i * step for i in range(passes))
    depth = tile.depth * 4 // element.bytes

    @device
    def row_h(row: Any, m: Any, count: Any, P: Any, Q: Any, stride_h: Any, top: Any) -> Any:
        at = i32(m + row)
        return i32(at // Q % P * stride_h - top) if at < count else i32(-FAR)

    @device
    def row_w(row: Any, m: Any, Q: Any, stride_w: Any, left: Any) -> Any:
        return i32(i32(m + row) % Q * stride_w - left)

    @device
    def row_offset(row: Any, h: Any, w: Any, m: Any, count: Any, P: Any, Q: Any, xn: Any, xh: Any, xw: Any) -> Any:
        at = i32(m + row)
        return i32(at // (P * Q) * xn + h * xh + w * xw) if at < count else i32(0)

    hs, ws, offsets = each(row_h, passes, 1, 6), each(row_w, passes, 1, 4), each(row_offset, passes, 3, 7)

    def starts(
        m: Any, count: Any, P: Any, Q: Any, stride_h: Any, stride_w: Any, top: Any, left: Any, xn: Any, xh: Any, xw: Any
    ) -> Any:
        h = hs(rows, m, count, P, Q, stride_h, top)
        w = ws(rows, m, Q, stride_w, left)
        return offsets(rows, h, w, m, count, P, Q, xn, xh, xw), h, w

    def advance(c: Any, r: Any, s: Any, C: Any, S: Any) -> Any:
        c = i32(c + depth)
        for _ in range(wraps):
            if c >= C:
                c = i32(c - C)
                s = i32(s + 1)
                if s == S:
                    s = i32(0)
                    r = i32(r + 1)
        return c, r, s

    @device
    def copy_row(
        shift: Any, offset: Any, h: Any, w: Any, shared: Any, at: Any, x: Any, first: Any, h_on: Any, w_on: Any, H: Any,
        W: Any,
    ) -> Any:  # fmt: skip
        h_at, w_at = i32(h + h_on), i32(w + w_on)
        inside = (h_at >= 0) & (h_at < H) & (w_at >= 0) & (w_at < W)
        copy_async(shared, i32(at + shift), x, i32(first + offset), inside)
        return at

    copies = each(copy_row, passes, 4, 8)

    def copy(
        shared: Any, at: Any, x: Any, offsets: Any, hs: Any, ws: Any, first: Any, h_on: Any, w_on: Any, H: Any, W: Any
    ) -> None:
        copies(shifts, offsets, hs, ws, shared, at, x, first, h_on, w_on, H, W)

    return device(starts), device(advance), device(copy)


def weight_rows(dtype: str, tile: Tile, order: str) -> Any:
    """(place, starts, copy) of B, `order` being the axis contiguous in memory.

    place(thread): where its first chunk goes in B, its row there, and its chunk.
    starts(row, chunk, k, K, step): offsets of the rows that a thread copies, and from which place of the sum on each is
    needed; step: elements from one filter to the next ("C") or from one place of the sum ("K").
    copy(shared, at, weight, offsets, limits, first, left): one stage; left: how much of the sum is left.
    """
    element = ELEMENTS[dtype]
    width, words = element.width, 4 // element.bytes
    depth = tile.depth * words
    chunks = tile.depth // 4 if order == "C" else tile.columns // width
    step = tile.threads // chunks
    count = tile.columns if order == "C" else depth
    passes = count // step
    assert count % step == step % 8 == 0, tile
    row_words = tile.depth if order == "C" else 32
    shifts, rows = tuple(i * step * row_words for i in range(passes)), tuple(i * step for i in range(passes))
    mixed, across, slab = swizzle(row_words), row_words // 4, count * row_words

    def place(thread: Any) -> Any:
        row, chunk = thread // chunks, thread % chunks
        return chunk // across * slab + row * row_words + (chunk % across ^ mixed(row)) * 4, row, chunk

    @device
    def filters_offset(row: Any, first: Any, chunk: Any, k: Any, K: Any, step: Any) -> Any:
        return i32((k + first + row) * step + chunk * width)

    @device
    def filters_limit(row: Any, first: Any, chunk: Any, k: Any, K: Any) -> Any:
        return i32(chunk * width) if k + first + row < K else i32(FAR)

    @device
    def channels_offset(row: Any, first: Any, chunk: Any, k: Any, K: Any, step: Any) -> Any:
        return i32((first + row) * step + k + chunk * width)

    @device
    def channels_limit(row: Any, first: Any, chunk: Any, k: Any, K: Any) -> Any:
        return i32(first + row) if k + chunk * width < K else i32(FAR)

    offset, limit = (filters_offset, filters_limit) if order == "C" else (channels_offset, channels_limit)
    offsets, limits = each(offset, passes, 1, 5), each(limit, passes, 1, 4)

    def starts(row: Any, chunk: Any, k: Any, K: Any, step: Any) -> Any:
        return offsets(rows, row, chunk, k, K, step), limits(rows, row, chunk, k, K)

    @device
    def copy_row(
        shift: Any, offset: Any, limit: Any, shared: Any, at: Any, weight: Any, first: Any, left: Any
    ) -> Any:
        copy_async(shared, i32(at + shift), weight, i32(first + offset), limit < left)
        return at

    copies = each(copy_row, passes, 3, 5)

    def copy(shared: Any, at: Any, weight: Any, offsets: Any, limits: Any, first: Any, left: Any) -> None:
        copies(shifts, offsets, limits, shared, at, weight, first, left)

    return device(place), device(starts), device(copy)


def feeder(dtype: str, tile: Tile, order: str, wraps: int) -> tuple[Any, Any]:
    """(begin, feed) of a thread.

    begin(thread, m, k, group, shape, steps) -> fixed, state: shape = (count, C, K, S, P, Q, places of the sum), steps =
    (stride_h, stride_w, top, left, xn, xh, xw, w_filter, w_place).
    feed(shared, x, weight, fixed, state, H, W, C, S, dilation_h, dilation_w, xh, xw, w_place) -> state: copies of the
    next stage are under way, as a group. Past the end of the sum they are zeros.
    """
    starts, advance, copy_a = pixel_rows(dtype, tile, wraps)
    place_b, starts_b, copy_b = weight_rows(dtype, tile, order)
    mixed, by_filter, width = swizzle(tile.depth), order == "C", ELEMENTS[dtype].width
    chunks, tile_depth, b_first = tile.depth // 4, tile.depth, tile.depth * tile.rows
    stage, ring, depth = tile.stage, tile.stages * tile.stage, tile.depth * 4 // ELEMENTS[dtype].bytes

    def begin(thread: Any, m: Any, k: Any, group: Any, shape: Any, steps: Any) -> Any:
        count, C, K, S, P, Q, places = shape
        stride_h, stride_w, top, left, xn, xh, xw, w_filter, w_place = steps
        row, chunk = thread // chunks, thread % chunks
        to_a = i32(row * tile_depth + (chunk ^ mixed(row)) * 4)
        offsets, hs, ws = starts(m + row, count, P, Q, stride_h, stride_w, top, left, xn, xh, xw)
        own = chunk * width
        tap = own // C
        to_b, row_b, chunk_b = place_b(thread)
        b_offsets, b_limits = starts_b(row_b, chunk_b, k, K, w_filter if by_filter else w_place)
        fixed = offsets, hs, ws, b_offsets, b_limits, to_a, i32(to_b + b_first), i32(group * C), i32(own)
        state = i32(own % C), i32(tap // S), i32(tap % S), i32(group * K * w_filter), i32(places), i32(0)
        return fixed, state

    def feed(
        shared: Any, x: Any, weight: Any, fixed: Any, state: Any, H: Any, W: Any, C: Any, S: Any, dilation_h: Any,
        dilation_w: Any, xh: Any, xw: Any, w_place: Any,
    ) -> Any:  # fmt: skip
        offsets, hs, ws, b_offsets, b_limits, to_a, to_b, x_first, own = fixed
        c, r, s, w_on, left, write = state
        h_on, w_tap, inner = i32(r * dilation_h), i32(s * dilation_w), H if own < left else i32(0)
        first = i32(x_first + h_on * xh + w_tap * xw + c)
        copy_a(shared, i32(write + to_a), x, offsets, hs, ws, first, h_on, w_tap, inner, W)
        copy_b(shared, i32(write + to_b), weight, b_offsets, b_limits, w_on, left)
        commit_copies()
        c, r, s = advance(c, r, s, C, S)
        write = i32(write + stage)
        if write == ring:
            write = i32(0)
        return c, r, s, i32(w_on + depth * w_place), i32(left - depth), write

    return device(begin), device(feed)
