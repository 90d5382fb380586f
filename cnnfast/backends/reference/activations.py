"""The activations, as their definitions."""

import math
from collections.abc import Callable

import numpy as np

from .layout import Array

Activation = tuple[str | None, float]

_erfc = np.vectorize(math.erfc, otypes=[np.float64])  # NumPy has no erf


def activate(y: Array, activation: Activation) -> Array:
    """`activation` = (name or None, alpha) of every element; NaN gives NaN.

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


def _gelu(y: Array) -> Array:
    """y * Phi(y), arXiv:1606.08415; erfc keeps the digits of the negative tail."""
    return y * (0.5 * np.asarray(_erfc(-y / math.sqrt(2))))


_DEFINITIONS: dict[str, Callable[[Array, float], Array]] = {
    "relu": lambda y, _: np.maximum(y, 0),
    "relu6": lambda y, _: np.minimum(np.maximum(y, 0), 6),
    "leaky_relu": lambda y, alpha: np.where(y > 0, y, alpha * y),
    "sigmoid": lambda y, _: sigmoid(y),
    "tanh": lambda y, _: np.tanh(y),
    "gelu": lambda y, _: _gelu(y),
    "silu": lambda y, _: y * sigmoid(y),  # arXiv:1702.03118
    "hardswish": lambda y, _: y * np.clip(y + 3, 0, 6) / 6,  # arXiv:1905.02244
}
