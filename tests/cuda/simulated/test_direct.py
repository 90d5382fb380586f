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
from cnnfast.backends.cuda.arrays import DeviceArray, host
from cnnfast.backends.cuda.intrinsics.integers import divisor, quotient
from cnnfast.backends.cuda.kernels import direct
from cnnfast.backends.cuda.kernels.product import Setting
from cnnfast.backends.cuda.kernels.tile import TILES, Tile
from cnnfast.backends.cuda.problem import Conv

RNG = np.random.default_rng(5)
OPTIONS: dict[str, Any] = {
    "stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1, "layout": "NHWC",
    "padding_mode": "zeros", "activation": (None, 0.0),
}  # fmt: skip
CLOSE = {"float32": 1e-5, "float64": 1e-12, "float16": 2e-2}


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
    conv.plan.cache_clear()
    y = conv.conv2d(on_device(x), on_device(w), on_device(b), on_device(z), algorithm=algorithm, **options).owner
    assert np.allclose(y.view(dtype), expected, rtol=CLOSE[dtype], atol=CLOSE[dtype])


def on_device(array: Any) -> DeviceArray | None:
    """An array as the simulator's: a half's as the bits that a device has."""
    if array is None:
        return None
    return host(array.view(np.uint16), "float16") if array.dtype == np.float16 else host(array)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(
    ("size", "K", "kernel", "given"),
    [
        ((2, 5, 7, 8), 12, (3, 3), {"bias": True, "residual": True, "activation": ("relu", 0.0)}),
        ((1, 6, 5, 3), 5, (2, 3), {"stride": (2, 1), "padding": ((0, 1), (2, 0)), "bias": True, "residual": True}),
        ((1, 9, 8, 3), 6, (4, 5), {"stride": (2, 2), "padding": ((2, 1), (2, 3)), "bias": True}),
        ((1, 5, 8, 2), 4, (3, 3), {"dilation": (1, 2)}),
        ((1, 7, 6, 12), 8, (3, 2), {"dilation": (2, 3), "groups": 2, "bias": True}),
        ((1, 4, 6, 16), 36, (1, 1), {"padding": ((0, 0), (0, 0)), "stride": (1, 2)}),
        ((3, 2, 6, 11), 7, (1, 1), {"padding": ((0, 0), (0, 0)), "bias": True}),
        ((1, 4, 4, 4), 4, (3, 3), {"dtype": "float64", "groups": 2}),
        ((1, 5, 4, 4), 8, (2, 2), {"dtype": "float16", "bias": True, "residual": True}),
    ],
)
def test_direct(layout: str, size: tuple[int, int, int, int], K: int, kernel: tuple[int, int], given: Any) -> None:
    agrees(layout, size, K, kernel, **given)


@pytest.mark.parametrize("tile", TILES["float32"][:3], ids=str)
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_every_tile_and_sums_in_parts(layout: str, tile: Tile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "settings", lambda product: (Setting(tile, 4),))
    agrees(layout, (1, 4, 3, 12), 12, (2, 3), bias=True, residual=True, activation=("relu", 0.0))


def test_a_small_problem_is_made_in_parts() -> None:
    problem = Conv(
        1, 7, 7, 512, 512, 3, 3, 7, 7, (1, 1), ((1, 1), (1, 1)), (1, 1), 1, "float32", "default",
        (25088, 3584, 512, 1), (786432, 262144, 512, 1), (25088, 3584, 512, 1),
    )  # fmt: skip
    product, total = direct.ROW.plan(problem, direct.ROW.tiles(problem)[0]).steps
    assert product.grid[0] * product.grid[1] >= 132
    assert total.arrays[0] == product.arrays[-1] == "parts_of_y"


def test_division_by_multiplication() -> None:
    numbers = np.r_[0:100, 2**31 - 100 : 2**31].astype(object)
    for d in (1, 2, 3, 7, 49, 224, 12544, 2**20 + 1, 2**31 - 1):
        factor, shift = divisor(d)
        assert factor < 2**32
        assert all(quotient(n, factor, shift) == n // d for n in [*numbers, d - 1, d, d + 1, 2 * d - 1] if n < 2**31)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("algorithm", ["direct", "im2col"])
def test_every_padding(algorithm: str, layout: str, mode: str) -> None:
    given: dict[str, Any] = {"padding": ((1, 2), (2, 1)), "stride": (2, 1), "dilation": (1, 2), "groups": 2}
    agrees(layout, (2, 5, 6, 6), 10, (3, 2), algorithm=algorithm, padding_mode=mode, bias=True, residual=True, **given)
