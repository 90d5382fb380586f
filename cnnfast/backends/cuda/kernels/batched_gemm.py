"""Matrix products in float32, many of one size: C[f][m][n] = sum over k of A[f][k][m] * B[f][k][n].

Both operands lie with the reduction outermost, so that a step of it is a row of each: 16-byte copies into shared memory
and out of it, no transposition. Every size is a multiple of the tile's: who makes the operands pads them.

A thread has 8 x 8 sums: a step of the reduction is 4 loads of 16 bytes from shared memory and 64 multiply-adds. Its rows
and its columns are two groups of four, half a tile apart, so that neighbouring threads read neighbouring 16 bytes.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from cnnfast.backends.cuda.intrinsics.async_copy import commit, copy_async, wait
from cnnfast.backends.cuda.intrinsics.memory import load_vector, store_vector
from cnnfast.backends.cuda.intrinsics.tuples import outer
from cnnfast.backends.cuda.kernel import Kernel, kernel
from cnnfast.backends.cuda.toolchain import cuda, device, pointer, types

SIDE: Final = 8
"""Sums of a thread, each way."""
DEPTH: Final = 8
"""Steps of the reduction between two barriers: the reduction's length is a multiple."""
STAGES: Final = 3
"""Pieces of the operands in shared memory: one is computed with while the others come."""


class Tile(NamedTuple):
    """A block's part of C."""

    m: int
    n: int

    @property
    def threads(self) -> int:
        return self.m * self.n // SIDE**2


def _copier(width: int, threads: int) -> Any:
    """copy(to, at, source, first, step): DEPTH rows of `width` numbers, `step` apart in the source; a thread's first 16
    bytes are at `at` and `first`, and those that follow whole rows below."""
    each, rows = DEPTH * width // 4 // threads, np.int32(4 * threads // width)
    later = np.int32(4 * threads)

    def copy(to: Any, at: Any, source: Any, first: Any, step: Any) -> None:
        for i in range(each):
            copy_async(to, np.int32(at + np.int32(i) * later), source, first + np.int32(i) * rows * step)

    return device(copy)


def _multiplier(tile: Tile, steps: int) -> Any:
    """multiply(sums, left, i, right, j): so many steps of the reduction, without a loop."""
    if steps == 1:
        load, half_m, half_n = load_vector(4), np.int32(tile.m // 2), np.int32(tile.n // 2)

        def once(sums: Any, left: Any, i: Any, right: Any, j: Any) -> Any:
            return outer(sums, load(left, i) + load(left, i + half_m), load(right, j) + load(right, j + half_n))

        return device(once)
    half, later_m, later_n = _multiplier(tile, steps // 2), np.int32(steps // 2 * tile.m), np.int32(steps // 2 * tile.n)

    def twice(sums: Any, left: Any, i: Any, right: Any, j: Any) -> Any:
        return half(half(sums, left, i, right, j), left, i + later_m, right, j + later_n)

    return device(twice)


@kernel
def batched_gemm(tile: Tile) -> Kernel:
    """The kernel for a tile; grid (n / tile.n, m / tile.m, count)."""
    tile_m, tile_n, across = np.int32(tile.m), np.int32(tile.n), np.int32(tile.n // SIDE)
    half_m, half_n = np.int32(tile.m // 2), np.int32(tile.n // 2)
    quads_a, quads_b = np.int32(tile.m // 4), np.int32(tile.n // 4)
    four, depth, one = np.int32(4), np.int32(DEPTH), np.int32(1)
    all_a, all_b = STAGES * DEPTH * tile.m, STAGES * DEPTH * tile.n
    size_a, size_b = np.int32(DEPTH * tile.m), np.int32(DEPTH * tile.n)
    stages, ahead = np.int32(STAGES), np.int32(STAGES - 1)
    store, arrived, multiply = store_vector(4), wait(STAGES - 2), _multiplier(tile, DEPTH)
    copy_a, copy_b = _copier(tile.m, tile.threads), _copier(tile.n, tile.threads)
    zeros = (np.float32(0),) * SIDE**2

    @device
    def put(c: Any, to: Any, row: Any) -> None:
        store(c, to, row[0:4])
        store(c, to + half_n, row[4:8])

    def gemm(a: Any, b: Any, c: Any, m: Any, n: Any, k: Any) -> None:
        left = cuda.shared.array(all_a, types.float32)
        right = cuda.shared.array(all_b, types.float32)
        mine = np.int32(cuda.threadIdx.x)
        first_m, first_n = np.int32(cuda.blockIdx.y) * tile_m, np.int32(cuda.blockIdx.x) * tile_n
        batch = types.int64(cuda.blockIdx.z)
        at_a = batch * k * m + mine // quads_a * m + first_m + mine % quads_a * four
        at_b = batch * k * n + mine // quads_b * n + first_n + mine % quads_b * four
        my_m, my_n, my_quad = mine // across * four, mine % across * four, mine * four
        steps = k // depth
        for i in range(ahead):
            if i < steps:
                copy_a(left, np.int32(i) * size_a + my_quad, a, at_a, m)
                copy_b(right, np.int32(i) * size_b + my_quad, b, at_b, n)
                at_a += depth * m
                at_b += depth * n
            commit()
        sums, now, then = zeros, np.int32(0), ahead
        for step in range(steps):
            arrived()
            cuda.syncthreads()
            if step + ahead < steps:
                copy_a(left, then * size_a + my_quad, a, at_a, m)
                copy_b(right, then * size_b + my_quad, b, at_b, n)
                at_a += depth * m
                at_b += depth * n
            commit()
            sums = multiply(sums, left, now * size_a + my_m, right, now * size_b + my_n)
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
    blocks = 512 // tile.threads  # 128 registers a thread: 64 sums, 16 values of the operands, addresses
    needs = "cp.async.cg", "ld.shared.v4", "st.global.v4", "fma.rn.f32"
    return Kernel("", gemm, parameters, (tile.threads, 1, 1), blocks=blocks, needs=needs)
