"""tensor: implicit matrix product on tensor cores by mma.sync (sm_80 on), fed by cp.async in a ring of stages.

A warp of the 128 x 128 tile computes 64 x 64: for 16 (halves) or 8 (tf32) places of the sum 4 + 4 ldmatrix.x4 feed 32
mma.sync. So four warps read 16 KB of shared memory in the 256 cycles that an A100's tensor cores multiply them for:
half of what its 128 bytes a cycle allow; 64 x 32 a warp (the tile of 64 columns) takes three quarters. A stage's two
such steps alternate: while one multiplies, the other's fragments are on their way.

Blocks on a multiprocessor, of 65,536 registers and 164 KB: 128 x 128, 255 registers and 64 KB, 2; 128 x 64, 168 and
48 KB, 3 (tf32: 2); 64 x 64, 128 and 32 KB, 4. From global memory a stage brings 128 x 64 bytes twice for 128 x 128 x 32
products: 32 a byte loaded, which the second-level cache serves for the most part, as neighbouring blocks share
their pixels.
"""

from typing import Any

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.async_copy import wait_copies
from cnnfast.backends.cuda.intrinsics.matrix import SHAPES, load_matrices, multiply, round_tf32
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, kernel
from cnnfast.backends.cuda.kernels import tensor_epilogue, tensor_loads
from cnnfast.backends.cuda.kernels.tensor_loads import Tile
from cnnfast.backends.cuda.kernels.tensor_problem import ALIGNED, best_first, launches, takes
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import cuda, device, types
from cnnfast.backends.cuda.tuples import filled

i32 = types.int32
TILES = Tile(128, 128, 64, 64, 4, 2), Tile(128, 64, 64, 32, 4, 3), Tile(64, 64, 32, 32, 4, 4)

TF32_TILES = TILES[0], TILES[1]._replace(blocks=2), TILES[2]
"""Rounding takes a register or two more than the third block leaves."""


