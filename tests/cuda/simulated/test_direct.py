"""The products without tensor cores in the simulator, against the oracle: tiles, ways through memory, ragged edges."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda import conv
from cnnfast.backends.cuda.arrays import host
from cnnfast.backends.cuda.kernel import Plan, Row
from cnnfast.backends.cuda.kernels import direct
from cnnfast.backends.cuda.kernels.product import Setting
from cnnfast.backends.cuda.kernels.tile import TILES

RNG = np.random.default_rng(5)
OPTIONS: dict[str, Any] = {
    "stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1, "layout": "NHWC",
    "padding_mode": "zeros", "activation": (None, 0.0),
}  # fmt: skip


def agrees(
    layout: str, size: tuple[int, int, int, int], K: int, kernel: tuple[int, int], dtype: str = "float32",
    algorithm: str = "direct", bias: bool = False, residual: bool = False, **given: Any,
) -> None:  # fmt: skip
    """A convolution of (N, H, W, C) by K filters, as the oracle has it."""
    options = OPTIONS | {"layout": layout} | given
    N, H, W, C = size
    c = C // options["groups"]
    first = layout == "NCHW"
    x = RNG.normal(size=(N, C, H, W) if first else size).astype(dtype)
    w = RNG.normal(size=(K, c, *kernel) if first else (*kernel, c, K)).astype(dtype)
    b = RNG.normal(size=K).astype(dtype) if bias else None
    expected = reference.conv2d(x, w, b, **options)
    z = RNG.normal(size=expected.shape).astype(dtype) if residual else None
    if residual:
        expected = reference.conv2d(x, w, b, z, **options)
    y = conv.conv2d(
        host(x), host(w), None if b is None else host(b), None if z is None else host(z), algorithm=algorithm, **options
    ).owner  # fmt: skip
    close = 1e-5 if dtype == "float32" else 1e-12 if dtype == "float64" else 2e-2
    assert np.allclose(y, expected, rtol=close, atol=close)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(
    ("size", "K", "kernel", "given"),
    [
        ((2, 5, 7, 8), 12, (3, 3), {"bias": True, "residual": True, "activation": ("relu", 0.0)}),
        ((1, 6, 5, 3), 5, (2, 3), {"stride": (2, 1), "padding": ((0, 1), (2, 0)), "bias": True, "residual": True}),
        ((1, 7, 6, 12), 8, (3, 2), {"dilation": (2, 3), "groups": 2, "bias": True}),
        ((1, 4, 6, 16), 36, (1, 1), {"padding": ((0, 0), (0, 0)), "stride": (1, 2)}),
        ((1, 4, 4, 4), 4, (3, 3), {"dtype": "float64", "groups": 2}),
    ],
)
def test_direct(layout: str, size: tuple[int, int, int, int], K: int, kernel: tuple[int, int], given: Any) -> None:
    agrees(layout, size, K, kernel, **given)
