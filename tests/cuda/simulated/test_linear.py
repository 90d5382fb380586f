"""linear's kernels in the simulator, against the oracle."""

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda import linear
from cnnfast.backends.cuda.arrays import host

RNG = np.random.default_rng(6)


@pytest.mark.parametrize(
    ("row", "shape", "K", "dtype"),
    [
        ("rows", (1, 140), 5, "float32"),
        ("rows", (8,), 3, "float32"),
        ("rows", (3, 136), 11, "float32"),
        ("rows", (2, 4, 12), 18, "float32"),
        ("rows", (5, 6), 3, "float64"),
        ("direct", (9, 20), 6, "float32"),
        ("direct", (3, 5, 7), 33, "float32"),
        ("plain", (2, 7), 3, "float32"),
    ],
)
def test_linear(row: str, shape: tuple[int, ...], K: int, dtype: str) -> None:
    x = RNG.normal(size=shape).astype(dtype)
    w = RNG.normal(size=(K, shape[-1])).astype(dtype)
    b = RNG.normal(size=K).astype(dtype)
    for bias, after in ((b, ("silu", 0.0)), (None, (None, 0.0))):
        given = None if bias is None else host(bias)
        y = linear.linear(host(x), host(w), given, activation=after, algorithm=row).owner
        close = 1e-5 if dtype == "float32" else 1e-12
        assert np.allclose(y, reference.linear(x, w, bias, activation=after), rtol=close, atol=close)
