"""Gradients of 2-D convolutions with respect to their input."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, at_once, checks, dispatch, geometry, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair, Sides
from cnnfast.ops.conv import Ints, Padding
from cnnfast.ops.geometry import Geometry, Options, Shape, conv_options
from cnnfast.ops.signatures import FLOATS, NAMES

_PAD_MODES: Any = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""NumPy's names of the modes whose padding depends on x."""


def conv2d_input(
    grad_output: ArrayLike, weight: ArrayLike, input_shape: Shape, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, groups: int = 1, layout: str = "NHWC", padding_mode: str = "zeros",
    precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of `cnnfast.conv2d` with respect to x: the transposed convolution of grad_output with its weight.

    Parameters
    ----------
    grad_output : of conv2d's y's shape, (N, P, Q, K), or (N, K, P, Q) with layout "NCHW"; float32 or float64
    weight : conv2d's, (R, S, C/groups, K), or (K, C/groups, R, S) with "NCHW"; cast to grad_output's dtype
    input_shape : of conv2d's x, in the layout's order
    stride, padding, dilation, groups, layout, padding_mode : as they were given to conv2d
    precision : see `cnnfast.conv2d`
    out : where to write the gradient; it may not overlap an input

    Returns
    -------
    grad_input : of input_shape, in grad_output's dtype

    Raises
    ------
    ValueError : a value or shape is out of its range, or grad_output has not y's shape
    TypeError : an argument has the wrong type or dtype
    MemoryError : the gradient, a copy or the workspace cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> weight = np.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    >>> cnnfast.grad.conv2d_input(np.ones((1, 1, 2, 1)), weight, (1, 1, 3, 1)).ravel().tolist()
    [1.0, 11.0, 10.0]

    References
    ----------
    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285, chapter 4.
    """
    if out is None:
        keywords = (stride, padding, dilation, groups, layout, padding_mode, precision)
        grad_input = at_once.input_gradient(False, grad_output, weight, input_shape, keywords)
        if grad_input is not None:
            return grad_input
    asked = _options("conv2d", stride, padding, dilation, layout, padding_mode, precision)
    count = checks.integer("groups", groups, minimum=1)
    gradient, shape, kernels = _inputs("conv2d", grad_output, weight, input_shape, asked)
    place = geometry.conv_geometry(
        shape, kernels.shape, asked.layouts, count, asked.stride, asked.padding, asked.dilation, asked.padding_mode
    )
    return _conv_input(gradient, kernels, shape, place, count, asked, out, weight)


def depthwise_conv2d_input(
    grad_output: ArrayLike, weight: ArrayLike, input_shape: Shape, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, layout: str = "NHWC", padding_mode: str = "zeros", precision: str = "default",
    out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of `cnnfast.depthwise_conv2d` with respect to x.

    Parameters
    ----------
    grad_output : of y's shape, (N, P, Q, C*multiplier), or (N, C*multiplier, P, Q) with layout "NCHW"
    weight : depthwise_conv2d's, (R, S, C, multiplier), or (C*multiplier, 1, R, S) with "NCHW"
    the others : see `conv2d_input`

    Returns
    -------
    grad_input : of input_shape, in grad_output's dtype

    Raises
    ------
    As `conv2d_input`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> weight = np.array([2.0, 3.0]).reshape(1, 1, 2, 1)
    >>> cnnfast.grad.depthwise_conv2d_input(np.ones((1, 1, 1, 2)), weight, (1, 1, 1, 2)).ravel().tolist()
    [2.0, 3.0]
    """
    if out is None:
        keywords = (stride, padding, dilation, 1, layout, padding_mode, precision)
        grad_input = at_once.input_gradient(True, grad_output, weight, input_shape, keywords)
        if grad_input is not None:
            return grad_input
    asked = _options("depthwise_conv2d", stride, padding, dilation, layout, padding_mode, precision)
    gradient, shape, kernels = _inputs("depthwise_conv2d", grad_output, weight, input_shape, asked)
    place = geometry.depthwise_geometry(
        shape, kernels.shape, asked.layouts, asked.stride, asked.padding, asked.dilation, asked.padding_mode
    )
    if asked.layouts.weight == "NHWC":  # (R, S, C, multiplier) lies as conv2d's (R, S, C/groups = 1, K)
        kernels = kernels.reshape(*kernels.shape[:2], 1, place.filters)
    channels = shape[3 if asked.layouts.x == "NHWC" else 1]
    return _conv_input(gradient, kernels, shape, place, channels, asked, out, weight)


def conv_transpose2d_input(
    grad_output: ArrayLike, weight: ArrayLike, *, stride: Ints = 1, padding: Padding = 0, output_padding: Ints = 0,
    dilation: Ints = 1, groups: int = 1, layout: str = "NHWC", precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of `cnnfast.conv_transpose2d` with respect to x: the convolution of grad_output with its weight.

    Parameters
    ----------
    grad_output : of conv_transpose2d's y's shape, (N, P, Q, K), or (N, K, P, Q) with layout "NCHW"; float32 or float64
    weight : conv_transpose2d's, (R, S, K/groups, C), or (C, K/groups, R, S) with "NCHW"; cast to grad_output's dtype
    stride, padding, output_padding, dilation, groups, layout : as they were given to conv_transpose2d
    precision, out : see `conv2d_input`

    Returns
    -------
    grad_input : (N, H, W, C), or (N, C, H, W) with "NCHW", in grad_output's dtype

    Raises
    ------
    As `conv2d_input`; also ValueError where no x gives an output of grad_output's size.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> weight = np.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    >>> cnnfast.grad.conv_transpose2d_input(np.ones((1, 1, 4, 1)), weight, stride=(1, 2)).ravel().tolist()
    [11.0, 11.0]
    """
    asked = _options("conv_transpose2d", stride, padding, dilation, layout, "zeros", precision)
    count = checks.integer("groups", groups, minimum=1)
    extra = checks.pair("output_padding", output_padding, minimum=0)
    gradient = arrays.as_input("grad_output", grad_output, FLOATS, asked.layouts.y)
    kernels = arrays.as_weight("weight", weight, gradient.dtype, FLOATS)
    shape, place = transposed_from(gradient.shape, kernels.shape, count, extra, asked)
    kernel_layouts = asked.layouts._replace(x=asked.layouts.y, y=asked.layouts.x)
    plan = dispatch.native_plan(
        "conv2d", gradient.shape, shape, kernels, None, dtype=gradient.dtype, stride=asked.stride,
        padding=(*place.padding[0], *place.padding[1]), dilation=asked.dilation, groups=count,
        precision=asked.precision, once=True, **kernel_layouts.told,
    )  # fmt: skip
    inputs = ("grad_output", gradient), ("weight", weight)
    return dispatch.execute(plan, gradient, shape, gradient.dtype, out=out, inputs=inputs)


def unpad(padded: Array, axis: int, sides: Pair, mode: str) -> Array:
    """The gradient of padding an axis: what padding copied goes back to where it was copied from. May be a view.

    >>> import numpy as np
    >>> unpad(np.array([1.0, 10.0, 100.0, 1000.0]), 0, (1, 0), "reflect").tolist()
    [10.0, 101.0, 1000.0]
    """
    size = padded.shape[axis] - sum(sides)
    lines = np.moveaxis(padded, axis, 0)
    middle = lines[sides[0] : sides[0] + size]
    if mode != "zeros":
        middle = middle.copy()
        source = np.pad(np.arange(size), sides, mode=_PAD_MODES[mode])
        for i in (*range(sides[0]), *range(sides[0] + size, len(source))):
            middle[source[i]] += lines[i]
    return np.moveaxis(middle, 0, axis)


def _options(
    op: str, stride: object, padding: object, dilation: object, layout: object, padding_mode: object, precision: object
) -> Options:
    return conv_options(
        op, stride=stride, padding=padding, dilation=dilation, layout=layout, padding_mode=padding_mode,
        activation=None, algorithm="auto", precision=precision, once=True,
    )  # fmt: skip


def _inputs(op: str, grad_output: object, weight: object, input_shape: object, asked: Options
            ) -> tuple[Array, Shape, Array]:  # fmt: skip
    gradient = arrays.as_input("grad_output", grad_output, FLOATS, asked.layouts.y)
    shape, _ = geometry.plan_input(op, input_shape, asked.layouts.x, gradient.dtype, weight)
    return gradient, shape, arrays.as_weight("weight", weight, gradient.dtype, FLOATS)


def _conv_input(
    gradient: Array, kernels: Array, shape: Shape, place: Geometry, groups: int, asked: Options, out: Array | None,
    weight: object,
) -> Array:  # fmt: skip
    if gradient.shape != place.output_shape:
        raise ValueError(
            f"grad_output must have the output's shape {place.output_shape} (of an input {shape}), got {gradient.shape}"
        )
    inputs = ("grad_output", gradient), ("weight", weight)
    if asked.padding_mode == "zeros" or place.padding == shapes.NO_PADDING:
        return _scatter(gradient, kernels, shape, place.padding, groups, asked, out, inputs)
    if out is not None:
        arrays.check_no_overlap(arrays.check_out(out, shape, gradient.dtype), inputs)
    N, H, W, C = shapes.split(shape, asked.layouts.x)
    padded_shape = shapes.join(N, H + sum(place.padding[0]), W + sum(place.padding[1]), C, asked.layouts.x)
    grad = _scatter(gradient, kernels, padded_shape, shapes.NO_PADDING, groups, asked, None, inputs)
    first = 1 if asked.layouts.x == "NHWC" else 2
    for i in range(2):
        grad = unpad(grad, first + i, place.padding[i], asked.padding_mode)
    if out is None:
        return arrays.contiguous("the gradient", grad)
    np.copyto(out, grad)
    return out


def _scatter(
    gradient: Array, kernels: Array, shape: Shape, padding: Sides, groups: int, asked: Options, out: Array | None,
    inputs: tuple[tuple[str, object], ...],
) -> Array:  # fmt: skip
    """The gradient of a convolution of zero padding."""
    arrays.check_fits("an image of the gradient", shape[1:], gradient.dtype)
    plan = native.plan_conv2d_grad_input(
        (max(1, shape[0]), *shape[1:]), kernels, dtype=NAMES[gradient.dtype], stride=asked.stride,
        padding=(*padding[0], *padding[1]), dilation=asked.dilation, groups=groups, precision=asked.precision,
        once=asked.once, **asked.layouts.told,
    )  # fmt: skip
    return dispatch.execute(plan, gradient, shape, gradient.dtype, out=out, inputs=inputs)


def transposed_from(
    output_shape: tuple[int, ...], weight_shape: tuple[int, ...], groups: int, extra: Pair, asked: Options
) -> tuple[Shape, Geometry]:
    """The shape of the x that conv_transpose2d makes such an output of, and its geometry."""
    layouts, same = asked.layouts, asked.padding == "same"
    if layouts.weight == "NHWC":
        R, S, _, C = geometry.check_weight("weight", weight_shape, "R, S, K/groups, C")
    else:
        C, _, R, S = geometry.check_weight("weight", weight_shape, "C, K/groups, R, S")
    N, P, Q, _ = shapes.split(output_shape, layouts.y)
    sides: Sides = shapes.NO_PADDING if asked.padding == "same" else asked.padding
    H, W = (
        n // step if same else (n - more + sum(side) - shapes.dilated(k, gap)) // step + 1
        for n, k, step, gap, more, side in zip((P, Q), (R, S), asked.stride, asked.dilation, extra, sides, strict=True)
    )
    shape = shapes.join(N, max(1, H), max(1, W), C, layouts.x)
    place = geometry.conv_transpose_geometry(
        shape, weight_shape, layouts, groups, asked.stride, asked.padding, asked.dilation, extra
    )
    if place.output_shape != output_shape:
        raise ValueError(
            f"grad_output must have the shape of an output of conv_transpose2d with this weight and stride, such as "
            f"{place.output_shape}, got {output_shape}"
        )
    return shape, place
