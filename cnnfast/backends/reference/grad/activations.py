"""The activations' derivatives: of relu to hardsigmoid by the output y, of the others by the input x."""

import math
from collections.abc import Callable

import numpy as np

from ..activations import Activation, sigmoid
from ..layout import Array, exact


def activation(grad_output: Array, values: Array, *, activation: Activation) -> Array:
    """grad_output times the derivative; NaN gives NaN, an infinity the limit."""
    name, alpha = activation
    assert name is not None
    values = exact(values)
    with np.errstate(all="ignore"):
        return np.asarray(exact(grad_output) * np.where(np.isnan(values), values, _DERIVATIVES[name](values, alpha)))


def prelu(grad_output: Array, x: Array, weight: Array) -> tuple[Array, Array]:
    """Of x, and weight * x below 0; the weight is one number, or one a channel of the last axis."""
    g, x, weight = exact(grad_output), exact(x), exact(weight)
    with np.errstate(all="ignore"):
        by_weight = g * np.where(x > 0, 0, x)
        each = by_weight.reshape(-1, x.shape[-1] if x.ndim else 1).sum(axis=0)
        return g * np.where(x > 0, 1, weight), each if weight.shape == each.shape else each.sum().reshape(1)


def _limited(x: Array, derivative: Array) -> Array:
    """0 at -inf, 1 at +inf."""
    return np.where(np.isinf(x), x > 0, derivative)


def _times_x(name: str) -> Callable[[Array, float], Array]:
    """x * gate(x) has the derivative gate + x * gate'."""

    def derivative(x: Array, _: float) -> Array:
        gate, slope = _GATES[name](x)
        return _limited(x, gate + x * slope)

    return derivative


def _silu(x: Array) -> tuple[Array, Array]:
    return sigmoid(x), sigmoid(x) * sigmoid(-x)


def _gelu(x: Array) -> tuple[Array, Array]:
    cdf = np.vectorize(math.erfc, otypes=[np.float64])(-x / math.sqrt(2)) / 2
    return cdf, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _gelu_tanh(x: Array) -> tuple[Array, Array]:
    rate = 2 * math.sqrt(2 / math.pi)
    z = rate * (x + 0.044715 * x**3)
    return sigmoid(z), sigmoid(z) * sigmoid(-z) * rate * (1 + 3 * 0.044715 * x**2)


def _mish(x: Array) -> tuple[Array, Array]:
    """sech(z)**2 = 4 / (e^z + e^-z)**2, z = softplus(x), of which e^z = 1 + e^x."""
    power = 1 + np.exp(x)
    return np.tanh(np.logaddexp(0, x)), 4 / (power + 1 / power) ** 2 * sigmoid(x)


_GATES: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "silu": _silu, "gelu": _gelu, "gelu_tanh": _gelu_tanh, "mish": _mish
}  # fmt: skip
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

_DERIVATIVES: dict[str, Callable[[Array, float], Array]] = {
    "relu": lambda y, _: np.where(y > 0, 1.0, 0.0),
    "relu6": lambda y, _: np.where((y > 0) & (y < 6), 1.0, 0.0),
    "leaky_relu": lambda y, slope: np.where(y > 0, 1.0, slope),
    "sigmoid": lambda y, _: y * (1 - y),
    "tanh": lambda y, _: (1 - y) * (1 + y),
    "elu": lambda y, alpha: np.where(y > 0, 1.0, y + alpha),
    "selu": lambda y, _: np.where(y > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA),
    "hardsigmoid": lambda y, _: np.where((y > 0) & (y < 1), 1 / 6, 0.0),
    "hardswish": lambda x, _: np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, (2 * x + 3) / 6)),
    "softplus": lambda x, _: np.where(x > 20, 1.0, sigmoid(x)),
    **{name: _times_x(name) for name in _GATES},
}
