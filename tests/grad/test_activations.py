"""Gradients of the activations."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import grad
from cnnfast.backends import native, reference
from cnnfast.backends.reference import grad as oracle
from cnnfast.ops import options
from cnnfast.ops.grad.activations import FROM_OUTPUT

FLOATS = [np.float32, np.float64]
ACTIVATIONS: list[Any] = [*options.ACTIVATIONS, ("leaky_relu", 0.3), ("leaky_relu", 0.0), ("elu", 0.5)]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1e-30, 20.5, -25.0, -87.5, -104.0]


def forward(activation: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(cnnfast.add(x, np.zeros((), x.dtype), activation=activation))


def given(activation: Any, x: np.ndarray) -> np.ndarray:
    """What the gradient is worked out from."""
    name = options.activation("activation", activation)[0]
    return forward(activation, x) if name in FROM_OUTPUT else x


def numbers(rng: Any, dtype: Any) -> np.ndarray:
    return np.concatenate([rng.standard_normal(20_000) * 3, rng.standard_normal(999) * 9, SPECIAL]).astype(dtype)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_gradient(activation: Any, assert_gradient: Any, rng: Any) -> None:
    x = rng.standard_normal(300) * 4
    for kink in (-3, 0, 3, 6, 20):
        x = x[np.abs(x - kink) > 1e-3]
    g, asked = rng.standard_normal(x.shape), options.activation("activation", activation)
    op = partial(reference.add, y=np.zeros(1), activation=asked)
    assert_gradient(op, {"x": x}, "x", grad.activation(g, given(activation, x), activation), g)
    assert_gradient(op, {"x": x}, "x", oracle.activation(g, given(activation, x), activation=asked), g)


def size(name: str, values: np.ndarray, derivative: np.ndarray) -> np.ndarray:
    """What a derivative's error is in units of: it, or the terms that it is a sum of."""
    z = np.abs(np.where(np.isfinite(values), values, 0).astype(np.float64))
    if name in ("elu", "selu"):
        return np.abs(derivative) + z
    if name in ("gelu", "gelu_tanh", "silu", "mish", "hardswish"):
        return np.abs(derivative) + 1
    return np.abs(derivative)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_derivative_of_any_number(activation: Any, dtype: Any, isa: str, rng: Any) -> None:
    x = numbers(rng, dtype)
    values, asked = given(activation, x), options.activation("activation", activation)
    found = grad.activation(np.ones_like(values), values, activation)
    right = oracle.activation(np.ones_like(values), values, activation=asked)
    assert found.dtype == dtype
    unit = 2.0**-24 if dtype == np.float32 else 2.0**-52
    with np.errstate(all="ignore"):
        bound = 8 * unit * size(str(asked[0]), values, right) + float(np.finfo(dtype).smallest_subnormal)
    wrong = ~((np.abs(found - right) <= bound) | (np.isnan(found) & np.isnan(right)))
    assert not wrong.any(), (values[wrong][:5], found[wrong][:5], right[wrong][:5])


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_torch_agrees(activation: Any, torch: Any, rng: Any) -> None:
    name, alpha = options.activation("activation", activation)
    x, g = (rng.standard_normal(5000) * 3 for _ in range(2))
    x[:3] = 0.0, -0.0, 6.0
    xt = torch.from_numpy(x).requires_grad_()
    functional = torch.nn.functional
    call = {
        "tanh": torch.tanh, "sigmoid": torch.sigmoid, "elu": partial(functional.elu, alpha=alpha),
        "gelu_tanh": partial(functional.gelu, approximate="tanh"),
        "leaky_relu": partial(functional.leaky_relu, negative_slope=alpha),
    }.get(name) or getattr(functional, str(name))  # fmt: skip
    call(xt).backward(torch.from_numpy(g))
    found = grad.activation(g, given(activation, x), activation)
    rtol = 1e-7 if name == "hardsigmoid" else 1e-9  # torch's 1/6 is a float32
    np.testing.assert_allclose(found, xt.grad.numpy(), rtol=rtol, atol=1e-11)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_same_bits(activation: Any, rng: Any) -> None:
    """Whatever the ISA (with FMA), the threads, and the tail a number falls into."""
    x = np.resize(numbers(rng, np.float32), 200_001)
    values, g = given(activation, x), rng.standard_normal(x.shape, dtype=np.float32)
    whole = grad.activation(g, values, activation)
    isa, threads = native.isa(), native.get_num_threads()
    try:
        for count in (1, 3):
            native.set_num_threads(count)
            assert np.array_equal(grad.activation(g, values, activation), whole, equal_nan=True)
        for offset in range(1, 20):
            part = slice(offset, offset + 77)
            assert np.array_equal(grad.activation(g[part], values[part], activation), whole[part], equal_nan=True)
        for other in native.isas():
            if "baseline" not in (other, isa):
                native.set_isa(other)
                assert np.array_equal(grad.activation(g, values, activation), whole, equal_nan=True), other
    finally:
        native.set_isa(isa)
        native.set_num_threads(threads)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "slopes"), [((6,), 6), ((5, 6), 6), ((5, 6), 1), ((2, 3, 4, 5), 5), ((40, 1), 1)])
def test_prelu(shape: tuple[int, ...], slopes: int, dtype: Any, assert_gradient: Any, rng: Any) -> None:
    inputs = {"x": rng.standard_normal(shape), "weight": rng.random(slopes)}
    g = rng.standard_normal(shape)
    given = [each.astype(dtype) for each in (g, *inputs.values())]
    for found, judged, name in zip(grad.prelu(*given), oracle.prelu(g, **inputs), inputs, strict=True):
        assert found.dtype == dtype
        assert_gradient(reference.prelu, inputs, name, judged, g)
        np.testing.assert_allclose(found, judged, rtol=1e-5, atol=1e-6 if dtype == np.float32 else 1e-12)


def test_refused() -> None:
    x = np.ones((2, 3))
    for call, given, keywords, error, words in (
        (grad.activation, (x[0], x, "relu"), {}, ValueError, "grad_output must have shape (2, 3), got (3,)"),
        (grad.activation, (x, x, "swish"), {}, ValueError, "activation must be one of"),
        (grad.activation, (x, x, None), {}, ValueError, "activation must be a name"),
        (grad.activation, (x, x, ("leaky_relu", -1)), {}, ValueError, "activation's slope must be >= 0"),
        (grad.activation, (x, x.astype(int), "relu"), {}, TypeError, "values must have a dtype"),
        (grad.activation, (x, x, "relu"), {"out": x}, ValueError, "out must not overlap"),
        (grad.activation, (x, x, "relu"), {"out": x[0]}, ValueError, "out must have shape"),
        (grad.prelu, (x, x, np.ones(2)), {}, ValueError, "weight must have shape (1,) or x's last axis"),
        (grad.prelu, (x[:1], x, np.ones(3)), {}, ValueError, "grad_output must have shape"),
    ):
        with pytest.raises(error) as raised:
            call(*given, **keywords)
        assert words in str(raised.value)
    assert (x == 1).all()
    assert grad.activation(x[:0], x[:0], "gelu").shape == (0, 3)
    assert [each.tolist() for each in grad.prelu(x[:0], x[:0], np.ones(3))] == [[], [0.0, 0.0, 0.0]]
