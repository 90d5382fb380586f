"""Matrix products in float32, many of one size: C[f][m][n] = sum over k of A[f][k][m] * B[f][k][n].

Both operands lie with the reduction outermost, so that a step of it is a row of each: 16-byte copies into shared memory
and out of it, no transposition. Every size is a multiple of the tile's: who makes the operands pads them.

A thread has 8 x 8 sums, as in `tile`: a step of the reduction is 4 loads of 16 bytes from shared memory and 64
multiply-adds.
"""

from typing import Any, Final

import numpy as np

from cnnfast.backends.cuda.intrinsics.async_copy import commit_copies, copy_async, wait_copies
from cnnfast.backends.cuda.intrinsics.memory import store_vector
from cnnfast.backends.cuda.intrinsics.tile import Fragment, multiply
from cnnfast.backends.cuda.kernel import Kernel, kernel
from cnnfast.backends.cuda.toolchain import QUADS, cuda, device, pointer, types

from .tile import Tile, corner

STAGES: Final = 3
"""Pieces of the operands in shared memory: one is computed with while the others come."""


def _copier(width: int, depth: int, threads: int) -> Any:
    """copy(to, at, source, first, step): `depth` rows of `width` numbers, `step` apart in the source. A thread's first
    16 bytes are at `at` and `first`, and those that follow whole rows below."""
    each, rows = depth * width // 4 // threads, np.int32(4 * threads // width)
    later = np.int32(4 * threads)

    def copy(to: Any, at: Any, source: Any, first: Any, step: Any) -> None:
        for i in range(each):
            copy_async(to, np.int32(at + np.int32(i) * later), source, first + np.int32(i) * rows * step, True)

    return device(copy)


@kernel
def batched_gemm(tile: Tile) -> Kernel:
    """The kernel for a tile of 8 x 8 sums a thread; grid (n / tile.n, m / tile.m, count)."""
    tile_m, tile_n, half_m, half_n = (np.int32(n) for n in (tile.m, tile.n, tile.m // 2, tile.n // 2))
    quads_a, quads_b, four, one = (np.int32(n) for n in (tile.m // 4, tile.n // 4, 4, 1))
    all_a, all_b = STAGES * tile.depth * tile.m, STAGES * tile.depth * tile.n
    size_a, size_b = np.int32(tile.depth * tile.m), np.int32(tile.depth * tile.n)
    depth, ahead = np.int32(tile.depth), np.int32(STAGES - 1)
    copy_a, copy_b = (_copier(width, tile.depth, tile.threads) for width in (tile.m, tile.n))
    shares = Fragment(4, 2, tile.m // 2, tile.m), Fragment(4, 2, tile.n // 2, tile.n)
    add_products, place = multiply(*shares, tile.depth), corner(tile, 4)
    store, arrived = store_vector(4), wait_copies(STAGES - 2)
    zeros = (np.float32(0),) * 64

    @device
    def put(c: Any, to: Any, row: Any) -> None:
        store(c, to, row[0:4])
        store(c, to + half_n, row[4:8])

    def gemm(a: Any, b: Any, c: Any, m: Any, n: Any, k: Any) -> None:
        left = cuda.shared.array(all_a, types.float32, QUADS)
        right = cuda.shared.array(all_b, types.float32, QUADS)
        mine = np.int32(cuda.threadIdx.x)
        first_m, first_n = np.int32(cuda.blockIdx.y) * tile_m, np.int32(cuda.blockIdx.x) * tile_n
        batch = types.int64(cuda.blockIdx.z)
        at_a = batch * k * m + mine // quads_a * m + first_m + mine % quads_a * four
        at_b = batch * k * n + mine // quads_b * n + first_n + mine % quads_b * four
        my_quad = mine * four
        my_m, my_n = place(mine)
        steps = k // depth
        for i in range(ahead):
            if i < steps:
                copy_a(left, np.int32(i) * size_a + my_quad, a, at_a, m)
                copy_b(right, np.int32(i) * size_b + my_quad, b, at_b, n)
                at_a += depth * m
                at_b += depth * n
            commit_copies()
        sums, now, then = zeros, np.int32(0), ahead
        for step in range(steps):
            arrived()
            cuda.syncthreads()
            if step + ahead < steps:
                copy_a(left, then * size_a + my_quad, a, at_a, m)
                copy_b(right, then * size_b + my_quad, b, at_b, n)
                at_a += depth * m
                at_b += depth * n
            commit_copies()
            sums = add_products(sums, left, now * size_a + my_m, right, now * size_b + my_n)
            now = np.int32(0) if now == ahead else now + one
            then = np.int32(0) if then == ahead else then + one
        to = batch * m * n + types.int64(first_m + my_m) * n + first_n + my_n
        below = to + half_m * n
        put(c, to, sums[0:8])
        put(c, to + n, sums[8:16])
        put(c, to + 2 * n, sums[16:24])
        put(c, to + 3 * n, sums[24:32])
        put(c, below, sums[32:40])
        put(c, below + n, sums[40:48])
        put(c, below + 2 * n, sums[48:56])
        put(c, below + 3 * n, sums[56:64])

    parameters = (*(pointer(types.float32),) * 3, *(types.int32,) * 3)
    needs = "cp.async.cg", "ld.shared.v4", "st.global.v4", "fma.rn.f32"
    return Kernel("", gemm, parameters, (tile.threads, 1, 1), blocks=tile.blocks, needs=needs)
