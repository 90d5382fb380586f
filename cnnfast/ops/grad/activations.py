"""Gradients of the activations."""

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import arrays, gates, options, pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.grad import arguments
from cnnfast.ops.options import Activation

FROM_OUTPUT = ("relu", "relu6", "leaky_relu", "sigmoid", "tanh", "elu", "selu", "hardsigmoid")
"""The activations whose gradient is worked out from their output y; that of the others from their input x."""


def activation(
    grad_output: ArrayLike, values: ArrayLike, activation: Activation, *, out: Array | None = None
) -> Array:  # fmt: skip
    """The gradient of an activation with respect to its input: grad_output * its derivative.

    At a kink the derivative is torch's: relu's is 0 at 0, leaky_relu's its slope.

    Parameters
    ----------
    grad_output : of values' shape
    values : float32 or float64; the output y of relu, relu6, leaky_relu, sigmoid, tanh, elu, selu and hardsigmoid
        (`FROM_OUTPUT`), the input x of the others: gelu, gelu_tanh, silu, hardswish, mish and softplus
    activation : a name, or ("leaky_relu", slope) or ("elu", alpha): see `conv2d`; slope and alpha must be >= 0, for
        else y does not tell its x
    out : where to write grad_input; it may not overlap an input

    Returns
    -------
    grad_input : of values' shape and dtype

    Raises
    ------
    ValueError : a shape does not match, or a value is out of its range
    TypeError : an argument has the wrong type or dtype
    MemoryError : grad_input cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> y = cnnfast.relu(np.array([-1.0, 2.0]))
    >>> cnnfast.grad.activation(np.array([3.0, 3.0]), y, "relu").tolist()
    [0.0, 3.0]
    """
    name, alpha = options.activation("activation", activation)
    if name is None:
        raise ValueError("activation must be a name, got None")
    if alpha < 0:
        raise ValueError(f"activation's {'slope' if name == 'leaky_relu' else 'alpha'} must be >= 0, got {alpha}")
    given = pointwise.as_floats("values", values)
    g = arguments.like("grad_output", grad_output, given.shape, given.dtype)
    to = pointwise.target(out, given.shape, given.dtype, (("grad_output", g), ("values", given)))
    with np.errstate(all="ignore"):
        np.multiply(g, _DERIVATIVES[name](arrays.contiguous("values", given), given.dtype.type(alpha)), out=to)
    return to


def prelu(
    grad_output: ArrayLike, x: ArrayLike, weight: ArrayLike, *, out: Array | None = None
) -> tuple[Array, Array]:  # fmt: skip
    """The gradients of prelu with respect to x and weight.

    Parameters
    ----------
    grad_output : of x's shape
    x, weight : the op's
    out : where to write grad_input; it may not overlap an input

    Returns
    -------
    grad_input : of x's shape and dtype
    grad_weight : of weight's shape, and x's dtype

    Raises
    ------
    As `activation`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> x = np.array([[-1.0, 2.0], [-3.0, -4.0]])
    >>> [each.tolist() for each in cnnfast.grad.prelu(np.ones((2, 2)), x, np.array([0.5, 0.25]))]
    [[[0.5, 1.0], [0.5, 0.25]], [-4.0, -4.0]]
    """
    values = pointwise.as_floats("x", x)
    slopes = pointwise.as_floats("weight", weight)
    if slopes.shape != (1,) and slopes.shape != values.shape[-1:]:
        raise ValueError(f"weight must have shape (1,) or x's last axis {values.shape[-1:]}, got {slopes.shape}")
    g = arguments.like("grad_output", grad_output, values.shape, values.dtype)
    named = (("grad_output", g), ("x", values), ("weight", slopes))
    to = pointwise.target(out, values.shape, values.dtype, named)
    with np.errstate(all="ignore"):
        np.multiply(g, np.where(values > 0, values.dtype.type(1), slopes.astype(values.dtype)), out=to)
        below = g * np.minimum(values, 0)
        over = tuple(range(below.ndim)) if slopes.shape == (1,) != values.shape[-1:] else tuple(range(below.ndim - 1))
        grad_weight = below.sum(axis=over, dtype=np.float64).astype(values.dtype).reshape(slopes.shape)
    return to, grad_weight


def _gated(x: Array, below: Array) -> Array:
    """The derivative of an activation that gates x, whose limits are 0 and 1."""
    return np.where(np.isneginf(x), 0, np.where(np.isposinf(x), 1, below)).astype(x.dtype)


def _silu(x: Array, _: Array) -> Array:
    s, rest = gates.sigmoid(x), gates.sigmoid(-x)
    return _gated(x, s + x * s * rest)


def _gelu(x: Array, _: Array) -> Array:
    cdf = gates.gelu(x) / np.where(x == 0, 1, x)
    return _gated(x, np.where(x == 0, 0.5, cdf) + x * np.exp(-x * x / 2) * (1 / sqrt(2 * pi)))


def _gelu_tanh(x: Array, _: Array) -> Array:
    c = 2 * sqrt(2 / pi)
    z = c * (x + 0.044715 * x**3)
    s, rest = gates.sigmoid(z), gates.sigmoid(-z)
    return _gated(x, s + x * s * rest * c * (1 + 3 * 0.044715 * x * x))


def _mish(x: Array, _: Array) -> Array:
    power = 1 + np.exp(x)  # whose sech(softplus(x)) is 2 / (power + 1 / power)
    return _gated(x, np.tanh(gates.softplus(x)) + x * np.square(2 / (power + 1 / power)) * gates.sigmoid(x))


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848

_DERIVATIVES: dict[str, Callable[[Any, Any], Array]] = {
    "relu": lambda y, _: np.where(np.isnan(y), y, y > 0),
    "relu6": lambda y, _: np.where(np.isnan(y), y, (y > 0) & (y < 6)),
    "leaky_relu": lambda y, slope: np.where(y > 0, 1, np.where(y <= 0, slope, y)),
    "sigmoid": lambda y, _: y * (1 - y),
    "tanh": lambda y, _: (1 - y) * (1 + y),
    "elu": lambda y, alpha: np.where(y > 0, 1, y + alpha),
    "selu": lambda y, _: np.where(y > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA),
    "hardsigmoid": lambda y, _: np.where((y > 0) & (y < 1), 1 / 6, np.where(np.isnan(y), y, 0)),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "hardswish": lambda x, _: np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5)),
    "mish": _mish,
    "softplus": lambda x, _: np.where(x > 20, 1, gates.sigmoid(x)),
}
