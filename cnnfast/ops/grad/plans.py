"""The ways back of pools and upsample2d: arguments are checked, and the native plan is made, once for a shape."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, dispatch, options, shapes, unpool
from cnnfast.ops.arrays import Array
from cnnfast.ops.grad.given import Shape, grad_of, images_shape
from cnnfast.ops.grad.windows import Window, window
from cnnfast.ops.signatures import NAMES

Inputs = tuple[tuple[str, object], ...]
"""The arrays that an output may not overlap, by argument name."""


class Back(NamedTuple):
    """From the gradient of an op's output to that of its input."""

    plan: native.Plan
    output_shape: Shape
    input_shape: Shape
    new: Callable[[], Array]


def run(back: Back, grad: Array, out: object, inputs: Inputs, indices: Array | None = None) -> Array:
    """The gradient of the op's input, of that of its output."""
    plan, output_shape, input_shape, new = back
    if grad.shape != output_shape:
        grad_of(grad, output_shape)
    if out is None and indices is None and input_shape[0]:  # then a call costs little more than the plan's
        y = new()
        if plan.run(grad, None, y):
            return y
    return dispatch.execute(plan, grad, input_shape, grad.dtype, out=out, indices=indices, inputs=inputs)


def average(
    dtype: np.dtype[Any], input_shape: object, kernel_size: object, stride: object, padding: object, ceil_mode: object,
    count_include_pad: object, layout: object,
) -> Back:  # fmt: skip
    """avg_pool2d's, of arguments as the user gave them."""
    of = window(input_shape, kernel_size, stride, padding, 1, ceil_mode, layout)
    return of_windows(dtype, of, "avg", checks.boolean("count_include_pad", count_include_pad))


def of_windows(dtype: np.dtype[Any], of: Window, kind: str, count_include_pad: bool) -> Back:
    """Of averages ("avg") or sums ("lp") over windows."""
    (top, bottom), (left, right) = of.padding
    return _back(
        native.plan_pool2d_grad, dtype, of.output_shape, of.input_shape, of.layout, kind=kind,
        kernel_size=of.kernel_size, stride=of.stride, padding=(top, bottom, left, right), dilation=of.dilation,
        ceil_mode=of.ceil_mode, count_include_pad=count_include_pad,
    )  # fmt: skip


def adaptive(
    dtype: np.dtype[Any], output_shape: tuple[int, ...], kind: str, input_shape: object, layout: object
) -> Back:
    """Of means over windows that cover the input ("avg"), or of maxima with indices anywhere in it ("max")."""
    order = options.layout(layout)
    shape = images_shape(input_shape, order)
    N, _, _, C = shapes.split(shape, order)
    if len(output_shape) != 4 or shapes.split(output_shape, order)[::3] != (N, C) or 0 in output_shape[1:]:
        raise ValueError(f"grad_output must have N {N} and C {C} of input_shape {shape}, got shape {output_shape}")
    _, P, Q, _ = shapes.split(output_shape, order)
    to = shapes.join(N, P, Q, C, order)
    return _back(native.plan_pool2d_grad, dtype, to, shape, order, kind=kind, output_size=(P, Q))


def upsampling(
    dtype: np.dtype[Any], input_shape: object, scale_factor: object, mode: object, align_corners: object,
    layout: object,
) -> Back:  # fmt: skip
    """upsample2d's, of arguments as the user gave them."""
    order = options.layout(layout)
    scale = checks.pair("scale_factor", scale_factor, minimum=1)
    kind = checks.choice("mode", mode, ("nearest", "bilinear"))
    corners = checks.boolean("align_corners", align_corners)
    if corners and kind == "nearest":
        raise ValueError('align_corners must be False with mode "nearest", got True')
    shape = images_shape(input_shape, order)
    N, H, W, C = shapes.split(shape, order)
    return _back(
        native.plan_upsample2d_grad, dtype, shapes.join(N, H * scale[0], W * scale[1], C, order), shape, order,
        scale=scale, bilinear=kind == "bilinear", align_corners=corners,
    )  # fmt: skip


def scatter(back: Back, grad: Array, indices: object, count: int, out: object, inputs: Inputs) -> Array:
    """Each gradient added at its index, of `count` there are in an image's channel."""
    places = unpool.as_indices(indices, grad.shape)
    try:
        return run(back, grad, out, inputs, places)
    except ValueError:
        unpool.check_range(indices, count)  # the plan looked at all before it wrote any; this says which was wrong
        raise


def _back(
    make: Callable[..., native.Plan], dtype: np.dtype[Any], output_shape: Shape, shape: Shape, layout: str, **how: Any
) -> Back:
    arrays.check_fits("an image of the input", shape[1:], dtype)
    plan = make((max(1, shape[0]), *shape[1:]), dtype=NAMES[dtype], layout=layout, **how)
    return Back(plan, output_shape, shape, arrays.allocator("grad_input", shape, dtype))
