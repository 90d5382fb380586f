"""Gradients of the pools: maxima send theirs back to where they stood, means share it out."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, dispatch, options, pointwise, pool, shapes, unpool
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import Ints, Padding
from cnnfast.ops.grad import given, plans
from cnnfast.ops.grad.windows import window
from cnnfast.ops.prepared import prepared
from cnnfast.ops.signatures import FLOATS

Sizes = tuple[int, ...]
INT64 = np.dtype(np.int64)


def max_pool2d(
    grad_output: ArrayLike, indices: ArrayLike, input_shape: Sizes, *, layout: str = "NHWC", out: Array | None = None
) -> Array:
    """Of max_pool2d and adaptive_max_pool2d with respect to x: each gradient is added where its maximum stood.

    Where windows overlap, one pixel may be the maximum of several; they are added in the order of the windows' rows.

    Parameters
    ----------
    grad_output : (N, P, Q, C), or (N, C, P, Q) with layout "NCHW"; float32 or float64
    indices : of grad_output's shape, any integer dtype: h*W + w, as the op gives them with return_indices
    input_shape : x's
    layout : "NHWC" or "NCHW"
    out : where to write the gradient; it may not overlap an input

    Returns
    -------
    grad_input : of x's shape and grad_output's dtype

    Raises
    ------
    ValueError : a value or shape is out of its range, an index not in [0, H*W)
    TypeError : an argument has the wrong type or dtype
    MemoryError : grad_input cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([[2.0, 3, 1, 9], [4, 7, 3, 5]]).reshape(1, 2, 4, 1)
    >>> y, indices = cnnfast.max_pool2d(x, 2, return_indices=True)
    >>> cnnfast.grad.max_pool2d(y, indices, x.shape).reshape(2, 4).tolist()
    [[0.0, 0.0, 0.0, 9.0], [0.0, 7.0, 0.0, 0.0]]
    """
    grad = given.as_grad(grad_output)
    back = prepared(plans.adaptive, (grad.dtype, grad.shape, "max"), (input_shape, layout))
    _, H, W, _ = shapes.split(back.input_shape, layout)
    inputs = ("grad_output", grad_output), ("indices", indices)
    return plans.scatter(back, grad, indices, H * W, out, inputs)


def min_pool2d(
    grad_output: ArrayLike, x: ArrayLike, kernel_size: Ints, stride: Ints | None = None, *, padding: Padding = 0,
    dilation: Ints = 1, ceil_mode: bool = False, layout: str = "NHWC", out: Array | None = None,
) -> Array:  # fmt: skip
    """Of min_pool2d with respect to x: each gradient is added where its minimum stands, the first of equal ones.

    Parameters
    ----------
    grad_output : of the op's output's shape; float32 or float64
    x : the op's, of grad_output's dtype
    kernel_size, stride, padding, dilation, ceil_mode, layout : the op's
    out : see `max_pool2d`

    Returns
    -------
    grad_input : of x's shape and dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([[2.0, 3], [1, 5]]).reshape(1, 2, 2, 1)
    >>> cnnfast.grad.min_pool2d(np.ones((1, 1, 1, 1)), x, 2).ravel().tolist()
    [0.0, 0.0, 1.0, 0.0]
    """
    values = arrays.as_array("x", x)
    of = window(values.shape, kernel_size, stride, padding, dilation, ceil_mode, layout)
    grad = given.grad_of(grad_output, of.output_shape)
    given.beside("x", values, grad, of.input_shape)
    _, indices = pool.max_pool2d(
        -values, kernel_size, stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode, return_indices=True,
        layout=layout,
    )  # fmt: skip
    return max_pool2d(grad, indices, of.input_shape, layout=layout, out=out)


def avg_pool2d(
    grad_output: ArrayLike, input_shape: Sizes, kernel_size: Ints, stride: Ints | None = None, *, padding: Padding = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, layout: str = "NHWC", out: Array | None = None,
) -> Array:  # fmt: skip
    """Of avg_pool2d with respect to x: each pixel is given its share by every window that it is in.

    Parameters
    ----------
    grad_output : of the op's output's shape; float32 or float64
    input_shape : x's
    kernel_size, stride, padding, ceil_mode, count_include_pad, layout : the op's
    out : see `max_pool2d`

    Returns
    -------
    grad_input : of x's shape and grad_output's dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.grad.avg_pool2d(np.full((1, 1, 2, 1), 3.0), (1, 1, 4, 1), (1, 3), 1).ravel().tolist()
    [1.0, 2.0, 2.0, 1.0]
    """
    grad = given.as_grad(grad_output)
    how = input_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, layout
    return plans.run(prepared(plans.average, (grad.dtype,), how), grad, out, (("grad_output", grad_output),))


def lp_pool2d(
    grad_output: ArrayLike, x: ArrayLike, y: ArrayLike, norm_type: float, kernel_size: Ints,
    stride: Ints | None = None, *, padding: Padding = 0, dilation: Ints = 1, ceil_mode: bool = False,
    layout: str = "NHWC", out: Array | None = None,
) -> Array:  # fmt: skip
    """Of lp_pool2d with respect to x: sign(x) |x|**(p-1) * sum of grad_output * y**(1-p) over the windows around it.

    Where x is 0, and has no derivative if p <= 1, the gradient is 0.

    Parameters
    ----------
    grad_output : of the op's output's shape; float32 or float64
    x, y : the op's input and output, of grad_output's dtype
    norm_type, kernel_size, stride, padding, dilation, ceil_mode, layout : the op's
    out : see `max_pool2d`

    Returns
    -------
    grad_input : of x's shape and dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([3.0, -4.0]).reshape(1, 1, 2, 1)
    >>> y = cnnfast.lp_pool2d(x, 2, (1, 2))
    >>> cnnfast.grad.lp_pool2d(np.full_like(y, 10), x, y, 2, (1, 2)).ravel().tolist()
    [6.0, -8.0]
    """
    p = checks.number("norm_type", norm_type, positive=True)
    values = arrays.as_array("x", x)
    of = window(values.shape, kernel_size, stride, padding, dilation, ceil_mode, layout)
    grad = given.grad_of(grad_output, of.output_shape)
    given.beside("x", values, grad, of.input_shape)
    norms = given.beside("y", y, grad, of.output_shape)
    with np.errstate(all="ignore"):
        shares = np.where(norms == 0, 0, grad * norms ** (1 - p)).astype(grad.dtype, copy=False)
        slope = np.where(values == 0, 0, np.sign(values) * np.abs(values) ** (p - 1))
        inputs = ("grad_output", grad_output), ("x", x), ("y", y)
        grad_input = plans.run(plans.of_windows(grad.dtype, of, "lp", True), shares, out, inputs)
        grad_input *= slope
    return grad_input


def global_avg_pool2d(
    grad_output: ArrayLike, input_shape: Sizes, *, layout: str = "NHWC", out: Array | None = None
) -> Array:
    """Of global_avg_pool2d with respect to x: every pixel is given the same share.

    Parameters
    ----------
    grad_output : (N, 1, 1, C), or (N, C, 1, 1) with layout "NCHW"; float32 or float64
    input_shape : x's
    layout, out : see `max_pool2d`

    Returns
    -------
    grad_input : of x's shape and grad_output's dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.grad.global_avg_pool2d(np.full((1, 1, 1, 1), 6.0), (1, 3, 2, 1)).ravel().tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    grad = given.as_grad(grad_output)
    if grad.ndim == 4 and shapes.split(grad.shape, options.layout(layout))[1:3] != (1, 1):
        raise ValueError(f"grad_output must be one pixel high and wide, got shape {grad.shape}")
    return adaptive_avg_pool2d(grad, input_shape, layout=layout, out=out)


