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
        added = given.contiguous(added)  # kernels read it so
    inputs = {"x": values, "weight": matrix, "bias": added}
    to = given.target(out, values, (*values.shape[:-1], filters), inputs)
    return by_rows("linear", inputs | {"x": given.rows(values)}, to, activation=after)


def by_rows(op: str, inputs: Any, to: given.Target, **keywords: Any) -> Any:
    """`given.compute` of a function that writes rows equally far apart."""
    if to.out is None or given.even(to.out):
        return given.compute(op, inputs, to, **keywords)
    aside = to._replace(out=None).array()
    given.compute(op, inputs, to._replace(out=aside), **keywords)
    return given.copied_to(aside, to.out)
