"""Gradients of linear, and of every bias."""

import math

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import arrays, checks, pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import conv2d
from cnnfast.ops.grad.conv_weight import conv2d_weight
from cnnfast.ops.signatures import FLOATS

_WIDE, _CHUNK = 4096, 4096
"""Elements of a wide row, and as many as are summed in one chain."""
LAYOUTS = ("NHWC", "NCHW", "NLC", "NCL", "NDHWC", "NCDHW")


def linear_input(grad_output: ArrayLike, weight: ArrayLike, *, out: Array | None = None) -> Array:
    """The gradient of linear with respect to x: grad_output @ weight.

    Parameters
    ----------
    grad_output : (..., K): y's gradient; float32 or float64
    weight : (K, C): linear's; cast to grad_output's dtype
    out : where to write; it may not overlap an input

    Returns
    -------
    grad_input : (..., C) of grad_output's dtype

    Raises
    ------
    As `linear`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> cnnfast.grad.linear_input(np.array([1.0, 10.0]), np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [31.0, 42.0]
    """
    gradient = _rows("grad_output", grad_output)
    matrix = arrays.as_array("weight", weight)
    check_matrix(matrix.shape, gradient.shape)
    K, C = matrix.shape
    y = pointwise.target(
        out, (*gradient.shape[:-1], C), gradient.dtype, (("grad_output", gradient), ("weight", matrix))
    )
    if y.size:  # the 1x1 convolution whose weight is `weight` as it lies
        rows = math.prod(gradient.shape[:-1])
        kernels = arrays.as_weight("weight", matrix, gradient.dtype, FLOATS).reshape(1, 1, K, C)
        x = arrays.contiguous("grad_output", gradient).reshape(rows, 1, 1, K)
        direct = y.flags.c_contiguous and y.flags.aligned
        found = conv2d(x, kernels, out=y.reshape(rows, 1, 1, C) if direct else None)
        if not direct:
            np.copyto(y, found.reshape(y.shape))
    return y


def linear_weight(grad_output: ArrayLike, x: ArrayLike, *, out: Array | None = None) -> Array:
    """The gradient of linear with respect to its weight: grad_output.T @ x, summed over all leading dimensions.

    Parameters
    ----------
    grad_output : (..., K): y's gradient; cast to x's dtype
    x : (..., C): linear's; float32 or float64
    out : where to write; it may not overlap an input

    Returns
    -------
    grad_weight : (K, C) of x's dtype; zeros where there are no rows

    Raises
    ------
    As `linear`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> cnnfast.grad.linear_weight(np.array([[1.0], [10.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[31.0, 42.0]]
    """
    values, gradient = _rows("x", x), _rows("grad_output", grad_output)
    check_same_rows(gradient.shape, values.shape)
    C, K = values.shape[-1], gradient.shape[-1]
    weight = pointwise.target(out, (K, C), values.dtype, (("grad_output", gradient), ("x", values)))
    rows = math.prod(values.shape[:-1])
    pixels = arrays.contiguous("grad_output", gradient, values.dtype).reshape(rows, 1, 1, K)
    # a 1x1 convolution's, whose filters, along which vectors run, are x's C
    direct = weight.flags.c_contiguous and weight.flags.aligned
    found = conv2d_weight(
        values.reshape(rows, 1, 1, C), pixels, 1, out=weight.reshape(1, 1, K, C) if direct else None
    )  # fmt: skip
    if not direct:
        np.copyto(weight, found.reshape(K, C))
    return weight


def bias(grad_output: ArrayLike, *, layout: str = "NHWC") -> Array:
    """The gradient of any op with respect to its bias: grad_output summed over all axes but the channels'.

    Parameters
    ----------
    grad_output : y's gradient: channels last, or second with layout "NCHW", "NCL" or "NCDHW"; float32 or float64
    layout : "NHWC", "NCHW", "NLC", "NCL", "NDHWC" or "NCDHW"

    Returns
    -------
    grad_bias : (K,) of grad_output's dtype

    Raises
    ------
    ValueError, TypeError : an argument does not fit

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> cnnfast.grad.bias(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [4.0, 6.0]
    """
    order = checks.choice("layout", layout, LAYOUTS)
    gradient = arrays.as_array("grad_output", grad_output)
    arrays.check_dtype("grad_output", gradient.dtype, FLOATS)
    check_summed(gradient.shape, order)
    if not order.endswith("C"):
        return np.asarray(gradient.reshape(*gradient.shape[:2], math.prod(gradient.shape[2:])).sum(axis=2).sum(axis=0))
    return _sum_rows(arrays.contiguous("grad_output", gradient).reshape(-1, gradient.shape[-1]))


def _sum_rows(rows: Array) -> Array:
    """The sum over the first axis, many rows side by side as one wide one: NumPy adds wide rows at memory's speed, and
    the chains are short."""
    n, K = rows.shape
    beside = max(1, _WIDE // K)
    whole = n // beside * beside
    wide = rows[:whole].reshape(-1, beside * K)
    parts = [wide[i : i + _CHUNK].sum(axis=0).reshape(beside, K).sum(axis=0) for i in range(0, len(wide), _CHUNK)]
    return np.asarray(sum(parts, rows[whole:].sum(axis=0)))


def _rows(name: str, value: object) -> Array:
    array = arrays.as_array(name, value)
    arrays.check_dtype(name, array.dtype, FLOATS)
    check_rows(name, array.shape)
    return array


def check_rows(name: str, shape: tuple[int, ...]) -> None:
    """The shape of rows of numbers."""
    if len(shape) < 1 or shape[-1] == 0:
        raise ValueError(f"{name} must have 1 dimension or more, the last not 0, got shape {shape}")


def check_matrix(weight_shape: tuple[int, ...], grad_shape: tuple[int, ...]) -> None:
    """linear_input's weight and grad_output fit each other."""
    if len(weight_shape) != 2 or 0 in weight_shape:
        raise ValueError(f"weight must have 2 dimensions (K, C), neither 0, got shape {weight_shape}")
    if grad_shape[-1] != weight_shape[0]:
        raise ValueError(f"grad_output must be (..., K) with weight's K {weight_shape[0]}, got shape {grad_shape}")


def check_same_rows(grad_shape: tuple[int, ...], x_shape: tuple[int, ...]) -> None:
    """linear_weight's grad_output and x fit each other."""
    if grad_shape[:-1] != x_shape[:-1]:
        raise ValueError(f"grad_output must be {(*x_shape[:-1], 'K')} as x is, got shape {grad_shape}")


def check_summed(shape: tuple[int, ...], layout: str) -> None:
    """bias' grad_output."""
    if len(shape) < (1 if layout.endswith("C") else 2) or 0 in shape[1:] or shape == (0,):
        raise ValueError(f"grad_output must have no empty dimension but the first, got shape {shape}")
