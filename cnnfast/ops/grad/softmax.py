"""Gradients of softmax and log_softmax."""

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.elementwise import check_axis
from cnnfast.ops.grad import arguments


def softmax(grad_output: ArrayLike, y: ArrayLike, axis: int = -1, *, out: Array | None = None) -> Array:
    """The gradient of softmax with respect to x, by its output: y * (grad_output - the sum of grad_output * y).

    Parameters
    ----------
    grad_output : of y's shape
    y : what the op gave; float32 or float64
    axis : the op's
    out : where to write grad_input; it may not overlap an input

    Returns
    -------
    grad_input : of y's shape and dtype

    Raises
    ------
    ValueError : axis is not one of y's, or a shape does not match
    TypeError : an argument has the wrong type or dtype
    MemoryError : grad_input cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> cnnfast.grad.softmax(np.array([1.0, 0.0]), np.array([0.5, 0.5])).tolist()
    [0.25, -0.25]
    """
    g, values, to, at = _arguments(grad_output, y, axis, out)
    with np.errstate(all="ignore"):
        np.multiply(values, g - (g * values).sum(axis=at, keepdims=True), out=to)
    return to


def log_softmax(grad_output: ArrayLike, y: ArrayLike, axis: int = -1, *, out: Array | None = None) -> Array:
    """The gradient of log_softmax with respect to x, by its output: grad_output - exp(y) * the sum of grad_output.

    Parameters
    ----------
    grad_output, y, axis, out : see `softmax`

    Returns
    -------
    grad_input : of y's shape and dtype

    Raises
    ------
    As `softmax`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> cnnfast.grad.log_softmax(np.array([1.0, 0.0]), np.log([0.5, 0.5])).tolist()
    [0.5, -0.5]
    """
    g, values, to, at = _arguments(grad_output, y, axis, out)
    with np.errstate(all="ignore"):
        np.subtract(g, np.exp(values) * g.sum(axis=at, keepdims=True), out=to)
    return to


def _arguments(grad_output: object, y: object, axis: object, out: object) -> tuple[Array, Array, Array, int]:
    values = pointwise.as_floats("y", y)
    at = check_axis("axis", axis, values.ndim)
    g = arguments.like("grad_output", grad_output, values.shape, values.dtype)
    named = (("grad_output", grad_output), ("y", values))
    return g, values, pointwise.target(out, values.shape, values.dtype, named), at
