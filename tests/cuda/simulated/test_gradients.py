"""The functions of `cnnfast.grad` on a device, against the same calls on the CPU in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

import device_arrays

import cnnfast
from cnnfast import grad
from cnnfast.ops.device import table

RNG = np.random.default_rng(3)
SHAPE = (2, 5, 4, 3)


def noise(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


X, C3 = noise(*SHAPE), noise(3)
Y, INDICES = cnnfast.max_pool2d(X, 2, return_indices=True)
MEAN, VAR = X.mean((0, 1, 2)), X.var((0, 1, 2))

To = Callable[[np.ndarray], Any]
CALLS: dict[str, Callable[[To], Any]] = {
    "conv2d_input": lambda to: grad.conv2d_input(to(noise_of(2, 3, 2, 6)), to(noise_of(3, 3, 3, 6)), SHAPE),
    "conv2d_weight": lambda to: grad.conv2d_weight(to(noise_of(2, 5, 4, 6)), to(X), 3, padding="same"),
    "depthwise_conv2d_input": lambda to: grad.depthwise_conv2d_input(
        to(noise_of(2, 5, 4, 6)), to(noise_of(3, 3, 3, 2)), SHAPE, padding=1
    ),
    "depthwise_conv2d_weight": lambda to: grad.depthwise_conv2d_weight(to(noise_of(2, 3, 2, 6)), to(X), 3),
    "conv_transpose2d_input": lambda to: grad.conv_transpose2d_input(
        to(noise_of(1, 6, 8, 2)), to(noise_of(2, 2, 2, 3)), stride=2
    ),
    "conv_transpose2d_weight": lambda to: grad.conv_transpose2d_weight(to(noise_of(2, 10, 8, 2)), to(X), 2, stride=2),
    "linear_input": lambda to: grad.linear_input(to(noise_of(2, 3, 5)), to(noise_of(5, 4))),
    "linear_weight": lambda to: grad.linear_weight(to(noise_of(2, 3, 5)), to(noise_of(2, 3, 4))),
    "bias": lambda to: grad.bias(to(X)),
    "max_pool2d": lambda to: grad.max_pool2d(to(noise_of(*Y.shape)), to(INDICES), SHAPE),
    "min_pool2d": lambda to: grad.min_pool2d(to(noise_of(*Y.shape)), to(X), 2),
    "avg_pool2d": lambda to: grad.avg_pool2d(to(noise_of(2, 3, 2, 3)), SHAPE, 3, 2, padding=1, count_include_pad=False),
    "adaptive_avg_pool2d": lambda to: grad.adaptive_avg_pool2d(to(noise_of(2, 3, 3, 3)), SHAPE),
    "global_avg_pool2d": lambda to: grad.global_avg_pool2d(to(noise_of(2, 1, 1, 3)), SHAPE),
    "global_max_pool2d": lambda to: grad.global_max_pool2d(
        to(noise_of(2, 1, 1, 3)), to(X), to(X.max((1, 2), keepdims=True))
    ),
    "activation": lambda to: grad.activation(to(noise_of(*SHAPE)), to(X), "mish"),
    "prelu": lambda to: grad.prelu(to(noise_of(*SHAPE)), to(X), to(C3)),
    "add": lambda to: grad.add(to(noise_of(*SHAPE)), to(X), to(C3)),
    "multiply": lambda to: grad.multiply(to(noise_of(*SHAPE)), to(X), to(X[:, :1])),
    "batch_norm": lambda to: grad.batch_norm(
        to(noise_of(*SHAPE)), to(X), to(MEAN), to(VAR), to(C3), None, training=True, activation="relu"
    ),
    "softmax": lambda to: grad.softmax(to(noise_of(4, 5)), to(cnnfast.softmax(noise_of(4, 5)))),
    "log_softmax": lambda to: grad.log_softmax(to(noise_of(4, 5)), to(cnnfast.log_softmax(noise_of(4, 5)))),
}


def noise_of(*shape: int) -> np.ndarray:
    """The same for the same shape."""
    return np.random.default_rng(shape).normal(size=shape)


def test_no_gradient_is_left_out() -> None:
    assert CALLS.keys() == table.GRADIENTS.keys()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", CALLS)
def test_a_gradient(op: str, dtype: str) -> None:
    def to_device(array: np.ndarray) -> Any:
        return device_arrays.OnDevice(array if array.dtype == np.int64 else array.astype(dtype))

    expected, found = CALLS[op](lambda array: array), CALLS[op](to_device)
    alone = not isinstance(expected, tuple)
    for y, right in zip((found,) if alone else found, (expected,) if alone else expected, strict=True):
        array = device_arrays.numpy_of(y)
        assert array.dtype == dtype
        assert array.shape == right.shape
        assert np.allclose(array, right, rtol=1e-4, atol=1e-5)
