"""The activations, as their definitions."""

import math
from collections.abc import Callable

import numpy as np

from .layout import Array

Activation = tuple[str | None, float]

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


_DEFINITIONS: dict[str, Callable[[Array, float], Array]] = {
    "relu": lambda y, _: np.maximum(y, 0),
    "relu6": lambda y, _: np.minimum(np.maximum(y, 0), 6),
    "leaky_relu": lambda y, alpha: np.where(y > 0, y, alpha * y),
    "sigmoid": lambda y, _: sigmoid(y),
    "tanh": lambda y, _: np.tanh(y),
    "gelu": lambda y, _: _gated(y, _phi(y)),  # arXiv:1606.08415
    "silu": lambda y, _: _gated(y, sigmoid(y)),  # arXiv:1702.03118
    "hardswish": lambda y, _: _gated(y, np.clip(y + 3, 0, 6) / 6),  # arXiv:1905.02244
}
