"""Gradients of convolutions and of linear on a device."""

from typing import Any

from cnnfast.ops import arrays, checks, geometry, options, shapes
from cnnfast.ops.device import given
from cnnfast.ops.device.found import BACKWARD, Refused
from cnnfast.ops.device.linear import by_rows
from cnnfast.ops.geometry import Geometry, Options
from cnnfast.ops.grad import conv_input, conv_weight
from cnnfast.ops.grad import linear as linear_grad


def conv2d_input(
    grad_output: Any, weight: Any, input_shape: Any, *, groups: Any, out: Any, **asked: Any
) -> Any:  # fmt: skip
    """`cnnfast.grad.conv2d_input`."""
    how = geometry.conv_options("conv2d", activation=None, algorithm="auto", **asked)
    count = checks.integer("groups", groups, minimum=1)
    gradient, kernels, shape = _inputs(grad_output, weight, input_shape, how)
    place = geometry.conv_geometry(
        shape, kernels.shape, how.layouts, count, how.stride, how.padding, how.dilation, how.padding_mode
    )
    return _input("conv2d_input", gradient, kernels, shape, place, how, out, groups=count)


def depthwise_conv2d_input(grad_output: Any, weight: Any, input_shape: Any, *, out: Any, **asked: Any) -> Any:
    """`cnnfast.grad.depthwise_conv2d_input`."""
    how = geometry.conv_options("depthwise_conv2d", activation=None, algorithm="auto", **asked)
    gradient, kernels, shape = _inputs(grad_output, weight, input_shape, how)
    place = geometry.depthwise_geometry(
        shape, kernels.shape, how.layouts, how.stride, how.padding, how.dilation, how.padding_mode
    )
    kernels = given.contiguous(kernels)  # its two last axes are to be one
    return _input("depthwise_conv2d_input", gradient, kernels, shape, place, how, out)


def _inputs(grad_output: Any, weight: Any, input_shape: Any, how: Options) -> tuple[Any, Any, Any]:
    gradient = given.images("grad_output", grad_output, how.layout)
    shape = geometry.shape_of(input_shape, how.layout)
    return gradient, given.beside("weight", weight, gradient), shape


def _input(
    op: str, gradient: Any, kernels: Any, shape: Any, place: Geometry, how: Options, out: Any, **more: Any
) -> Any:
    if gradient.shape != place.output_shape:
        raise ValueError(
            f"grad_output must have the output's shape {place.output_shape} (of an input {shape}), got {gradient.shape}"
        )
    inputs = {"grad_output": gradient, "weight": kernels}
    to = given.target(out, gradient, shape, inputs, order=given.channels_last(gradient, how.layout))
    return given.compute(
        op, inputs, to, files=BACKWARD, input_shape=shape, stride=how.stride, padding=place.padding,
        dilation=how.dilation, layout=how.layout, padding_mode=how.padding_mode, precision=how.precision, **more,
    )  # fmt: skip


def conv2d_weight(
    grad_output: Any, x: Any, kernel_size: Any, *, groups: Any, precision: Any, grad_bias: Any, out: Any, **asked: Any
) -> Any:  # fmt: skip
    """`cnnfast.grad.conv2d_weight`."""
    count = checks.integer("groups", groups, minimum=1)
    return _weight("conv2d_weight", grad_output, x, kernel_size, count, precision, grad_bias, out, asked)


def depthwise_conv2d_weight(
    grad_output: Any, x: Any, kernel_size: Any, *, grad_bias: Any, out: Any, **asked: Any
) -> Any:  # fmt: skip
    """`cnnfast.grad.depthwise_conv2d_weight`."""
    return _weight("depthwise_conv2d_weight", grad_output, x, kernel_size, 0, "default", grad_bias, out, asked)