def global_max_pool2d(
    grad_output: ArrayLike, x: ArrayLike, y: ArrayLike, *, layout: str = "NHWC", out: Array | None = None
) -> Array:
    """Of global_max_pool2d with respect to x: the gradient goes to the first pixel that is the maximum.

    Parameters
    ----------
    grad_output : (N, 1, 1, C), or (N, C, 1, 1) with layout "NCHW"; float32 or float64
    x, y : the op's input and output, of grad_output's dtype
    layout, out : see `max_pool2d`

    Returns
    -------
    grad_input : of x's shape and dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([2.0, 7.0, 1.0]).reshape(1, 3, 1, 1)
    >>> cnnfast.grad.global_max_pool2d(np.ones((1, 1, 1, 1)), x, x.max((1, 2), keepdims=True)).ravel().tolist()
    [0.0, 1.0, 0.0]
    """
    order = options.layout(layout)
    values = arrays.as_array("x", x)
    shape = given.images_shape(values.shape, order)
    N, H, W, C = shapes.split(shape, order)
    pooled = shapes.join(N, 1, 1, C, order)
    grad = given.grad_of(grad_output, pooled)
    given.beside("x", values, grad, shape)
    largest = given.beside("y", y, grad, pooled)
    found = (values == largest) | (values != values)
    pixels = found.reshape((N, H * W, C) if order == "NHWC" else (N, C, H * W))
    indices = pixels.argmax(axis=1 if order == "NHWC" else 2).reshape(pooled)
    return max_pool2d(grad, indices, shape, layout=order, out=out)


