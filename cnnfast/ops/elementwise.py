"""Arrays into one: add, multiply, concatenate."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import arrays, checks, options, pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.options import Activation
from cnnfast.ops.signatures import KEPT


def add(x: ArrayLike, y: ArrayLike, *, activation: Activation = None, out: Array | None = None) -> Array:
    """activation(x + y).

    Parameters
    ----------
    x : any shape; float32 or float64
    y : of x's shape, or one that NumPy broadcasts with it; cast to x's dtype
    activation : see `conv2d`
    out : where to write the sum; it may not overlap an input

    Returns
    -------
    The sum, of the broadcast shape and x's dtype

    Raises
    ------
    ValueError : the shapes do not fit each other, or out does not fit
    TypeError : an argument has the wrong type or dtype
    MemoryError : the sum cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.add(np.array([1.0, -2.0]), np.array([1.0, 1.0]), activation="relu").tolist()
    [2.0, 0.0]
    """
    return _combine("add", x, y, activation, out)


def multiply(x: ArrayLike, y: ArrayLike, *, activation: Activation = None, out: Array | None = None) -> Array:
    """activation(x * y).

    Parameters
    ----------
    x, y, activation, out : see `add`

    Returns
    -------
    The product, of the broadcast shape and x's dtype

    Raises
    ------
    As `add`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.multiply(np.array([[1.0], [2.0]]), np.array([3.0, 4.0])).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    return _combine("multiply", x, y, activation, out)


def concatenate(arrays: Sequence[ArrayLike], axis: int = -1, *, out: Array | None = None) -> Array:
    """The arrays side by side along one axis.

    Parameters
    ----------
    arrays : one or more, equal in shape but along `axis`, and in dtype: float32, float64 or an integer dtype
    axis : the axis that grows; by default the last, NHWC's channels
    out : where to write y; it may not overlap an input

    Returns
    -------
    y : of the arrays' dtype

    Raises
    ------
    ValueError : no arrays, an axis they do not have, or shapes or an out that do not fit
    TypeError : an argument has the wrong type or dtype
    MemoryError : y cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.concatenate([np.zeros((1, 2, 2, 3)), np.ones((1, 2, 2, 5))]).shape
    (1, 2, 2, 8)
    """
    parts = _parts(arrays)
    first, ndim = parts[0], parts[0].ndim
    at = check_axis("axis", axis, ndim)
    for i, part in enumerate(parts[1:], 1):
        if part.dtype != first.dtype:
            raise TypeError(f"arrays must have one dtype, got {first.dtype} and {part.dtype} (number {i})")
    shape = joined_shape([part.shape for part in parts], at)
    y = pointwise.target(out, shape, first.dtype, [(f"arrays[{i}]", part) for i, part in enumerate(parts)], first)
    return np.concatenate(parts, axis=at, out=y)  # a copy of each part: memory's speed already


def joined_shape(shapes: Sequence[tuple[int, ...]], axis: int) -> tuple[int, ...]:
    """The shape of arrays of these shapes side by side."""
    first = shapes[0]
    for shape in shapes[1:]:
        if len(shape) != len(first) or any(shape[d] != first[d] for d in range(len(first)) if d != axis):
            raise ValueError(f"arrays must agree but along axis {axis}, got shapes {first} and {shape}")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def check_axis(name: str, axis: object, ndim: int) -> int:
    """axis as an index from 0: an integer in [-ndim, ndim)."""
    if ndim == 0:
        raise ValueError(f"{name} must be an axis of the input, which has none (a scalar), got {axis!r}")
    found = checks.integer(name, axis, -ndim)
    if found >= ndim:
        raise ValueError(f"{name} must be < {ndim}, the number of dimensions, got {found}")
    return found % ndim


def broadcast(x: Array, y: Array) -> tuple[int, ...]:
    """The shape that both broadcast to."""
    if x.shape == y.shape:
        return x.shape
    try:
        return np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        raise ValueError(f"y must broadcast with x {x.shape}, got shape {y.shape}") from None


def _parts(values: object) -> list[Array]:
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
        raise TypeError(f"arrays must be a sequence of arrays, got {type(values).__name__}")
    parts = [arrays.as_array(f"arrays[{i}]", value) for i, value in enumerate(values)]
    if not parts:
        raise ValueError("arrays must hold one array or more, got none")
    for i, part in enumerate(parts):
        arrays.check_dtype(f"arrays[{i}]", part.dtype, KEPT)
    return parts


def _combine(kind: str, x: object, y: object, activation: object, out: object) -> Array:
    after = options.activation("activation", activation)
    left, right = pointwise.as_floats("x", x), pointwise.as_floats("y", y)
    broadcast(left, right)
    if right.dtype != left.dtype:
        right = arrays.contiguous("y", right, left.dtype)
    return pointwise.combine(kind, left, right, out, after, (("x", left), ("y", y)))
