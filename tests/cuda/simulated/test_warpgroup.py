"""The twins of wgmma, mbarrier and bulk copies."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends.cuda.intrinsics import barrier, matrix, warpgroup

cuda, types = toolchain.cuda, toolchain.types
RNG = np.random.default_rng(9)


def tile(values: Any, dtype: str) -> Any:
    """Rows of 128 bytes, with the swizzle that the PTX ISA draws: chunk c of row r lies at chunk c ^ r % 8."""
    floats = np.ascontiguousarray(values, np.float32)
    if dtype == "float16":
        words = floats.astype(np.float16).view(np.uint32)
    elif dtype == "bfloat16":
        words = (floats.view(np.uint32) >> 16).astype(np.uint16).view(np.uint32)
    else:
        words = floats.view(np.uint32)
    chunks = words.reshape(-1, 8, 4)
    return np.stack([row[np.arange(8) ^ r % 8] for r, row in enumerate(chunks)]).ravel()


@pytest.mark.parametrize(("dtype", "turned"), [("float16", False), ("bfloat16", True), ("float32", False)])
def test_a_warpgroup_multiplies(dtype: str, turned: bool) -> None:
    depth, columns = (32, 16) if dtype == "float32" else (64, 128 if turned else 16)
    a, b = RNG.integers(-4, 5, (64, depth)), RNG.integers(-4, 5, (columns, depth))
    laid = np.concatenate([tile(b[i : i + 64].T, dtype) for i in range(0, columns, 64)]) if turned else tile(b, dtype)
    x = np.concatenate([tile(a, dtype), laid])
    multiply = warpgroup.multiply_group(dtype, columns, 64 * 128 if turned else 0)
    wait = warpgroup.wait_groups(0)
    store = matrix.store_pairs(tuple((8 * j, half * 8 * columns) for j in range(columns // 8) for half in (0, 1)))
    count = len(x)

    def product(x: Any, y: Any) -> None:
        shared = cuda.shared.array(count, dtype=types.uint32)
        out = cuda.shared.array(64 * columns, dtype=types.float32)
        thread = cuda.threadIdx.x
        for i in range(thread, count, 128):
            shared[i] = x[i]
        cuda.syncthreads()
        c = wait(multiply((1.0,) * (columns // 2), shared, 0, 64 * 32))
        lane, warp = thread % 32, thread // 32
        store(out, (16 * warp + lane // 4) * columns + lane % 4 * 2, c)
        cuda.syncthreads()
        for i in range(thread, 64 * columns, 128):
            y[i] = out[i]

    y = np.zeros(64 * columns, np.float32)
    cuda.jit(product)[1, 128](x, y)
    assert (y.reshape(64, columns) == 1 + a @ b.T).all()


def test_barriers_count_arrivals_and_bytes() -> None:
    """One thread copies two pieces, a phase each; all see each piece when its phase has ended, and not before."""

    def copied(x: Any, y: Any) -> None:
        shared = cuda.shared.array(16, dtype=types.uint32)
        thread = cuda.threadIdx.x
        if thread == 0:
            barrier.begin_barrier(shared, 12, 1)
            barrier.begin_barrier(shared, 14, 4)
            barrier.publish_barriers()
        cuda.syncthreads()
        for phase in range(2):
            if thread == 0:
                while phase == 1 and not barrier.try_wait(shared, 14, 0):
                    pass
                barrier.arrive_expecting(shared, 12, 32)
                barrier.copy_bulk(shared, 0, x, 8 * phase, 16, 12)
                barrier.copy_bulk(shared, 4, x, 8 * phase + 4, 16, 12)
            while not barrier.try_wait(shared, 12, phase):
                pass
            for i in range(thread, 8, 4):
                y[8 * phase + i] = shared[i]
            barrier.arrive(shared, 14)

    x, y = np.arange(1, 17, dtype=np.uint32), np.zeros(16, np.uint32)
    cuda.jit(copied)[1, 4](x, y)
    assert (x == y).all()