def adaptive_avg_pool2d(
    grad_output: ArrayLike, input_shape: Sizes, *, layout: str = "NHWC", out: Array | None = None
) -> Array:
    """Of adaptive_avg_pool2d with respect to x.

    Parameters
    ----------
    grad_output : (N, P, Q, C), or (N, C, P, Q) with layout "NCHW"; float32 or float64: P x Q is the op's output_size
    input_shape : x's
    layout, out : see `max_pool2d`

    Returns
    -------
    grad_input : of x's shape and grad_output's dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> grad = np.array([2.0, 4.0]).reshape(1, 1, 2, 1)
    >>> cnnfast.grad.adaptive_avg_pool2d(grad, (1, 1, 3, 1)).ravel().tolist()
    [1.0, 3.0, 2.0]
    """
    grad = given.as_grad(grad_output)
    back = prepared(plans.adaptive, (grad.dtype, grad.shape, "avg"), (input_shape, layout))
    return plans.run(back, grad, out, (("grad_output", grad_output),))


def max_unpool2d(
    grad_output: ArrayLike, indices: ArrayLike, *, layout: str = "NHWC", out: Array | None = None
) -> Array:
    """Of max_unpool2d with respect to x: each pixel reads the gradient where it was put.

    Where indices are equal the op keeps the last of them in row order; the others' gradient is 0.

    Parameters
    ----------
    grad_output : (N, P, Q, C), or (N, C, P, Q) with layout "NCHW"; float32 or float64
    indices : the op's, (N, H, W, C) or (N, C, H, W), any integer dtype: p*Q + q
    layout, out : see `max_pool2d`

    Returns
    -------
    grad_input : of the indices' shape and grad_output's dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> grad = np.arange(4.0).reshape(1, 2, 2, 1)
    >>> cnnfast.grad.max_unpool2d(grad, np.array([3, 3, 0]).reshape(1, 1, 3, 1)).ravel().tolist()
    [0.0, 3.0, 0.0]
    """
    order = options.layout(layout)
    grad = arrays.as_input("grad_output", grad_output, FLOATS, order)
    N, P, Q, C = shapes.split(grad.shape, order)
    places = arrays.as_array("indices", indices)
    if places.ndim != 4 or shapes.split(places.shape, order)[::3] != (N, C) or 0 in places.shape[1:]:
        raise ValueError(f"indices must have grad_output's N {N} and C {C}, got shape {places.shape}")
    places = unpool.as_indices(indices, places.shape)
    unpool.check_range(places, P * Q)
    y = pointwise.target(out, places.shape, grad.dtype, (("grad_output", grad_output), ("indices", indices)))
    if not y.size:
        return y
    numbers = np.arange(1, math.prod(places.shape) + 1).reshape(places.shape)  # 0 is where nothing was put
    last = dispatch.execute(
        unpool.unpooling((native.isa(), native.get_max_workspace()), places.shape, grad.shape, (P, Q), INT64, order),
        numbers, grad.shape, INT64, indices=places,
    )  # fmt: skip
    lines: Any = (N, -1, C) if order == "NHWC" else (N, C, -1)
    axis = 1 if order == "NHWC" else 2
    kept, read = (np.take_along_axis(each.reshape(lines), places.reshape(lines), axis) for each in (last, grad))
    kept = kept == numbers.reshape(lines)
    y[...] = np.where(kept, read, 0).reshape(places.shape)
    return y
