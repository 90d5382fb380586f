"""Normalisation on a device."""

from typing import Any

from cnnfast.ops import checks, norm, norm_train, options
from cnnfast.ops.device import given


def batch_norm(
    x: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, *, eps: Any, layout: Any, activation: Any,
    out: Any,
) -> Any:  # fmt: skip
    """`cnnfast.batch_norm`."""
    vectors = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    order, small, inputs = arguments(x, vectors, eps, layout)
    after = options.activation("activation", activation)
    y = given.target(out, inputs["x"], inputs["x"].shape, inputs, order=given.lying(inputs["x"]))
    return given.compute("batch_norm", inputs, y, eps=small, layout=order, activation=after)


def batch_norm_train(
    x: Any, weight: Any, bias: Any, *, eps: Any, layout: Any, activation: Any, out: Any
) -> Any:  # fmt: skip
    """`cnnfast.batch_norm_train`."""
    order, small, inputs = arguments(x, {"weight": weight, "bias": bias}, eps, layout)
    after = norm_train.check_activation(activation)
    values = inputs["x"]
    channels = values.shape[-1 if order == "NHWC" else 1]
    y = given.target(out, values, values.shape, inputs, order=given.lying(values))
    inputs["x"] = given.even_pixels(values)
    return given.compute(
        "batch_norm_train", inputs, y, also=(((channels,), values.dtype),) * 2, eps=small, layout=order,
        activation=after,
    )  # fmt: skip


def local_response_norm(x: Any, size: Any, alpha: Any, beta: Any, k: Any, *, layout: Any, out: Any) -> Any:
    """`cnnfast.local_response_norm`."""
    order = options.layout(layout)
    window = checks.integer("size", size, minimum=1)
    numbers: dict[str, Any] = {
        name: checks.number(name, value) for name, value in (("alpha", alpha), ("beta", beta), ("k", k))
    }  # fmt: skip
    values = given.read("x", x)
    norm.check_dimensions(values.shape, 3)
    values = values if given.dense(values) else given.contiguous(values)
    y = given.target(out, values, values.shape, {"x": values}, order=given.lying(values))
    return given.compute("local_response_norm", {"x": values}, y, size=window, layout=order, **numbers)


def arguments(x: Any, vectors: dict[str, Any], eps: Any, layout: Any) -> tuple[str, float, dict[str, Any]]:
    """(layout, eps, x and the vectors of C numbers), of which weight and bias may be None."""
    order, small = options.layout(layout), norm.check_eps(eps)
    values = given.read("x", x)
    norm.check_dimensions(values.shape, 2)
    channels = values.shape[-1 if order == "NHWC" else 1]
    inputs: dict[str, Any] = {"x": values}
    for name, vector in vectors.items():
        optional = name in ("weight", "bias")
        inputs[name] = given.maybe(name, vector, values) if optional else given.beside(name, vector, values)
        if inputs[name] is not None:
            norm.check_channels(name, inputs[name].shape, channels)
    return order, small, inputs
