"""Gradients of linear and of biases."""

from typing import Any

import numpy as np
import pytest

import cnnfast.backends.reference as oracle
import cnnfast.backends.reference.grad as oracle_grad
import cnnfast.grad


@pytest.mark.parametrize("lead", [(), (5,), (2, 3)], ids=str)
def test_linear_by_finite_differences(
    lead: tuple[int, ...], assert_gradient: Any, rng: np.random.Generator
) -> None:
    x, weight = rng.standard_normal((*lead, 4)), rng.standard_normal((3, 4))
    grad_output = rng.standard_normal((*lead, 3))
    inputs = {"x": x, "weight": weight, "bias": rng.standard_normal(3)}
    for where in (cnnfast.grad, oracle_grad):
        for name, gradient in (
            ("x", where.linear_input(grad_output, weight)),
            ("weight", where.linear_weight(grad_output, x)),
            ("bias", where.bias(grad_output)),
        ):
            assert_gradient(oracle.linear, inputs, name, gradient, grad_output)


@pytest.mark.parametrize(
    ("op", "layout", "axis"),
    [("conv2d", "NHWC", -1), ("conv2d", "NCHW", 1), ("conv1d", "NLC", -1), ("conv1d", "NCL", 1),
     ("conv3d", "NDHWC", -1), ("conv3d", "NCDHW", 1)],
)  # fmt: skip
def test_bias_by_finite_differences(
    op: str, layout: str, axis: int, assert_gradient: Any, rng: np.random.Generator
) -> None:
    rank = len(layout) - 2
    x, weight = rng.standard_normal((2, *[3] * rank, 2)), rng.standard_normal((*[2] * rank, 2, 3))
    if axis == 1:
        x, weight = np.moveaxis(x, -1, 1), np.transpose(weight, (rank + 1, rank, *range(rank)))
    inputs = {"x": x, "weight": weight, "bias": rng.standard_normal(3)}
    run = getattr(oracle, op)
    grad_output = rng.standard_normal(run(**inputs, layout=layout).shape)
    for where in (cnnfast.grad, oracle_grad):
        gradient = where.bias(grad_output, layout=layout)
        assert_gradient(lambda **given: run(**given, layout=layout), inputs, "bias", gradient, grad_output)


def test_bad_calls() -> None:
    with pytest.raises(ValueError, match="grad_output must be"):
        cnnfast.grad.linear_input(np.ones((2, 3)), np.ones((4, 5)))
    with pytest.raises(ValueError, match="weight must have 2 dimensions"):
        cnnfast.grad.linear_input(np.ones((2, 3)), np.ones((3, 5, 1)))
    with pytest.raises(ValueError, match="grad_output must be"):
        cnnfast.grad.linear_weight(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(TypeError, match="x must have a dtype"):
        cnnfast.grad.linear_weight(np.ones((2, 3)), np.ones((2, 3), int))
    with pytest.raises(ValueError, match="layout must be one of"):
        cnnfast.grad.bias(np.ones((2, 3)), layout="CN")
    with pytest.raises(ValueError, match="no empty dimension"):
        cnnfast.grad.bias(np.ones((2, 0)))
    out = np.full((3, 4), 7.0)
    with pytest.raises(ValueError, match="out must not overlap"):
        cnnfast.grad.linear_weight(np.ones((3, 3)), out, out=out)
    assert (out == 7).all()


def test_no_rows() -> None:
    assert (cnnfast.grad.linear_weight(np.ones((0, 3)), np.ones((0, 4))) == np.zeros((3, 4))).all()
    assert cnnfast.grad.linear_input(np.ones((0, 3)), np.ones((3, 4))).shape == (0, 4)
    assert (cnnfast.grad.bias(np.ones((0, 3))) == np.zeros(3)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_out(dtype: str, rng: np.random.Generator) -> None:
    grad_output, x, weight = (rng.standard_normal(shape).astype(dtype) for shape in ((5, 3), (5, 4), (3, 4)))
    out = np.empty((3, 4), dtype)
    assert cnnfast.grad.linear_weight(grad_output, x, out=out) is out
    np.testing.assert_array_equal(out, cnnfast.grad.linear_weight(grad_output, x))
    rows = np.empty((5, 8), dtype)
    cnnfast.grad.linear_input(grad_output, weight, out=rows[:, ::2])
    np.testing.assert_array_equal(rows[:, ::2], cnnfast.grad.linear_input(grad_output, weight))


@pytest.mark.parametrize("shape", [(1, 6), (5, 6), (683, 6), (7, 5000), (3, 40, 50, 6), (9000, 1000)], ids=str)
def test_bias_of_many_rows(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    whole = rng.integers(-4, 5, size=shape).astype(np.float32)
    np.testing.assert_array_equal(cnnfast.grad.bias(whole), oracle_grad.bias(whole))
    if len(shape) == 2:
        np.testing.assert_array_equal(cnnfast.grad.bias(whole[::-1], layout="NCL"), oracle_grad.bias(whole))
