"""The twins of ldmatrix, mma.sync and cp.async: fragments go where PTX says, seen through a plain matrix product."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends.cuda.intrinsics import async_copy, matrix

cuda, types = toolchain.cuda, toolchain.types
RNG = np.random.default_rng(7)


def words(values: Any, dtype: str) -> Any:
    """Rows of numbers, exact in dtype, as 32-bit words."""
    floats = np.ascontiguousarray(values, np.float32)
    if dtype == "float16":
        return floats.astype(np.float16).view(np.uint32)
    if dtype == "bfloat16":
        return (floats.view(np.uint32) >> 16).astype(np.uint16).view(np.uint32)
    return floats.view(np.uint32)


@pytest.mark.parametrize(
    ("dtype", "transposed"), [("float16", False), ("float16", True), ("bfloat16", True), ("float32", False)]
)
def test_a_warp_multiplies_what_it_loads(dtype: str, transposed: bool) -> None:
    depth = 8 if dtype == "float32" else 16
    a, b = RNG.integers(-4, 5, (16, depth)), RNG.integers(-4, 5, (16, depth))
    load_a = matrix.load_matrices(((0, 0),))
    load_b = matrix.load_matrices(((0, 128),), transposed)
    mma = matrix.multiply(dtype, 1, 2)
    store = matrix.store_pairs(((0, 0), (0, 128), (8, 0), (8, 128)))
    copy = async_copy.copy_async

    def product(x: Any, y: Any) -> None:
        shared = cuda.shared.array(256, dtype=types.uint32)
        out = cuda.shared.array(256, dtype=types.float32)
        lane = cuda.threadIdx.x
        for i in range(lane * 4, 256, 128):
            copy(shared, i, x, i, True)
        cuda.syncthreads()
        left = load_a(shared, lane % 16 * 8 + lane // 16 * 4)
        if transposed:  # rows are b's 16 places of depth, of 16 columns each
            right = load_b(shared, lane % 16 * 8 + lane // 16 * 4)
        else:
            right = load_b(shared, (lane // 16 * 8 + lane % 8) * 8 + lane // 8 % 2 * 4)
        c = mma((1.0,) * 8, left, right)
        store(out, lane // 4 * 16 + lane % 4 * 2, c)
        cuda.syncthreads()
        for i in range(lane, 256, 32):
            y[i] = out[i]

    y = np.zeros(256, np.float32)
    x = np.concatenate([words(a, dtype).ravel(), words(b.T if transposed else b, dtype).ravel()])
    cuda.jit(product)[1, 32](x, y)
    assert (y.reshape(16, 16) == 1 + a @ b.T).all()


def test_a_copy_from_outside_is_zeros() -> None:
    def copied(x: Any, y: Any) -> None:
        shared = cuda.shared.array(8, dtype=types.uint32)
        shared[:] = 7
        async_copy.copy_async(shared, 0, x, 8, True)
        async_copy.copy_async(shared, 4, x, 1000, False)
        y[:] = shared

    y = np.zeros(8, np.uint32)
    x = np.arange(16, dtype=np.uint16)
    cuda.jit(copied)[1, 1](x, y)
    assert (y[:4].view(np.uint16) == x[8:]).all()
    assert not y[4:].any()


def test_tf32_is_rounded_to_nearest_ties_away() -> None:
    given = np.array([1.0, 1 + 2**-11, -1 - 2**-11, 1 + 2**-12, np.inf, np.nan, 3.4028234e38], np.float32)
    found = np.array(matrix.round_tf32(given.view(np.uint32)), np.uint32).view(np.float32)
    assert np.array_equal(found, np.array([1, 1 + 2**-10, -1 - 2**-10, 1, np.inf, np.nan, np.inf], np.float32), True)
