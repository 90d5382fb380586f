"""Convolutions whose weights come with each call, as a training's do: shapes and keywords are looked at once.

A call of arrays that fit as they are then costs little more than the kernel. For all others there is None, and the
careful way follows, which also says what is wrong.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, geometry
from cnnfast.ops.arrays import Array
from cnnfast.ops.geometry import Geometry, Options, conv_options
from cnnfast.ops.prepared import prepared
from cnnfast.ops.signatures import FLOATS, NAMES

Sizes = tuple[int, ...]
Keywords = tuple[Any, ...]
"""Those of an op, as the user gave them: stride, padding, dilation, groups (a depthwise one's are not read), layout,
padding_mode, precision, then what else it has."""


class Call(NamedTuple):
    """A convolution, or a gradient of it, made ready for arrays of some shapes; `new` is where it may write."""

    native: native.Conv2dCall
    filters: tuple[int]
    y_shape: Sizes
    new: Callable[[], Array]


def convolution(
    depthwise: bool, x: object, weight: object, bias: object, residual: object, keywords: Keywords, activation: object,
    algorithm: object,
) -> Array | None:  # fmt: skip
    """y."""
    if type(x) is not np.ndarray or type(weight) is not np.ndarray:
        return None
    call = _ready(_convolution, (depthwise, x.shape, x.dtype, weight.shape), (*keywords, activation, algorithm))
    if call is None or not (_is(bias, call.filters) and _is(residual, call.y_shape)):
        return None
    y = call.new()
    return y if call.native.run(x, weight, bias, residual, y) else None


def input_gradient(
    depthwise: bool, grad_output: object, weight: object, input_shape: object, keywords: Keywords
) -> Array | None:
    """grad_input."""
    if type(grad_output) is not np.ndarray or type(weight) is not np.ndarray:
        return None
    problem = depthwise, grad_output.shape, grad_output.dtype, weight.shape
    call = _ready(_input_gradient, problem, (*keywords, input_shape))
    if call is None:
        return None
    grad_input = call.new()
    return grad_input if call.native.run_input(grad_output, weight, grad_input) else None


def weight_gradient(
    depthwise: bool, grad_output: object, x: object, kernel_size: object, grad_bias: object, keywords: Keywords
) -> Array | None:
    """grad_weight; grad_bias is written."""
    if type(grad_output) is not np.ndarray or type(x) is not np.ndarray:
        return None
    call = _ready(_weight_gradient, (depthwise, grad_output.shape, x.dtype, x.shape), (*keywords, kernel_size))
    if call is None or not _is(grad_bias, call.filters):
        return None
    grad_weight = call.new()
    return grad_weight if call.native.run_weight(grad_output, x, grad_weight, grad_bias) else None


def _ready(make: Callable[..., Call | None], problem: tuple[Any, ...], given: tuple[Any, ...]) -> Call | None:
    try:
        return prepared(make, problem, given)
    except (ValueError, TypeError):  # the careful way says in its own words what is wrong
        return None


def _is(array: object, shape: Sizes) -> bool:
    return array is None or (type(array) is np.ndarray and array.shape == shape)


def _convolution(
    depthwise: bool, x_shape: Sizes, dtype: np.dtype[Any], weight_shape: Sizes,
    stride: object, padding: object, dilation: object,
    groups: object, layout: object, padding_mode: object, precision: object, activation: object, algorithm: object,
) -> Call | None:  # fmt: skip
    asked = _options(stride, padding, dilation, layout, padding_mode, precision, activation)
    if isinstance(algorithm, str) and algorithm == "auto":
        return _call(depthwise, x_shape, dtype, weight_shape, groups, asked, lambda place: place.output_shape)
    return None


def _input_gradient(
    depthwise: bool, grad_shape: Sizes, dtype: np.dtype[Any], weight_shape: Sizes,
    stride: object, padding: object, dilation: object,
    groups: object, layout: object, padding_mode: object, precision: object, input_shape: object,
) -> Call | None:  # fmt: skip
    asked = _options(stride, padding, dilation, layout, padding_mode, precision)
    shape = geometry.shape_of(input_shape, asked.layout)
    call = _call(depthwise, shape, dtype, weight_shape, groups, asked, lambda place: shape)
    return call if call and call.y_shape == grad_shape and asked.padding_mode == "zeros" else None


def _weight_gradient(
    depthwise: bool, grad_shape: Sizes, dtype: np.dtype[Any], x_shape: Sizes,
    stride: object, padding: object, dilation: object,
    groups: object, layout: object, padding_mode: object, precision: object, kernel_size: object,
) -> Call | None:  # fmt: skip
    asked = _options(stride, padding, dilation, layout, padding_mode, precision)
    if asked.layout != "NHWC" or asked.padding_mode != "zeros":  # there the sums are of other arrays than these
        return None
    if len(grad_shape) != 4 or len(x_shape) != 4 or 0 in x_shape:
        return None
    C, K = x_shape[3], grad_shape[3]
    inner, outer = (C, K // C) if depthwise else (C // checks.integer("groups", groups, minimum=1), K)
    shape = (*checks.pair("kernel_size", kernel_size, minimum=1), inner, outer)
    call = _call(depthwise, x_shape, dtype, shape, groups, asked, lambda place: shape)
    return call if call and call.y_shape == grad_shape else None


def _options(
    stride: object, padding: object, dilation: object, layout: object, padding_mode: object, precision: object,
    activation: object = None,
) -> Options:  # fmt: skip
    return conv_options(
        "conv2d", stride=stride, padding=padding, dilation=dilation, layout=layout, padding_mode=padding_mode,
        activation=activation, algorithm="auto", precision=precision, once=True,
    )  # fmt: skip


def _call(
    depthwise: bool, x_shape: Sizes, dtype: np.dtype[Any], weight_shape: Sizes, groups: object, asked: Options,
    gives: Callable[[Geometry], Sizes],
) -> Call | None:  # fmt: skip
    """The call of a convolution, or of a gradient that `gives` an array of this shape."""
    layout = asked.layout
    arrays.check_input("x", x_shape, dtype, FLOATS, layout)
    windows = asked.stride, asked.padding, asked.dilation, asked.padding_mode
    if depthwise:
        place = geometry.depthwise_geometry(x_shape, weight_shape, asked.layouts, *windows)
        count = x_shape[3 if layout == "NHWC" else 1]
        if layout == "NHWC":  # (R, S, C, multiplier) lies as conv2d's (R, S, C/groups = 1, K)
            weight_shape = (*weight_shape[:2], 1, place.filters)
    else:
        count = checks.integer("groups", groups, minimum=1)
        place = geometry.conv_geometry(x_shape, weight_shape, asked.layouts, count, *windows)
    if 0 in x_shape:
        return None
    arrays.check_fits("an image of x", x_shape[1:], dtype)
    arrays.check_fits("an image of the output", place.output_shape[1:], dtype)
    activation, alpha = asked.activation
    call = native.Conv2dCall(
        x_shape, weight_shape, dtype=NAMES[dtype], layout=layout, stride=asked.stride,
        padding=(*place.padding[0], *place.padding[1]), dilation=asked.dilation, groups=count,
        padding_mode=asked.padding_mode, activation=activation, alpha=alpha, precision=asked.precision,
    )  # fmt: skip
    return Call(call, (place.filters,), place.output_shape, arrays.allocator("the result", gives(place), dtype))