def _weight(
    op: str, grad_output: Any, x: Any, kernel_size: Any, groups: int, precision: Any, grad_bias: Any, out: Any,
    asked: dict[str, Any],
) -> Any:  # fmt: skip
    """groups: 0 for as many as there are channels."""
    order = options.layout(asked["layout"])
    images = given.images("x", x, order)
    gradient = given.beside("grad_output", grad_output, images)
    arrays.check_input("grad_output", gradient.shape, gradient.dtype, given.FLOATS, order)
    channels, filters = (shapes.split(each.shape, order)[3] for each in (images, gradient))
    if not groups and filters % channels:
        raise ValueError(f"grad_output must have a multiple of x's C {channels} channels, got {filters}")
    how: dict[str, Any] = {
        "stride": checks.pair("stride", asked["stride"], minimum=1),
        "padding": checks.sides("padding", asked["padding"]),
        "dilation": checks.pair("dilation", asked["dilation"], minimum=1),
        "padding_mode": checks.choice("padding_mode", asked["padding_mode"], options.PADDING_MODES),
    }  # fmt: skip
    kernel = checks.pair("kernel_size", kernel_size, minimum=1)
    place = conv_weight.weight_place(
        images.shape, gradient.shape, kernel, order, groups or channels, how["stride"], how["padding"],
        how["dilation"], how["padding_mode"],
    )  # fmt: skip
    shape = place.shape
    if not groups and order == "NHWC":
        shape = (*kernel, channels, filters // channels)
    if grad_bias is not None:
        raise Refused(f"grad.{op} with grad_bias (call grad.bias)")
    inputs = {"grad_output": gradient, "x": images}
    how |= {"padding": place.problem.padding, **({"groups": groups} if groups else {})}
    return given.compute(
        op, inputs, given.target(out, images, shape, inputs), files=BACKWARD, kernel_size=kernel, layout=order,
        precision=options.precision(precision), **how,
    )  # fmt: skip


def conv_transpose2d_input(
    grad_output: Any, weight: Any, *, groups: Any, output_padding: Any, out: Any, **asked: Any
) -> Any:  # fmt: skip
    """`cnnfast.grad.conv_transpose2d_input`."""
    how = geometry.conv_options("conv_transpose2d", activation=None, algorithm="auto", **asked)
    count = checks.integer("groups", groups, minimum=1)
    extra = checks.pair("output_padding", output_padding, minimum=0)
    gradient = given.images("grad_output", grad_output, how.layout)
    kernels = given.beside("weight", weight, gradient)
    shape, place = conv_input.transposed_from(gradient.shape, kernels.shape, count, extra, how)
    inputs = {"grad_output": gradient, "weight": kernels}
    to = given.target(out, gradient, shape, inputs, order=given.channels_last(gradient, how.layout))
    return given.compute(
        "conv_transpose2d_input", inputs, to, files=BACKWARD, stride=how.stride, padding=place.padding,
        output_padding=place.output_padding, dilation=how.dilation, groups=count, layout=how.layout,
        precision=how.precision,
    )  # fmt: skip


def conv_transpose2d_weight(
    grad_output: Any, x: Any, kernel_size: Any, *, stride: Any, padding: Any, output_padding: Any, dilation: Any,
    groups: Any, layout: Any, precision: Any, out: Any,
) -> Any:  # fmt: skip
    """`cnnfast.grad.conv_transpose2d_weight`."""
    order = options.layout(layout)
    count = checks.integer("groups", groups, minimum=1)
    images = given.images("x", x, order)
    gradient = given.beside("grad_output", grad_output, images)
    arrays.check_input("grad_output", gradient.shape, gradient.dtype, given.FLOATS, order)
    kernel = checks.pair("kernel_size", kernel_size, minimum=1)
    extra = checks.pair("output_padding", output_padding, minimum=0)
    place = conv_weight.transposed_place(
        images.shape, gradient.shape, kernel, order, count, checks.pair("stride", stride, minimum=1),
        checks.sides("padding", padding), checks.pair("dilation", dilation, minimum=1), extra,
    )  # fmt: skip
    inputs = {"grad_output": gradient, "x": images}
    problem = place.problem
    return given.compute(
        "conv_transpose2d_weight", inputs, given.target(out, images, place.shape, inputs), files=BACKWARD,
        kernel_size=kernel, stride=problem.stride, padding=problem.padding, output_padding=extra,
        dilation=problem.dilation, groups=count, layout=order, precision=options.precision(precision),
    )  # fmt: skip


def linear_input(grad_output: Any, weight: Any, *, out: Any) -> Any:
    """`cnnfast.grad.linear_input`."""
    gradient = _rows("grad_output", given.read("grad_output", grad_output))
    matrix = given.beside("weight", weight, gradient)
    linear_grad.check_matrix(matrix.shape, gradient.shape)
    inputs = {"grad_output": gradient, "weight": matrix}
    to = given.target(out, gradient, (*gradient.shape[:-1], matrix.shape[1]), inputs)
    inputs["grad_output"] = given.rows(gradient)
    return by_rows("linear_input", inputs, to, files=BACKWARD)


def linear_weight(grad_output: Any, x: Any, *, out: Any) -> Any:
    """`cnnfast.grad.linear_weight`."""
    values = _rows("x", given.read("x", x))
    gradient = _rows("grad_output", given.beside("grad_output", grad_output, values))
    linear_grad.check_same_rows(gradient.shape, values.shape)
    inputs = {"grad_output": gradient, "x": values}
    to = given.target(out, values, (gradient.shape[-1], values.shape[-1]), inputs)
    inputs = {name: given.rows(each) for name, each in inputs.items()}
    return given.compute("linear_weight", inputs, to, files=BACKWARD)


def bias(grad_output: Any, *, layout: Any) -> Any:
    """`cnnfast.grad.bias`."""
    order = checks.choice("layout", layout, linear_grad.LAYOUTS)
    gradient = given.read("grad_output", grad_output)
    linear_grad.check_summed(gradient.shape, order)
    channels = gradient.shape[-1 if order.endswith("C") else 1]
    to = given.target(None, gradient, (channels,), {})
    if len(gradient.shape) != 4:
        gradient = given.contiguous(gradient)
    return given.compute("bias", {"grad_output": gradient}, to, files=BACKWARD, layout=order)


def _rows(name: str, array: Any) -> Any:
    linear_grad.check_rows(name, array.shape)
    return array
