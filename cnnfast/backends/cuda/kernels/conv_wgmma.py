"""wgmma: implicit matrix product on Hopper's tensor cores (sm_90a), two warpgroups of 64 rows, fed by cp.async.

Operands go from shared memory straight to the tensor cores, so no register holds a fragment, and floats are cut to tf32
by the device, not rounded. A product runs while the next is given and the copies for a stage to come are started; the
warpgroup waits for the one before alone.

A stage of 128 x 256 is 4 instructions of 64 x 256 x 16 a warpgroup, 512 cycles of the multiprocessor each warpgroup if
nothing else holds them up, and 48 KB of copies. Blocks on a multiprocessor, of 65,536 registers and 228 KB: 128 x 256,
192 KB, 1; 128 x 128, 128 registers and 96 KB, 2; 128 x 64, 96 KB, 2.
"""

from typing import Any

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.async_copy import wait_copies
from cnnfast.backends.cuda.intrinsics.warpgroup import KINDS, multiply_group, publish_shared, wait_groups
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, kernel
from cnnfast.backends.cuda.kernels import tensor_epilogue, tensor_loads
from cnnfast.backends.cuda.kernels.tensor_loads import Tile
from cnnfast.backends.cuda.kernels.tensor_problem import ALIGNED, best_first, launches, takes
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import cuda, types
from cnnfast.backends.cuda.tuples import filled

i32 = types.int32
TILES = (
    Tile(128, 256, 64, 256, 4, 1, 32, 128), Tile(128, 128, 64, 128, 3, 2, 32, 128), Tile(128, 64, 64, 64, 4, 2, 32, 128)
)  # fmt: skip


@kernel
def conv_wgmma(
    dtype: str, tile: Tile, order: str, wraps: int, after: tuple[str | None, float], has_bias: bool, has_residual: bool,
    split: bool,
) -> Kernel:  # fmt: skip
    """As `conv_tensor`."""
    element, stored = ELEMENTS[dtype], "float32" if split else dtype
    begin, feed = tensor_loads.feeder(dtype, tile, order, wraps)
    depth = np.int32(tile.depth * 4 // element.bytes)  # and so the loop counts in 32 bits
    columns = tile.columns
    multiply = multiply_group(dtype, columns, 128 * int(depth) if order == "K" else 0)
    zeros = filled(np.float32(0), columns // 2)
    keep = tensor_epilogue.keep(tile, 1, columns // 8)
    finish = tensor_epilogue.finish(stored, tile, after, has_bias, has_residual)
    ahead = tile.stages - 2
    wait, wait_all, multiplied, multiplied_all = wait_copies(ahead - 1), wait_copies(0), wait_groups(1), wait_groups(0)
    stage, ring, b_first, rows = tile.stage, tile.stages * tile.stage, tile.depth * tile.rows, tile.rows
    group_words = 64 * tile.depth

    def conv(
        x: Any, weight: Any, bias: Any, residual: Any, y: Any, count: Any, H: Any, W: Any, C: Any, K: Any, S: Any,
        depth_all: Any, P: Any, Q: Any, stride_h: Any, stride_w: Any, dilation_h: Any, dilation_w: Any, top: Any,
        left: Any, xn: Any, xh: Any, xw: Any, w_filter: Any, w_place: Any, pitch: Any, tiles: Any,
        groups: Any, part: Any,
    ) -> None:  # fmt: skip
        shared = cuda.shared.array(0, types.uint32, ALIGNED)
        sums = cuda.shared.array(0, types.float32, ALIGNED)
        thread, group, turn = i32(cuda.threadIdx.x), i32(cuda.blockIdx.z % groups), i32(cuda.blockIdx.z // groups)
        m, k = i32(cuda.blockIdx.x // tiles * rows), i32(cuda.blockIdx.x % tiles * columns)
        shape, steps = (
            (count, C, K, S, P, Q),
            (stride_h, stride_w, top, left, xn, xh, xw, w_filter, w_place),
        )
        start = i32(turn * part)
        places = i32(min(part, depth_all - start))
        fixed, state = begin(thread, m, k, group, shape, steps, start, places)
        own = i32(thread // 128 * group_words)
        acc, read = zeros(), i32(0)
        for _ in range(ahead):
            state = feed(shared, x, weight, fixed, state, H, W, C, S, dilation_h, dilation_w, xh, xw, w_place)
        for _ in range(i32(0), places, depth):
            wait()
            publish_shared()
            cuda.syncthreads()  # the stage is here for all, and all are done with the one before the last
            acc = multiply(acc, shared, i32(read + own), i32(read + b_first))
            state = feed(shared, x, weight, fixed, state, H, W, C, S, dilation_h, dilation_w, xh, xw, w_place)
            acc = multiplied(acc)
            read = i32(read + stage)
            if read == ring:
                read = i32(0)
        acc = multiplied_all(acc)
        wait_all()
        cuda.syncthreads()
        warp = thread // 32
        keep(sums, warp * 16, 0, thread % 32, acc)
        cuda.syncthreads()
        finish(thread, sums, m, count, k, K, turn * types.int64(count) * pitch + group * K, bias, residual, y, pitch)

    shape, kind = KINDS[dtype]
    needs = (
        "cp.async.cg.shared.global", "fence.proxy.async", "st.global.v4", "wgmma.fence", "wgmma.commit_group",
        f"wgmma.mma_async.sync.aligned.m64n{columns}{shape}.f32.{kind}.{kind}",
    )  # fmt: skip
    parameters = (*(element.pointer,) * 4, ELEMENTS[stored].pointer, *(types.int32,) * 24)
    return Kernel("", conv, parameters, (tile.threads, 1, 1), tile.shared, tile.blocks, needs, "a")


def takes_on_hopper(problem: Conv) -> bool:
    """sm_90 alone has the instruction."""
    return problem.cc[0] == 9 and takes(problem)


def plan(problem: Conv, tile: Tile) -> Plan:
    """The product, after the weights' rearrangement where they are not contiguous along an axis of use."""
    return launches(problem, tile, conv_wgmma)


def tiles(problem: Conv) -> tuple[Tile, ...]:
    """The best first, for an H100's 132 multiprocessors."""
    return best_first(problem, TILES, 132)


ROW = Row("wgmma", takes_on_hopper, plan, tiles)
