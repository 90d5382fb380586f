"""Gradients of batch_norm, batch_norm_train and local_response_norm."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import grad
from cnnfast.backends import reference
from cnnfast.backends.reference import grad as oracle
from cnnfast.ops import options

FLOATS = [np.float32, np.float64]
SHAPES = [(6, 4), (3, 5, 4), (2, 3, 5, 4), (2, 2, 2, 3, 4)]


def away_from_kinks(rng: Any, shape: tuple[int, ...], activation: Any) -> dict[str, np.ndarray]:
    """Inputs whose y is not within 1e-3 of relu's or relu6's kinks, of which there are some on every side."""
    while True:
        x, weight, bias = rng.standard_normal(shape) * 3 + 1, rng.random(shape[-1]) + 1, rng.standard_normal(shape[-1])
        if activation == "relu6":
            weight, bias = weight * 3, bias + 2
        y = reference.batch_norm_train(x, weight, bias, eps=1e-3)[0]
        if min(np.abs(y).min(), np.abs(y - 6).min()) > 1e-3:
            return {"x": x, "weight": weight, "bias": bias}


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = x.reshape(-1, x.shape[-1])
    return rows.mean(axis=0), rows.var(axis=0)


@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_in_training(shape: tuple[int, ...], activation: Any, assert_gradient: Any, rng: Any) -> None:
    inputs = away_from_kinks(rng, shape, activation)
    g = rng.standard_normal(shape)
    mean, var = statistics(inputs["x"])
    after = options.activation("activation", activation)

    def op(**given: Any) -> Any:
        return reference.batch_norm_train(**given, eps=1e-3, activation=after)[0]

    found = grad.batch_norm(
        g, inputs["x"], mean, var, inputs["weight"], inputs["bias"], eps=1e-3, training=True, activation=activation
    )
    for name, gradient in zip(inputs, found, strict=True):
        assert_gradient(op, inputs, name, gradient, g)
    judged = oracle.batch_norm(g, inputs["x"], mean, var, inputs["weight"], inputs["bias"], eps=1e-3, training=True,
                               activation=after)  # fmt: skip
    for name, gradient in zip(inputs, judged, strict=True):
        assert_gradient(op, inputs, name, gradient, g)


@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
def test_batch_norm_in_inference(activation: Any, assert_gradient: Any, rng: Any) -> None:
    inputs = away_from_kinks(rng, (2, 3, 5, 4), activation)
    g, (mean, var) = rng.standard_normal((2, 3, 5, 4)), statistics(inputs["x"])
    after = options.activation("activation", activation)
    op = partial(reference.batch_norm, running_mean=mean, running_var=var, eps=1e-3, activation=after)
    for gradients in (
        grad.batch_norm(g, inputs["x"], mean, var, inputs["weight"], inputs["bias"], eps=1e-3, training=False,
                        activation=activation),
        oracle.batch_norm(g, inputs["x"], mean, var, inputs["weight"], inputs["bias"], eps=1e-3, training=False,
                          activation=after),
    ):  # fmt: skip
        for name, gradient in zip(inputs, gradients, strict=True):
            assert_gradient(op, inputs, name, gradient, g)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("C", [1, 3, 16, 17, 40, 100])
def test_batch_norm_against_the_oracle(C: int, activation: Any, training: bool, dtype: Any, isa: str, rng: Any) -> None:
    shape = (3, 25, 13, C)
    x = (rng.standard_normal(shape) * 2 + 1).astype(dtype)
    g = rng.standard_normal(shape).astype(dtype)
    weight, bias = (rng.standard_normal(C).astype(dtype) + 1 for _ in range(2))
    y, mean, var = cnnfast.batch_norm_train(x, weight, bias, eps=1e-3, activation=activation)
    g[np.abs(y) < 1e-4] = 0  # rounding may put a number on either side of a kink
    g[np.abs(y - 6) < 1e-4] = 0
    after = options.activation("activation", activation)
    right = oracle.batch_norm(g, x, mean, var, weight, bias, eps=1e-3, training=training, activation=after)
    found = grad.batch_norm(g, x, mean, var, weight, bias, eps=1e-3, training=training, activation=activation)
    unit = 2.0**-24 if dtype == np.float32 else 2.0**-52
    normal = np.abs(x - mean.astype(float)) / np.sqrt(var + 1e-3)
    sums = (np.abs(g) * normal).sum(axis=(0, 1, 2)), np.abs(g).sum(axis=(0, 1, 2))
    slope = np.abs(weight) / np.sqrt(var + 1e-3)
    count = x.size / C
    bound = slope * (np.abs(g) + training * (sums[1] + normal * sums[0]) / count)
    assert all(each.dtype == dtype for each in found)
    assert (np.abs(found[0] - right[0]) <= 32 * unit * bound).all()
    assert (np.abs(found[1] - right[1]) <= 32 * unit * sums[0]).all()
    assert (np.abs(found[2] - right[2]) <= 32 * unit * sums[1]).all()
    turned = [np.ascontiguousarray(np.moveaxis(each, -1, 1)) for each in (g, x)]
    other = grad.batch_norm(*turned, mean, var, weight, bias, eps=1e-3, training=training, layout="NCHW",
                            activation=activation)  # fmt: skip
    assert (np.abs(np.moveaxis(other[0], 1, -1) - right[0]) <= 32 * unit * bound).all()
    assert (np.abs(other[1] - right[1]) <= 32 * unit * sums[0]).all()
    assert (np.abs(other[2] - right[2]) <= 32 * unit * sums[1]).all()


@pytest.mark.parametrize("given", ["both", "weight", "bias", "none"])
def test_batch_norm_is_torchs(given: str, torch: Any, rng: Any) -> None:
    x, g = rng.standard_normal((4, 5, 6, 7)), rng.standard_normal((4, 5, 6, 7))
    weight = rng.standard_normal(7) if given in ("both", "weight") else None
    bias = rng.standard_normal(7) if given in ("both", "bias") else None
    xt = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).requires_grad_()
    parameters = [None if each is None else torch.from_numpy(each).requires_grad_() for each in (weight, bias)]
    yt = torch.nn.functional.batch_norm(xt, None, None, *parameters, training=True).relu()
    yt.backward(torch.from_numpy(np.moveaxis(g, -1, 1).copy()))
    y, mean, var = cnnfast.batch_norm_train(x, weight, bias, activation="relu")
    np.testing.assert_allclose(np.moveaxis(y, -1, 1), yt.detach().numpy(), rtol=1e-10, atol=1e-12)
    found = grad.batch_norm(g, x, mean, var, weight, bias, training=True, activation="relu")
    np.testing.assert_allclose(np.moveaxis(found[0], -1, 1), xt.grad.numpy(), rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(found[1:], parameters, strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_batch_norm_of_an_empty_batch() -> None:
    x = np.zeros((0, 3, 3, 5), np.float32)
    y, mean, var = cnnfast.batch_norm_train(x)
    assert (y.shape, mean.tolist(), var.tolist()) == (x.shape, [0.0] * 5, [0.0] * 5)
    for training in (True, False):
        grads = grad.batch_norm(x, x, mean, var, training=training)
        assert [each.tolist() for each in grads] == [x.tolist(), [0.0] * 5, [0.0] * 5]


@pytest.mark.parametrize(("size", "beta"), [(1, 0.5), (2, 1.0), (4, 0.6), (5, 0.75), (9, 0.75)])
def test_local_response_norm(size: int, beta: float, assert_gradient: Any, rng: Any) -> None:
    x, g = rng.standard_normal((2, 2, 3, 7)), rng.standard_normal((2, 2, 3, 7))
    settings = {"size": size, "alpha": 0.1, "beta": beta, "k": 2.0}
    op = partial(reference.local_response_norm, **settings)
    found = grad.local_response_norm(g, x, **settings)
    assert_gradient(op, {"x": x}, "x", found, g)
    assert_gradient(op, {"x": x}, "x", oracle.local_response_norm(g, x, **settings), g)
    turned = [np.moveaxis(each, -1, 1).copy() for each in (g, x)]
    other = grad.local_response_norm(*turned, **settings, layout="NCHW")
    np.testing.assert_allclose(np.moveaxis(other, 1, -1), found, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", FLOATS)
def test_local_response_norm_is_torchs(dtype: Any, torch: Any, rng: Any) -> None:
    x, g = (rng.standard_normal((2, 7, 3, 4)).astype(dtype) for _ in range(2))
    xt = torch.from_numpy(x).requires_grad_()
    torch.nn.functional.local_response_norm(xt, 5, 0.1, 0.75, 2.0).backward(torch.from_numpy(g))
    found = grad.local_response_norm(g, x, 5, 0.1, 0.75, 2.0, layout="NCHW")
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, xt.grad.numpy(), rtol=tolerance, atol=tolerance)


X = np.ones((2, 4, 5, 3), np.float32)
C3 = np.ones(3, np.float32)
BAD: list[Any] = [
    (grad.batch_norm, (X[:1], X, C3, C3), {"training": True}, ValueError, "grad_output must have shape (2, 4, 5, 3)"),
    (grad.batch_norm, (X, X, C3[:2], C3), {"training": True}, ValueError, "mean must have shape (3,)"),
    (grad.batch_norm, (X, X, C3, C3[:2]), {"training": True}, ValueError, "var must have shape (3,)"),
    (grad.batch_norm, (X, X, C3, C3, C3[:2]), {"training": True}, ValueError, "weight must have shape (3,)"),
    (grad.batch_norm, (X, X, C3, C3, C3, C3[:2]), {"training": True}, ValueError, "bias must have shape (3,)"),
    (grad.batch_norm, (X, X, C3, C3), {"training": 1}, TypeError, "training must be True or False"),
    (grad.batch_norm, (X, X, C3, C3), {"training": True, "eps": -1}, ValueError, "eps must be >= 0"),
    (grad.batch_norm, (X, X, C3, C3), {"training": True, "activation": "gelu"}, ValueError, 'None, "relu" or "relu6"'),
    (grad.batch_norm, (X, X, C3, C3), {"training": True, "out": X}, ValueError, "out must not overlap"),
    (grad.batch_norm, (X.astype(int), X, C3, C3), {"training": True}, TypeError, "grad_output must have a dtype"),
    (grad.batch_norm, (X, X.astype(int), C3, C3), {"training": True}, TypeError, "x must have a dtype"),
    (grad.batch_norm, (C3, C3, C3, C3), {"training": True}, ValueError, "x must have 2 to 5 dimensions"),
    (grad.local_response_norm, (X[0], X, 3), {}, ValueError, "grad_output must have shape (2, 4, 5, 3)"),
    (grad.local_response_norm, (X, X, 0), {}, ValueError, "size must be >= 1"),
    (grad.local_response_norm, (X, X, 3, np.nan), {}, ValueError, "alpha must be finite"),
    (grad.local_response_norm, (X[0, 0], X[0, 0], 3), {}, ValueError, "x must have 3 to 5 dimensions"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case[0].__name__}-{case[4][:30]}")
def test_refused(case: Any) -> None:
    call, given, keywords, error, words = case
    with pytest.raises(error) as raised:
        call(*given, **keywords)
    assert words in str(raised.value)
    assert (X == 1).all()
