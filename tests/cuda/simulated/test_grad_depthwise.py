"""Depthwise convolutions' gradients in the simulator, against the oracle."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)


from cnnfast.backends.cuda.arrays import host
from cnnfast.backends.cuda.grad import depthwise
from cnnfast.backends.reference import grad

RNG = np.random.default_rng(19)


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


CASES: list[tuple[tuple[int, int], dict[str, Any]]] = [
    ((3, 3), {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}),
    ((3, 5), {"stride": (2, 2), "padding": ((0, 1), (2, 1)), "dilation": (1, 1)}),
    ((3, 2), {"stride": (1, 1), "padding": ((2, 1), (0, 2)), "dilation": (2, 3)}),
    ((2, 3), {"stride": (2, 1), "padding": ((2, 2), (2, 2)), "dilation": (2, 2)}),
]


@pytest.mark.parametrize(("kernel", "options"), CASES, ids=str)
@pytest.mark.parametrize(
    ("layout", "C", "multiplier"), [("NHWC", 8, 1), ("NHWC", 3, 2), ("NCHW", 3, 1), ("NCHW", 3, 2)]
)
def test_gradients_agree(
    kernel: tuple[int, int], options: dict[str, Any], layout: str, C: int, multiplier: int
) -> None:  # fmt: skip
    shape, K = (2, 9, 11, C), C * multiplier
    P, Q = (
        (size + sum(pad) - gap * (k - 1) - 1) // step + 1
        for size, pad, gap, k, step in zip(
            (9, 11), options["padding"], options["dilation"], kernel, options["stride"], strict=True
        )
    )
    x, g, weight = normal(*shape), normal(2, P, Q, K), normal(*kernel, C, multiplier)
    if layout == "NCHW":
        x, g = (np.ascontiguousarray(each.transpose(0, 3, 1, 2)) for each in (x, g))
        weight = normal(K, 1, *kernel)
    more = options | {"layout": layout}
    found = depthwise.depthwise_conv2d_input(host(g), host(weight), input_shape=x.shape, **more).owner
    expected = grad.depthwise_conv2d_input(g, weight, input_shape=x.shape, **more)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    found = depthwise.depthwise_conv2d_weight(host(g), host(x), kernel_size=kernel, **more).owner
    expected = grad.depthwise_conv2d_weight(g, x, kernel_size=kernel, **more)
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)