def fragments(dtype: str, tile: Tile, order: str) -> tuple[Any, Any, Any]:
    """(places, loads of a's fragments and b's for a stage's first step and its second).

    places(thread): where the thread reads in A and in B of a stage. loads[i](shared, at_a, at_b).
    """
    mixed, mixed_k = tensor_loads.swizzle(16), tensor_loads.swizzle(32)
    warps, warp_rows, warp_columns, slab = tile.columns // tile.warp_columns, tile.warp_rows, tile.warp_columns, 1024
    exact, by_filter = dtype != "float32", order == "C"

    def places(thread: Any) -> Any:
        warp, lane = thread // 32, thread % 32
        row = warp // warps * warp_rows + lane % 16
        at_a = row * 16 + (lane // 16 ^ mixed(row)) * 4
        column = warp % warps * warp_columns
        if not by_filter:
            row, chunk = lane % 16, column // 8 + lane // 16
            return i32(at_a), i32(chunk // 8 * slab + row * 32 + (chunk % 8 ^ mixed_k(row)) * 4)
        row = column + lane // 16 * 8 + lane % 8
        return i32(at_a), i32(row * 16 + (lane // 8 % 2 ^ mixed(row)) * 4)

    def loads(second: bool) -> Any:
        flip, step = (8 * second, 0) if by_filter else (0, 512 * second)
        rows = tuple((8 * second, 256 * i) for i in range(warp_rows // 16))
        columns = tuple(
            (flip, 256 * j) if by_filter else (8 * j, step) for j in range(warp_columns // 16)
        )  # fmt: skip
        load_a, load_b = load_matrices(rows), load_matrices(columns, not by_filter)

        def load(shared: Any, at_a: Any, at_b: Any) -> Any:
            if exact:
                return load_a(shared, at_a), load_b(shared, at_b)
            return round_tf32(load_a(shared, at_a)), round_tf32(load_b(shared, at_b))

        return device(load)

    return device(places), loads(False), loads(True)


@kernel
def conv_tensor(
    dtype: str, tile: Tile, order: str, wraps: int, after: tuple[str | None, float], has_bias: bool, has_residual: bool,
    split: bool,
) -> Kernel:  # fmt: skip
    """The kernel for a dtype, a tile, the axis that is contiguous in the weights, and an epilogue.

    wraps: how many taps a stage's places of the sum can span. split: y is float32, and takes the sums of each part.
    """
    element, stored = ELEMENTS[dtype], "float32" if split else dtype
    where, load_first, load_second = fragments(dtype, tile, order)
    begin, feed = tensor_loads.feeder(dtype, tile, order, wraps)
    row_tiles, column_tiles = tile.warp_rows // 16, tile.warp_columns // 8
    mma, zeros = multiply(dtype, row_tiles, column_tiles), filled(np.float32(0), 4 * row_tiles * column_tiles)
    keep = tensor_epilogue.keep(tile, row_tiles, column_tiles)
    finish = tensor_epilogue.finish(stored, tile, after, has_bias, has_residual)
    wait, wait_all = wait_copies(tile.stages - 2), wait_copies(0)
    stage, ring, b_first, ahead = tile.stage, tile.stages * tile.stage, tile.depth * tile.rows, tile.stages - 1
    depth = np.int32(tile.depth * 4 // element.bytes)  # and so the loop counts in 32 bits
    block_rows, block_columns, warp_rows, warp_columns = tile.rows, tile.columns, tile.warp_rows, tile.warp_columns
    warps = block_columns // warp_columns

    def conv(
        x: Any, weight: Any, bias: Any, residual: Any, y: Any, count: Any, H: Any, W: Any, C: Any, K: Any, S: Any,
        depth_all: Any, P: Any, Q: Any, stride_h: Any, stride_w: Any, dilation_h: Any, dilation_w: Any, top: Any,
        left: Any, xn: Any, xh: Any, xw: Any, w_filter: Any, w_place: Any, pitch: Any, tiles: Any,
        groups: Any, part: Any,
    ) -> None:  # fmt: skip
        shared = cuda.shared.array(0, types.uint32, ALIGNED)
        sums = cuda.shared.array(0, types.float32, ALIGNED)
        thread, group, turn = i32(cuda.threadIdx.x), i32(cuda.blockIdx.z % groups), i32(cuda.blockIdx.z // groups)
        m, k = i32(cuda.blockIdx.x // tiles * block_rows), i32(cuda.blockIdx.x % tiles * block_columns)

        shape, steps = (
            (count, C, K, S, P, Q),
            (stride_h, stride_w, top, left, xn, xh, xw, w_filter, w_place),
        )
        start = i32(turn * part)
        places = i32(min(part, depth_all - start))
        fixed, state = begin(thread, m, k, group, shape, steps, start, places)
        at_a, at_b = where(thread)
        at_b = i32(at_b + b_first)
        acc, read = zeros(), i32(0)
        for _ in range(ahead):
            state = feed(shared, x, weight, fixed, state, H, W, C, S, dilation_h, dilation_w, xh, xw, w_place)
        wait()
        cuda.syncthreads()
        a, b = load_first(shared, at_a, at_b)
        for _ in range(i32(0), places, depth):
            a2, b2 = load_second(shared, i32(read + at_a), i32(read + at_b))
            state = feed(shared, x, weight, fixed, state, H, W, C, S, dilation_h, dilation_w, xh, xw, w_place)
            acc = mma(acc, a, b)
            read = i32(read + stage)
            if read == ring:
                read = i32(0)
            wait()
            cuda.syncthreads()
            a, b = load_first(shared, i32(read + at_a), i32(read + at_b))
            acc = mma(acc, a2, b2)
        wait_all()
        cuda.syncthreads()
        warp = thread // 32
        keep(sums, warp // warps * warp_rows, warp % warps * warp_columns, thread % 32, acc)
        cuda.syncthreads()
        finish(thread, sums, m, count, k, K, turn * types.int64(count) * pitch + group * K, bias, residual, y, pitch)

    trans = ".trans" if order == "K" else ""
    needs = (
        "cp.async.cg.shared.global", "ldmatrix.sync.aligned.m8n8.x4.shared", f"ldmatrix.sync.aligned.m8n8.x4{trans}.",
        f"mma.sync.aligned.{SHAPES[dtype]}", "st.global.v4", *(["cvt.rna.tf32.f32"] if dtype == "float32" else []),
    )  # fmt: skip
    parameters = (*(element.pointer,) * 4, ELEMENTS[stored].pointer, *(types.int32,) * 24)
    return Kernel("", conv, parameters, (tile.threads, 1, 1), tile.shared, tile.blocks, needs)


def plan(problem: Conv, tile: Tile) -> Plan:
    """The product, after the weights' rearrangement where they are not contiguous along an axis of use."""
    return launches(problem, tile, conv_tensor)


def tiles(problem: Conv) -> tuple[Tile, ...]:
    """The best first, for an A100's 108 multiprocessors."""
    return best_first(problem, TILES if problem.dtype != "float32" else TF32_TILES, 108)


ROW = Row("tensor", takes, plan, tiles)
