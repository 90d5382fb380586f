"""Gradients of ops of one element, batch_norm and softmax on a device."""

from collections.abc import Callable
from typing import Any

from cnnfast.ops import checks, elementwise, norm_train, options
from cnnfast.ops.activations import check_slopes
from cnnfast.ops.device import given, norm
from cnnfast.ops.device.found import BACKWARD
from cnnfast.ops.grad import activations


def activation(grad_output: Any, values: Any, activation: Any, *, out: Any) -> Any:
    """`cnnfast.grad.activation`."""
    after = activations.check_activation(activation)
    found = given.read("values", values)
    inputs = {"grad_output": like(grad_output, found), "values": found}
    to = given.target(out, found, found.shape, inputs, order=given.lying(found))
    return given.compute("activation", inputs, to, files=BACKWARD, activation=after)


def prelu(grad_output: Any, x: Any, weight: Any, *, out: Any) -> Any:
    """`cnnfast.grad.prelu`."""
    values = given.read("x", x)
    slopes = given.beside("weight", weight, values)
    check_slopes(slopes.shape, values.shape)
    inputs = {"grad_output": like(grad_output, values), "x": values, "weight": slopes}
    to = given.target(out, values, values.shape, inputs, order=given.lying(values))
    inputs = {name: given.contiguous(each) for name, each in inputs.items()}
    return given.compute("prelu", inputs, to, files=BACKWARD, also=((slopes.shape, values.dtype),))


def combination(op: str) -> Callable[..., Any]:
    """`cnnfast.grad.add` or `cnnfast.grad.multiply`."""

    def combine(grad_output: Any, x: Any, y: Any) -> Any:
        left = given.read("x", x)
        right = given.beside("y", y, left)
        shape = elementwise.broadcast(left, right)  # type: ignore[arg-type]  # it asks for their shapes alone
        gradient = given.beside("grad_output", grad_output, left)
        if gradient.shape != shape:
            raise ValueError(f"grad_output must have shape {shape}, got {gradient.shape}")
        gradient = given.contiguous(gradient)  # what is summed over is found by its place in C's order
        inputs = {"grad_output": gradient, "x": left, "y": right}
        to = given.target(None, gradient, left.shape, inputs)
        return given.compute(op, inputs, to, files=BACKWARD, also=((right.shape, left.dtype),))

    return combine


def batch_norm(
    grad_output: Any, x: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: Any, training: Any, layout: Any,
    activation: Any, out: Any,
) -> Any:  # fmt: skip
    """`cnnfast.grad.batch_norm`."""
    own = checks.boolean("training", training)
    after = norm_train.check_activation(activation)
    vectors = {"mean": mean, "var": var, "weight": weight, "bias": bias}
    order, small, known = norm.arguments(x, vectors, eps, options.layout(layout))
    values = known["x"]
    inputs = {"grad_output": like(grad_output, values), **known}
    to = given.target(out, values, values.shape, inputs, order=given.lying(values))
    channels = values.shape[-1 if order == "NHWC" else 1]
    inputs["x"] = given.even_pixels(values)
    inputs["grad_output"] = given.alike("grad_output", inputs["grad_output"], inputs["x"])
    return given.compute(
        "batch_norm", inputs, to, files=BACKWARD, also=(((channels,), values.dtype),) * 2, eps=small, training=own,
        layout=order, activation=after,
    )  # fmt: skip


def softmax(op: str) -> Callable[..., Any]:
    """`cnnfast.grad.softmax` or `cnnfast.grad.log_softmax`."""

    def along(grad_output: Any, y: Any, axis: Any, *, out: Any) -> Any:
        values = given.contiguous(given.read("y", y))
        at = elementwise.check_axis("axis", axis, len(values.shape))
        inputs = {"grad_output": given.contiguous(like(grad_output, values)), "y": values}
        to = given.target(out, values, values.shape, inputs, order=given.lying(values))
        return given.compute(op, inputs, to, files=BACKWARD, axis=at)

    return along


def like(grad_output: Any, x: Any) -> Any:
    """grad_output, of x's shape."""
    found = given.beside("grad_output", grad_output, x)
    if found.shape != x.shape:
        raise ValueError(f"grad_output must have shape {x.shape}, got {found.shape}")
    return found
