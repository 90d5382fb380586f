"""Arrays with gaps, repeats and other orders of axes, through the public functions in the simulator."""

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
from cnnfast.backends.cuda import linear
from cnnfast.backends.cuda.arrays import host
from cnnfast.backends.cuda.problem import Conv

RNG = np.random.default_rng(12)


def noise(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def last(x: np.ndarray) -> np.ndarray:
    """NCHW whose channels are last in memory."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def agrees(function: Any, *arrays: Any, **options: Any) -> None:
    """The function on a device gives what it gives here, of each array it returns."""
    given = [device_arrays.OnDevice(each) if isinstance(each, np.ndarray) else each for each in arrays]
    found, expected = function(*given, **options), function(*arrays, **options)
    pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    for mine, its in pairs:
        assert np.allclose(device_arrays.numpy_of(mine), its, rtol=1e-4, atol=1e-5)


GAPS, ONE = noise(8)[::2], np.broadcast_to(noise(1), 4)
X, WIDE = noise(2, 4, 3, 5), noise(2, 4, 3, 6)[..., :5]
ORDERS = {"slice": WIDE, "last": last(X), "turned": noise(2, 4, 5, 3).transpose(0, 1, 3, 2), "plain": X,
          "a column": last(noise(2, 4, 3, 1)), "a pixel": last(noise(2, 4, 1, 1))}  # fmt: skip


@pytest.mark.parametrize("bias", [GAPS, ONE], ids=["gaps", "one number"])
def test_a_bias_that_is_not_dense(bias: np.ndarray) -> None:
    agrees(cnnfast.conv2d, noise(1, 3, 3, 4), noise(1, 1, 4, 4), bias)
    agrees(cnnfast.linear, noise(3, 8), noise(4, 8), bias)
    agrees(cnnfast.batch_norm, noise(3, 4), bias, bias**2, bias, bias)
    agrees(cnnfast.prelu, noise(3, 4), bias)


def test_a_bias_at_an_odd_address(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Conv] = []
    plan = linear.plan
    monkeypatch.setattr(linear, "plan", lambda problem, row: seen.append(problem) or plan(problem, row))
    x, weight, bias = (np.zeros(shape, np.float32) for shape in ((2, 4), (4, 4), 8))
    start = -(bias.ctypes.data // -16) * 16 - bias.ctypes.data
    for at in (start, start + 4):
        given = host(bias)._replace(pointer=bias[at // 4 :], address=bias.ctypes.data + at, shape=(4,))
        arrays = (host(x)._replace(address=0), host(weight)._replace(address=0), given)
        linear.linear(*arrays, activation=(None, 0.0), out=host(np.zeros((2, 4), np.float32))._replace(address=0))
    assert [problem.aligned for problem in seen] == [True, False]


@pytest.mark.parametrize("order", ORDERS)
def test_sums_over_pixels_of_any_order(order: str) -> None:
    x = ORDERS[order]
    g = noise(*x.shape)
    agrees(cnnfast.batch_norm_train, x, noise(4), noise(4), layout="NCHW")
    agrees(cnnfast.global_avg_pool2d, x, layout="NCHW")
    agrees(cnnfast.grad.bias, x, layout="NCHW")
    vectors = noise(4), noise(4) ** 2, noise(8)[::2], noise(4)
    for gradient in (g, last(g)):
        agrees(cnnfast.grad.batch_norm, gradient, x, *vectors, training=True, layout="NCHW")
        agrees(cnnfast.grad.prelu, gradient, x, noise(x.shape[-1]))
    agrees(cnnfast.grad.add, last(g), x, noise(4, 1, 1))
    agrees(cnnfast.grad.multiply, last(g), x, noise(4, 1, 1))


@pytest.mark.parametrize("order", ["slice", "last", "turned", "plain"])
def test_gradients_of_pools_of_any_order(order: str) -> None:
    x = ORDERS[order]
    y, indices = cnnfast.max_pool2d(x, 2, 1, layout="NCHW", return_indices=True)
    top = cnnfast.global_max_pool2d(x, layout="NCHW")
    for g in (noise(*y.shape), last(noise(*y.shape))):
        agrees(cnnfast.grad.min_pool2d, g, x, 2, 1, layout="NCHW")
        agrees(cnnfast.grad.max_pool2d, g, indices, x.shape, layout="NCHW")
    agrees(cnnfast.grad.global_max_pool2d, noise(2, 8, 1, 1)[:, ::2], x, top, layout="NCHW")
