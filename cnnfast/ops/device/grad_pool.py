"""Gradients of pools on a device."""

from typing import Any

from cnnfast.ops import checks, options, shapes
from cnnfast.ops.device import given
from cnnfast.ops.device.found import BACKWARD
from cnnfast.ops.grad.given import check_grad, images_shape
from cnnfast.ops.grad.windows import Window, window


def max_pool2d(grad_output: Any, indices: Any, input_shape: Any, *, layout: Any, out: Any) -> Any:
    """`cnnfast.grad.max_pool2d`; an index beyond the image is not looked for: that would wait for the device."""
    order = options.layout(layout)
    grad = given.images("grad_output", grad_output, order)
    shape = _fitting(input_shape, grad.shape, order)
    places = given.beside("indices", indices, grad, "int64")
    if places.shape != grad.shape:
        raise ValueError(f"indices must have grad_output's shape {grad.shape}, got {places.shape}")
    if places.strides != grad.strides:
        grad, places = given.laid(grad, None), given.laid(places, None)
    return _run("max_pool2d", {"grad_output": grad, "indices": places}, shape, order, out, input_shape=shape)


def avg_pool2d(
    grad_output: Any, input_shape: Any, kernel_size: Any, stride: Any, *, padding: Any, ceil_mode: Any,
    count_include_pad: Any, layout: Any, out: Any,
) -> Any:  # fmt: skip
    """`cnnfast.grad.avg_pool2d`."""
    of = window(input_shape, kernel_size, stride, padding, 1, ceil_mode, layout)
    counted = checks.boolean("count_include_pad", count_include_pad)
    grad = _grad(grad_output, of)
    return _run(
        "avg_pool2d", {"grad_output": grad}, of.input_shape, of.layout, out, input_shape=of.input_shape,
        kernel_size=of.kernel_size, stride=of.stride, padding=of.padding, ceil_mode=of.ceil_mode,
        count_include_pad=counted,
    )  # fmt: skip


def min_pool2d(
    grad_output: Any, x: Any, kernel_size: Any, stride: Any, *, padding: Any, dilation: Any, ceil_mode: Any,
    layout: Any, out: Any,
) -> Any:  # fmt: skip
    """`cnnfast.grad.min_pool2d`."""
    order = options.layout(layout)
    values = given.images("x", x, order)
    of = window(values.shape, kernel_size, stride, padding, dilation, ceil_mode, order)
    inputs = {"grad_output": _beside(_grad(grad_output, of), values, order), "x": values}
    return _run("min_pool2d", inputs, of.input_shape, order, out, **_keywords(of))


def adaptive_avg_pool2d(grad_output: Any, input_shape: Any, *, layout: Any, out: Any) -> Any:
    """`cnnfast.grad.adaptive_avg_pool2d`."""
    order = options.layout(layout)
    grad = given.images("grad_output", grad_output, order)
    shape = _fitting(input_shape, grad.shape, order)
    return _run("adaptive_avg_pool2d", {"grad_output": grad}, shape, order, out, input_shape=shape)


def global_avg_pool2d(grad_output: Any, input_shape: Any, *, layout: Any, out: Any) -> Any:
    """`cnnfast.grad.global_avg_pool2d`."""
    order = options.layout(layout)
    shape = images_shape(input_shape, order)
    N, _, _, C = shapes.split(shape, order)
    grad = given.read("grad_output", grad_output)
    check_grad(grad.shape, shapes.join(N, 1, 1, C, order))
    return _run("global_avg_pool2d", {"grad_output": grad}, shape, order, out, input_shape=shape)


def global_max_pool2d(grad_output: Any, x: Any, y: Any, *, layout: Any, out: Any) -> Any:
    """`cnnfast.grad.global_max_pool2d`."""
    order = options.layout(layout)
    values = given.images("x", x, order)
    N, _, _, C = shapes.split(values.shape, order)
    pooled = shapes.join(N, 1, 1, C, order)
    grad = _shaped("grad_output", grad_output, values, pooled)
    inputs = {"grad_output": _beside(grad, values, order), "x": values, "y": _shaped("y", y, values, pooled)}
    return _run("global_max_pool2d", inputs, values.shape, order, out)


def _fitting(input_shape: Any, grad_shape: tuple[int, ...], layout: str) -> tuple[int, int, int, int]:
    """input_shape, of grad_output's N and C."""
    shape = images_shape(input_shape, layout)
    N, _, _, C = shapes.split(shape, layout)
    _, P, Q, _ = shapes.split(grad_shape, layout)
    check_grad(grad_shape, shapes.join(N, P, Q, C, layout))
    return shape


def _grad(value: Any, of: Window) -> Any:
    grad = given.read("grad_output", value)
    check_grad(grad.shape, of.output_shape)
    return grad


def _beside(grad: Any, x: Any, layout: str) -> Any:
    """grad_output as the indices of x's windows will lie."""
    last = layout == "NCHW" and x.strides[1] == 1 and x.shape[1] > 1
    return given.laid(grad, given.LAST if last else None)


def _shaped(name: str, value: Any, x: Any, shape: tuple[int, ...]) -> Any:
    found = given.beside(name, value, x)
    if found.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {found.shape}")
    return found


def _keywords(of: Window) -> dict[str, Any]:
    return {
        "kernel_size": of.kernel_size, "stride": of.stride, "padding": of.padding, "dilation": of.dilation,
        "ceil_mode": of.ceil_mode,
    }  # fmt: skip


def _run(op: str, inputs: dict[str, Any], shape: Any, layout: str, out: Any, **keywords: Any) -> Any:
    grad = inputs["grad_output"]
    to = given.target(out, grad, shape, inputs, order=given.channels_last(grad, layout))
    return given.compute(op, inputs, to, files=BACKWARD, layout=layout, **keywords)
