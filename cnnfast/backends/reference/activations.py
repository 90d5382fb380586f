"""The activations, as their definitions."""

import math
from collections.abc import Callable

import numpy as np

from .layout import Array

Activation = tuple[str | None, float]
NO_ACTIVATION: Activation = (None, 0.0)

_erfc = np.vectorize(math.erfc, otypes=[np.float64])  # NumPy has no erf


def activate(y: Array, activation: Activation) -> Array:
    """`activation` = (name or None, alpha) of every element; NaN gives NaN, an infinity the limit.

    >>> activate(np.array([-2.0, 3.0]), ("leaky_relu", 0.5)).tolist()
    [-1.0, 3.0]
    """
    name, alpha = activation
    with np.errstate(all="ignore"):
        return y if name is None else np.asarray(_DEFINITIONS[name](y, alpha))


def sigmoid(y: Array) -> Array:
    """1 / (1 + exp(-y)), written so that exp never overflows."""
    small = np.exp(-np.abs(y))
    return np.asarray(np.where(y >= 0, 1, small) / (1 + small))


def _gated(y: Array, gate: Array) -> Array:
    """y * gate, and at -inf its limit: the gate falls to 0 faster than y grows. (torch gives NaN there.)"""
    return np.where(np.isneginf(y), -0.0, y * gate)


def _phi(y: Array) -> Array:
    """The normal distribution function, erfc(z)/2 with z = -y/sqrt(2); erfc keeps the digits of the negative tail.

    There the relative error of z grows z**2 times, so what rounding takes from z comes back by erfc's derivative.
    """
    exact_z = -y.astype(np.longdouble) / np.sqrt(np.longdouble(2))
    z = exact_z.astype(np.float64)
    rest = np.where(np.isfinite(z), exact_z - z, 0).astype(np.float64)
    erfc = np.asarray(_erfc(z)) - 2 / math.sqrt(math.pi) * np.exp(-(z**2)) * rest
    return np.asarray(0.5 * erfc)


def _gelu_tanh(y: Array) -> Array:
    """y/2 * (1 + tanh(u)), u = sqrt(2/pi) * (y + 0.044715*y**3): y * sigmoid(2*u)."""
    return _gated(y, sigmoid(2 * math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))


def _mish(y: Array) -> Array:
    """y * tanh(log(1 + e^y)); with n = e^y * (e^y + 2) the tanh is n / (n + 2)."""
    small = np.exp(-np.abs(y))
    rises, falls = 1 + 2 * small, small * (small + 2)
    return _gated(y, np.where(y >= 0, rises / (rises + 2 * small**2), falls / (falls + 2)))


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

_DEFINITIONS: dict[str, Callable[[Array, float], Array]] = {
    "relu": lambda y, _: np.maximum(y, 0),
    "relu6": lambda y, _: np.minimum(np.maximum(y, 0), 6),
    "leaky_relu": lambda y, alpha: np.where(y > 0, y, alpha * y),
    "sigmoid": lambda y, _: sigmoid(y),
    "tanh": lambda y, _: np.tanh(y),
    "gelu": lambda y, _: _gated(y, _phi(y)),  # arXiv:1606.08415
    "silu": lambda y, _: _gated(y, sigmoid(y)),  # arXiv:1702.03118
    "elu": lambda y, alpha: np.where(y > 0, y, alpha * np.expm1(y)),  # arXiv:1511.07289
    "selu": lambda y, _: _SELU_SCALE * np.where(y > 0, y, _SELU_ALPHA * np.expm1(y)),  # arXiv:1706.02515
    "hardsigmoid": lambda y, _: np.clip(y + 3, 0, 6) / 6,
    "gelu_tanh": lambda y, _: _gelu_tanh(y),
    "mish": lambda y, _: _mish(y),  # arXiv:1908.08681
    "softplus": lambda y, _: np.where(y > 20, y, np.logaddexp(0, y)),
    "hardswish": lambda y, _: _gated(y, np.clip(y + 3, 0, 6) / 6),  # arXiv:1905.02244
}
