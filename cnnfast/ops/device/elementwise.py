"""Ops of one element at a time on a device, and softmax."""

from collections.abc import Callable
from typing import Any

from cnnfast.ops import activations, checks, elementwise, options
from cnnfast.ops.device import given


def activation(op: str) -> Callable[..., Any]:
    """`cnnfast`'s activation of this name: its parameters are positional there, and checked here."""

    def activate(x: Any, *parameters: Any, out: Any) -> Any:
        rules = zip(PARAMETERS.get(op, ()), parameters, strict=True)
        return _map(op, x, out, **{name: check(name, value) for (name, check), value in rules})

    return activate


def _approximate(name: str, value: object) -> str:
    return checks.choice(name, value, ("none", "tanh"))


def _positive(name: str, value: object) -> float:
    return checks.number(name, value, positive=True)


PARAMETERS: dict[str, tuple[tuple[str, Callable[[str, Any], Any]], ...]] = {
    "leaky_relu": (("negative_slope", checks.number),),
    "elu": (("alpha", checks.number),),
    "gelu": (("approximate", _approximate),),
    "softplus": (("beta", _positive), ("threshold", checks.number)),
}
"""The parameters of the activations that have any, in order, and what checks them."""


def prelu(x: Any, weight: Any, *, out: Any) -> Any:
    """`cnnfast.prelu`."""
    values = given.read("x", x)
    slopes = given.beside("weight", weight, values)
    activations.check_slopes(slopes.shape, values.shape)
    inputs = {"x": values, "weight": slopes}
    return given.compute("prelu", inputs, given.target(out, values, values.shape, inputs, order=given.lying(values)))


def combination(op: str) -> Callable[..., Any]:
    """`cnnfast.add` or `cnnfast.multiply`."""

    def combine(x: Any, y: Any, *, activation: Any, out: Any) -> Any:
        after = options.activation("activation", activation)
        left = given.read("x", x)
        right = given.beside("y", y, left)
        shape = elementwise.broadcast(left, right)  # type: ignore[arg-type]  # it asks for their shapes alone
        order = given.lying(left) if left.shape == right.shape else None
        inputs = {"x": left, "y": right}
        return given.compute(op, inputs, given.target(out, left, shape, inputs, order=order), activation=after)

    return combine


def softmax(op: str) -> Callable[..., Any]:
    """`cnnfast.softmax` or `cnnfast.log_softmax`."""

    def along(x: Any, axis: Any, *, out: Any) -> Any:
        values = given.contiguous(given.read("x", x))
        at = elementwise.check_axis("axis", axis, len(values.shape))
        y = given.target(out, values, values.shape, {"x": values}, order=given.lying(values))
        return given.compute(op, {"x": values}, y, axis=at)

    return along


def _map(op: str, x: Any, out: Any, **parameters: Any) -> Any:
    values = given.read("x", x)
    y = given.target(out, values, values.shape, {"x": values}, order=given.lying(values))
    return given.compute(op, {"x": values}, y, **parameters)
