"""add's and multiply's, and of arrays that were broadcast."""

from collections.abc import Sequence

import numpy as np

from ..layout import Array, exact


def unbroadcast(grad: Array, shape: Sequence[int]) -> Array:
    """Every element of the array of `shape` gets the sum of the gradients of its copies."""
    grad = exact(grad)
    total = np.zeros(tuple(shape))
    places = np.broadcast_to(np.arange(total.size).reshape(total.shape), grad.shape)
    np.add.at(total.reshape(-1), places.ravel(), grad.ravel())
    return total


def add(grad_output: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Of x + y."""
    return unbroadcast(grad_output, np.shape(x)), unbroadcast(grad_output, np.shape(y))


def multiply(grad_output: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Of x * y."""
    g = exact(grad_output)
    with np.errstate(all="ignore"):
        return unbroadcast(g * exact(y), np.shape(x)), unbroadcast(g * exact(x), np.shape(y))
