"""Gradients of add and multiply, and what brings a broadcast one back to its array."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import elementwise, pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.grad import arguments


def unbroadcast(grad: ArrayLike, shape: Sequence[int]) -> Array:
    """The sum of grad over the axes that broadcasting gave to an array of `shape`; grad itself where it gave none.

    Parameters
    ----------
    grad : float32 or float64
    shape : one that NumPy broadcasts to grad's

    Returns
    -------
    Of `shape` and grad's dtype

    Raises
    ------
    ValueError : shape does not broadcast to grad's
    TypeError : an argument has the wrong type or dtype

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> cnnfast.grad.unbroadcast(np.ones((2, 3)), (3,)).tolist()
    [2.0, 2.0, 2.0]
    """
    array = pointwise.as_floats("grad", grad)
    wanted = tuple(shape)
    added = array.ndim - len(wanted)
    if added < 0 or any(n not in (1, m) for n, m in zip(wanted, array.shape[added:], strict=True)):
        raise ValueError(f"shape must broadcast to grad's {array.shape}, got {wanted}")
    if array.shape == wanted:
        return array
    over = *range(added), *(i + added for i, n in enumerate(wanted) if n == 1 != array.shape[i + added])
    return np.asarray(array.sum(axis=over)).reshape(wanted)


def add(grad_output: ArrayLike, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """The gradients of x + y with respect to x and y: grad_output itself, but for what was broadcast.

    Parameters
    ----------
    grad_output : of the sum's shape
    x, y : the op's

    Returns
    -------
    grad_x, grad_y : of x's and y's shape; they may share memory with grad_output

    Raises
    ------
    ValueError : the shapes do not fit each other
    TypeError : an argument has the wrong type or dtype

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> [each.tolist() for each in cnnfast.grad.add(np.ones(2), np.zeros(2), np.zeros(1))]
    [[1.0, 1.0], [2.0]]
    """
    g, left, right = _arguments(grad_output, x, y)
    return unbroadcast(g, left.shape), unbroadcast(g, right.shape)


def multiply(grad_output: ArrayLike, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """The gradients of x * y with respect to x and y: grad_output * y and grad_output * x.

    Parameters
    ----------
    grad_output, x, y : see `add`

    Returns
    -------
    grad_x, grad_y : of x's and y's shape

    Raises
    ------
    As `add`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> [each.tolist() for each in cnnfast.grad.multiply(np.ones(1), np.array([2.0]), np.array([3.0]))]
    [[3.0], [2.0]]
    """
    g, left, right = _arguments(grad_output, x, y)
    by_x, by_y = elementwise.multiply(g, right), elementwise.multiply(g, left)
    return unbroadcast(by_x, left.shape), unbroadcast(by_y, right.shape)


def _arguments(grad_output: object, x: object, y: object) -> tuple[Array, Array, Array]:
    left, right = pointwise.as_floats("x", x), pointwise.as_floats("y", y)
    shape = elementwise.broadcast(left, right)
    return arguments.like("grad_output", grad_output, shape, left.dtype), left, right
