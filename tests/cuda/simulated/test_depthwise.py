"""Depthwise and separable convolutions in the simulator, against the oracle."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda import depthwise
from cnnfast.backends.cuda.arrays import host

RNG = np.random.default_rng(7)


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def first(x: Any) -> Any:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


CASES = [
    {"kernel": (3, 3), "stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)},
    {"kernel": (3, 3), "stride": (2, 2), "padding": ((0, 1), (1, 1)), "dilation": (1, 1)},
    {"kernel": (5, 3), "stride": (1, 2), "padding": ((2, 2), (0, 1)), "dilation": (1, 1)},
    {"kernel": (3, 2), "stride": (2, 1), "padding": ((2, 2), (2, 2)), "dilation": (2, 3)},
    {"kernel": (7, 7), "stride": (1, 1), "padding": ((3, 3), (3, 3)), "dilation": (1, 1)},
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(
    ("layout", "C", "multiplier"), [("NHWC", 8, 1), ("NHWC", 3, 2), ("NCHW", 3, 1), ("NCHW", 3, 2)]
)
def test_depthwise_agrees(case: dict[str, Any], layout: str, C: int, multiplier: int) -> None:
    options = {name: value for name, value in case.items() if name != "kernel"}
    options |= {"layout": layout, "padding_mode": "zeros", "activation": ("silu", 0.0)}
    x, weight, bias = normal(2, 9, 10, C), normal(*case["kernel"], C, multiplier), normal(C * multiplier)
    if layout == "NCHW":
        x, weight = first(x), normal(C * multiplier, 1, *case["kernel"])
    plain = reference.depthwise_conv2d(x, weight, bias, **options)
    residual = normal(*plain.shape)
    y = depthwise.depthwise_conv2d(
        host(x), host(weight), host(bias), host(residual), algorithm="depthwise", **options
    ).owner  # fmt: skip
    assert np.allclose(y, reference.depthwise_conv2d(x, weight, bias, residual, **options), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_separable_agrees(layout: str) -> None:
    x, along, to, bias = normal(1, 5, 6, 4), normal(3, 3, 4, 1), normal(1, 1, 4, 6), normal(4)
    if layout == "NCHW":
        x, along, to = first(x), normal(4, 1, 3, 3), normal(6, 4, 1, 1)
    options: Any = {
        "stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "layout": layout, "padding_mode": "zeros",
        "activation": ("relu", 0.0), "depthwise_activation": ("relu6", 0.0),
    }  # fmt: skip
    y = depthwise.separable_conv2d(host(x), host(along), host(to), None, host(bias), **options).owner
    assert np.allclose(y, reference.separable_conv2d(x, along, to, None, bias, **options), rtol=1e-4, atol=1e-5)
