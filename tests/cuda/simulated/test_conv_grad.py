"""Convolutions' gradients and the transposed convolution in the simulator, against the oracle."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda import conv_grad
from cnnfast.backends.cuda.arrays import host
from cnnfast.backends.reference import grad

RNG = np.random.default_rng(7)
LAYOUTS = pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
SHAPES = pytest.mark.parametrize(
    ("size", "K", "kernel", "given"),
    [
        ((2, 5, 4, 8), 4, (3, 3), {"padding": ((1, 1), (1, 1))}),
        ((1, 7, 6, 3), 5, (3, 2), {"stride": (2, 3), "padding": ((1, 0), (0, 2))}),
        ((1, 7, 8, 8), 6, (3, 2), {"stride": (2, 1), "dilation": (2, 3), "groups": 2, "padding": ((0, 1), (1, 1))}),
        ((2, 4, 4, 4), 12, (1, 1), {"stride": (2, 2), "padding": ((0, 0), (0, 0))}),
        ((1, 5, 4, 4), 4, (2, 2), {"stride": (3, 2), "padding": ((0, 0), (1, 0)), "dtype": "float64"}),
    ],
)


def random(*shape: int, dtype: str = "float32") -> Any:
    return RNG.normal(size=shape).astype(dtype)


def made(layout: str, size: tuple[int, ...], K: int, kernel: tuple[int, int], given: Any) -> tuple[Any, Any, Any]:
    """x, weight and the options of a convolution."""
    options = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "layout": layout} | given
    dtype = options.pop("dtype", "float32")
    N, H, W, C = size
    c = C // options["groups"]
    if layout == "NCHW":
        return random(N, C, H, W, dtype=dtype), random(K, c, *kernel, dtype=dtype), options
    return random(*size, dtype=dtype), random(*kernel, c, K, dtype=dtype), options


@LAYOUTS
@SHAPES
def test_conv2d(layout: str, size: tuple[int, ...], K: int, kernel: tuple[int, int], given: Any) -> None:
    x, w, options = made(layout, size, K, kernel, given)
    g = random(*reference.conv2d(x, w, **options).shape, dtype=x.dtype)
    found = conv_grad.conv2d_input(host(g), host(w), input_shape=x.shape, **options).owner
    assert np.allclose(found, grad.conv2d_input(g, w, input_shape=x.shape, **options), rtol=1e-5, atol=1e-5)
    found = conv_grad.conv2d_weight(host(g), host(x), kernel_size=kernel, **options).owner
    assert np.allclose(found, grad.conv2d_weight(g, x, kernel_size=kernel, **options), rtol=1e-5, atol=1e-5)


@LAYOUTS
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_every_padding(layout: str, mode: str) -> None:
    given = {"padding": ((2, 1), (0, 3)), "stride": (2, 1), "padding_mode": mode}
    test_conv2d(layout, (1, 4, 5, 4), 4, (3, 2), given)


@LAYOUTS
@pytest.mark.parametrize(
    ("C", "given"),
    [
        (4, {"stride": (2, 2), "output_padding": (1, 1), "groups": 2}),
        (6, {"stride": (1, 3), "padding": ((0, 1), (1, 1))}),
    ],
)
def test_conv_transpose2d(layout: str, C: int, given: Any) -> None:
    options = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1, "layout": layout} | given
    first = layout == "NCHW"
    k = 8 // options["groups"]
    x = random(2, C, 3, 4) if first else random(2, 3, 4, C)
    w = random(C, k, 2, 3) if first else random(2, 3, k, C)
    b = random(8)
    z = random(*reference.conv_transpose2d(x, w, **options).shape)
    after: Any = {"activation": ("relu", 0.0)}
    y = conv_grad.conv_transpose2d(host(x), host(w), host(b), host(z), **after, **options).owner
    assert np.allclose(y, reference.conv_transpose2d(x, w, b, z, **after, **options), rtol=1e-5, atol=1e-5)
    found = conv_grad.conv_transpose2d_input(host(z), host(w), **options).owner
    assert np.allclose(found, grad.conv_transpose2d_input(z, w, **options), rtol=1e-5, atol=1e-5)
    found = conv_grad.conv_transpose2d_weight(host(z), host(x), kernel_size=(2, 3), **options).owner
    assert np.allclose(found, grad.conv_transpose2d_weight(z, x, kernel_size=(2, 3), **options), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 8), (2, 5, 7)])
def test_linear(shape: tuple[int, ...]) -> None:
    x, w, g = random(*shape), random(12, shape[-1]), random(*shape[:-1], 12)
    found = conv_grad.linear_input(host(g), host(w)).owner
    assert np.allclose(found, grad.linear_input(g, w), rtol=1e-5, atol=1e-5)
    found = conv_grad.linear_weight(host(g), host(x)).owner
    assert np.allclose(found, grad.linear_weight(g, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((2, 5, 3, 40), "NHWC"),
        ((3, 9, 5, 7), "NCHW"),
        ((700, 5), "NHWC"),
        ((2, 3, 4, 5, 6), "NCDHW"),
        ((2, 3, 9), "NLC"),
    ],
)
def test_bias(shape: tuple[int, ...], layout: str) -> None:
    g = random(*shape)
    assert np.allclose(conv_grad.bias(host(g), layout=layout).owner, grad.bias(g, layout=layout), rtol=1e-5, atol=1e-4)
