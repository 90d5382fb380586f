"""A dense layer on a device."""

from typing import Any

from cnnfast.ops import geometry, linear, options
from cnnfast.ops.device import given


def linear_(x: Any, weight: Any, bias: Any, *, activation: Any, out: Any) -> Any:
    """`cnnfast.linear`."""
    values = given.read("x", x)
    linear.check_rows(values.shape)
    after = options.activation("activation", activation)
    matrix = given.beside("weight", weight, values)
    filters, _ = linear.check_weight(matrix.shape, values.shape)
    added = given.maybe("bias", bias, values)
    if added is not None:
        geometry.check_bias("bias", added.shape, filters)
    inputs = {"x": values, "weight": matrix, "bias": added}
    y = given.target(out, values, (*values.shape[:-1], filters), inputs)
    return given.compute("linear", inputs, y, activation=after)
