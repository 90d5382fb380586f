"""Arithmetic element by element, with NumPy's repetition; integers stay integers."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.table import TABLE, same
from cnnfast.onnx.ops.floats import in_floats, is_floats
from cnnfast.onnx.registry import becomes, onnx_op
from cnnfast.ops.arrays import Array


def repeated(*specs: Spec, **attributes: Any) -> Spec:
    """The rule of ops whose inputs are repeated to one shape, and that keep the first one's dtype."""
    return Spec(np.broadcast_shapes(*(spec.shape for spec in specs)), specs[0].dtype)


def _binary(name: str, ours: str, function: Callable[..., Array]) -> None:
    def run(x: Array, y: Array) -> Array:
        return function(x, y)

    onnx_op(name, since=7, spec=repeated, pointwise=True, simplify=becomes(ours))(run)


_binary("Add", "add", np.add)
_binary("Mul", "multiply", np.multiply)
_binary("Sub", "subtract", np.subtract)


def _better_div(graph: Graph, node: Node) -> str | None:
    """A product where that is exact: by powers of two; else a quotient of floats."""
    if not is_floats(graph, *node.inputs):
        return None
    divisor = graph.constants.get(node.inputs[1])
    if divisor is not None and np.isin(np.frexp(divisor)[0], (0.5, -0.5)).all():
        with np.errstate(all="ignore"):
            inverse = 1 / divisor
        if np.isfinite(inverse).all() and (np.abs(inverse) >= np.finfo(divisor.dtype).tiny).all():
            return graph.add("multiply", [node.inputs[0], graph.constant(inverse, node.inputs[1])], node.name)
    return graph.add("divide", node.inputs, node.name)


@onnx_op("Div", since=7, spec=repeated, pointwise=True, simplify=_better_div)
def div(x: Array, y: Array) -> Array:
    """Integers are cut towards zero."""
    with np.errstate(all="ignore"):
        if x.dtype.kind in "iu":
            return (x - np.fmod(x, y)) // y
        return np.divide(x, y)


@onnx_op("Mod", since=10, spec=repeated, pointwise=True)
def mod(x: Array, y: Array, *, fmod: int = 0) -> Array:
    """The remainder, of the divisor's sign, or with `fmod` of the dividend's."""
    with np.errstate(all="ignore"):
        return np.fmod(x, y) if fmod else np.mod(x, y)


def _better_pow(graph: Graph, node: Node) -> str | None:
    x, exponent = node.inputs[0], graph.constants.get(node.inputs[1])
    if exponent is None or exponent.size != 1 or not is_floats(graph, x):
        return None
    spec = graph.spec(x)
    if spec is None or len(spec.shape) < exponent.ndim:
        return None
    power = float(exponent.reshape(()))
    if power == 1:
        return graph.add("identity", [x], node.name)
    return graph.add("multiply", [x, x], node.name) if power == 2 else None


@onnx_op("Pow", since=7, spec=repeated, pointwise=True, simplify=_better_pow)
def power(x: Array, y: Array) -> Any:
    """In the dtype of the base, whatever the exponent's is."""
    with np.errstate(all="ignore"):
        if x.dtype.kind in "iu":
            if y.dtype.kind in "iu" and (y >= 0).all():
                return np.power(x, y.astype(x.dtype))
            return np.power(x.astype(np.float64), y.astype(np.float64)).astype(x.dtype)
        return np.power(x, y.astype(x.dtype, copy=False)).astype(x.dtype, copy=False)


def _of_many(ours: str) -> Callable[[Graph, Node], str | None]:
    """A `simplify`: two by two."""

    def better(graph: Graph, node: Node) -> str:
        first, *rest = node.inputs
        if not rest:
            return graph.add("identity", [first], node.name)
        return reduce(lambda x, y: graph.add(ours, [x, y], node.name), rest, first)

    return better


@onnx_op("Sum", spec=repeated, pointwise=True, simplify=_of_many("add"))
def total(*arrays: Array) -> Array:
    return reduce(np.add, arrays)


@onnx_op("Max", spec=repeated, pointwise=True, simplify=_of_many("maximum"))
def maximum(*arrays: Array) -> Array:
    return reduce(np.maximum, arrays)


@onnx_op("Min", spec=repeated, pointwise=True, simplify=_of_many("minimum"))
def minimum(*arrays: Array) -> Array:
    return reduce(np.minimum, arrays)


def _better_mean(graph: Graph, node: Node) -> str | None:
    spec = graph.spec(node.inputs[0])
    if spec is None or not is_floats(graph, *node.inputs):
        return None
    count = graph.constant(spec.dtype.type(len(node.inputs)))
    return graph.add("divide", [_of_many("add")(graph, node) or "", count], node.name)


@onnx_op("Mean", spec=repeated, pointwise=True, simplify=_better_mean)
@in_floats
def mean(*arrays: Array) -> Any:
    return reduce(np.add, arrays) / arrays[0].dtype.type(len(arrays))


def _unary(name: str, function: Callable[..., Any], since: int) -> None:
    ours = function.__name__

    def run(x: Array) -> Any:
        with np.errstate(all="ignore"):
            return function(x)

    onnx_op(name, since=since, spec=same, pointwise=True, simplify=becomes(ours) if ours in TABLE else None)(run)


UNARY: dict[int, dict[str, Callable[..., Any]]] = {
    6: {"Abs": np.abs, "Neg": np.negative, "Exp": np.exp, "Log": np.log, "Sqrt": np.sqrt, "Reciprocal": np.reciprocal,
        "Floor": np.floor, "Ceil": np.ceil},
    7: {"Sin": np.sin, "Cos": np.cos, "Tan": np.tan, "Asin": np.arcsin, "Acos": np.arccos, "Atan": np.arctan},
    9: {"Sign": np.sign, "Sinh": np.sinh, "Cosh": np.cosh, "Asinh": np.arcsinh, "Acosh": np.arccosh,
        "Atanh": np.arctanh},
    11: {"Round": np.rint},
}  # fmt: skip
"""NumPy's functions, by the opset that they came with."""
for _since, _functions in UNARY.items():
    for _name, _function in _functions.items():
        _unary(_name, _function, _since)
