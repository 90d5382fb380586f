"""Gradients of softmax and log_softmax."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import grad
from cnnfast.backends import reference
from cnnfast.backends.reference import grad as oracle

OPS = ["softmax", "log_softmax"]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("shape", "axis"), [((1,), 0), ((10,), -1), ((5, 21), 1), ((3, 4, 5), 1), ((6, 7), 0)])
def test_gradient(op: str, shape: tuple[int, ...], axis: int, assert_gradient: Any, rng: Any) -> None:
    x, g = rng.standard_normal(shape), rng.standard_normal(shape)
    y = getattr(cnnfast, op)(x, axis)
    forward = partial(getattr(reference, op), axis=axis)
    if shape == (1,):  # whose gradient is 0
        assert getattr(grad, op)(g, y, axis).tolist() == getattr(oracle, op)(g, y, axis=axis).tolist() == [0.0]
        return
    assert_gradient(forward, {"x": x}, "x", getattr(grad, op)(g, y, axis), g)
    assert_gradient(forward, {"x": x}, "x", getattr(oracle, op)(g, y, axis=axis), g)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "axis"), [((64, 10), 1), ((8, 1000), -1), ((2, 21, 6, 7), 1)])
def test_torch_agrees(op: str, dtype: Any, shape: tuple[int, ...], axis: int, torch: Any, rng: Any) -> None:
    x, g = ((rng.standard_normal(shape) * 3).astype(dtype) for _ in range(2))
    xt = torch.from_numpy(x).requires_grad_()
    getattr(torch.nn.functional, op)(xt, axis).backward(torch.from_numpy(g))
    found = getattr(grad, op)(g, getattr(cnnfast, op)(x, axis), axis)
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, xt.grad.numpy(), rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("op", OPS)
def test_refused(op: str) -> None:
    call, y = getattr(grad, op), np.full((2, 4), 0.25)
    for given, error, words in (
        ((y[:1], y), ValueError, "grad_output must have shape (2, 4)"),
        ((y, y, 2), ValueError, "axis must be < 2"),
        ((y, y.astype(int)), TypeError, "y must have a dtype"),
        ((y.astype(int), y), TypeError, "grad_output must have a dtype"),
    ):
        with pytest.raises(error) as raised:
            call(*given)
        assert words in str(raised.value)
    with pytest.raises(ValueError, match="out must not overlap"):
        call(y, y, out=y)
    assert call(y[:0], y[:0]).shape == (0, 4)
