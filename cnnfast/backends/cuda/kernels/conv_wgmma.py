"""wgmma: implicit matrix product on Hopper's tensor cores (sm_90a), two warpgroups of 64 rows, fed by cp.async.

Operands go from shared memory straight to the tensor cores, so no register holds a fragment. A product runs while the
next is given and the copies for two stages on are started; the warpgroup waits for the one before alone.
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
    dtype: str, tile: Tile, order: str, wraps: int, after: tuple[str | None, float], has_bias: bool, has_residual: bool
) -> Kernel:
    """As `conv_tensor`."""
    element = ELEMENTS[dtype]
    begin, feed = tensor_loads.feeder(dtype, tile, order, wraps)
    depth = tile.depth * 4 // element.bytes
    columns = tile.columns
    multiply = multiply_group(dtype, columns, 128 * depth if order == "K" else 0)
    zeros = filled(np.float32(0), columns // 2)
    keep = tensor_epilogue.keep(tile, 1, columns // 8)
    finish = tensor_epilogue.finish(dtype, tile, after, has_bias, has_residual)
    ahead = tile.stages - 2
    wait, wait_all, multiplied, multiplied_all = wait_copies(ahead - 1), wait_copies(0), wait_groups(1), wait_groups(0)
    stage, ring, b_first, rows = tile.stage, tile.stages * tile.stage, tile.depth * tile.rows, tile.rows
    group_words = 64 * tile.depth

    def conv(
        x: Any, weight: Any, bias: Any, residual: Any, y: Any, count: Any, H: Any, W: Any, C: Any, K: Any, S: Any,
        depth_all: Any, P: Any, Q: Any, stride_h: Any, stride_w: Any, dilation_h: Any, dilation_w: Any, top: Any,
        left: Any, xn: Any, xh: Any, xw: Any, w_filter: Any, w_place: Any, pitch: Any, tiles: Any,
    ) -> None:  # fmt: skip
        shared = cuda.shared.array(0, types.uint32, ALIGNED)
        sums = cuda.shared.array(0, types.float32, ALIGNED)
        thread, group = i32(cuda.threadIdx.x), i32(cuda.blockIdx.z)
        m, k = i32(cuda.blockIdx.x // tiles * rows), i32(cuda.blockIdx.x % tiles * columns)
        shape, steps = (
            (count, C, K, S, P, Q, depth_all),
            (stride_h, stride_w, top, left, xn, xh, xw, w_filter, w_place),
        )
        fixed, state = begin(thread, m, k, group, shape, steps)
        own = i32(thread // 128 * group_words)
        acc, read = zeros(), i32(0)
        for _ in range(ahead):
            state = feed(shared, x, weight, fixed, state, H, W, C, S, dilation_h, dilation_w, xh, xw, w_place)
        for _ in range(0, depth_all, depth):
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
        finish(thread, sums, m, count, k, K, group * K, bias, residual, y, pitch)

    shape, kind = KINDS[dtype]
    needs = (
        "cp.async.cg.shared.global", "fence.proxy.async", "st.global.v4", "wgmma.fence", "wgmma.commit_group",
        f"wgmma.mma_async.sync.aligned.m64n{columns}{shape}.f32.{kind}.{kind}",
    )  # fmt: skip
    parameters = (*(element.pointer,) * 5, *(types.int32,) * 22)
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
