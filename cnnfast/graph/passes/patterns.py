"""Activations that exporters spell out, x * sigmoid(x) and the like, become the one op that they are.

Each is a product of a number, x and gate(x), whose factors may come in any order.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from cnnfast.graph.ir import Graph, Node
from cnnfast.ops.signatures import FLOATS


class Product(NamedTuple):
    """number * each of the values."""

    number: float
    values: tuple[str, ...]


def name_activations(graph: Graph) -> None:
    """Give the node that ends such a product its name; what led to it goes where nothing else reads it."""
    terms = _Terms(graph)
    for node in graph.nodes:
        if node.op in ("multiply", "divide"):
            found = terms.activation(node)
            if found is not None:
                node.op, node.inputs, node.attributes = found
    graph.prune()


class _Terms:
    """What values of a graph are, told by what gives them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers = graph.producers()

    def activation(self, node: Node) -> tuple[str, list[str], dict[str, Any]] | None:
        """(op, inputs, attributes) of the activation that a product is, or None."""
        spec = self.graph.spec(node.outputs[0])
        number, values = self.product(node.outputs[0])
        if spec is None or spec.dtype not in FLOATS or len(values) > 2:
            return None
        if len(values) == 1 and _is(number, 1 / 6):
            x = self.plus(self.input_of("relu6", values[0]), 3)
            return ("hardsigmoid", [x], {}) if x and self.graph.spec(x) == spec else None
        for x, gate in zip(values, values[::-1], strict=True) if len(values) == 2 else ():
            for op, attributes, factor, is_gate in GATES:
                if self.graph.spec(x) == spec and _is(number, factor) and is_gate(self, gate, x):
                    return op, [x], dict(attributes)
        return None

    def number(self, value: str) -> float | None:
        """A constant of one number."""
        constant = self.graph.constants.get(value)
        return float(constant.reshape(())) if constant is not None and constant.size == 1 else None

    def input_of(self, op: str, value: str) -> str:
        """x of value = op(x), or ""."""
        node = self.producers.get(value)
        return node.inputs[0] if node is not None and node.op == op else ""

    def product(self, value: str, depth: int = 4) -> Product:
        """Its factors, through `depth` products of products."""
        node = self.producers.get(value)
        number = self.number(value)
        if number is not None:
            return Product(number, ())
        if node is None or not depth or node.attributes.get("activation") is not None:
            return Product(1.0, (value,))
        if node.op == "multiply":
            (a, x), (b, y) = (self.product(each, depth - 1) for each in node.inputs)
            return Product(a * b, x + y)
        divisor = self.number(node.inputs[1]) if len(node.inputs) == 2 else None
        if node.op == "divide" and divisor:
            a, x = self.product(node.inputs[0], depth - 1)
            return Product(a / divisor, x)
        if node.op == "onnx.Pow@7" and divisor == 3:
            return Product(1.0, (node.inputs[0],) * 3)
        return Product(1.0, (value,))

    def addends(self, value: str) -> tuple[str, ...]:
        """The two that a sum is of, or none."""
        node = self.producers.get(value)
        plain = node is not None and node.op == "add" and node.attributes.get("activation") is None
        return tuple(node.inputs) if node is not None and plain else ()

    def plus(self, value: str, number: float) -> str:
        """x of value = x + number, or ""."""
        for x, other in zip(self.addends(value), self.addends(value)[::-1], strict=True):
            if self.number(other) == number:
                return x
        return ""


def _is(number: float, wanted: float) -> bool:
    """Whether it is that, but for the rounding of float32."""
    return math.isclose(number, wanted, rel_tol=1e-6)


def _is_normal(terms: _Terms, gate: str, x: str) -> bool:
    """1 + erf(x / sqrt(2))"""
    number, values = terms.product(terms.input_of("onnx.Erf@9", terms.plus(gate, 1)))
    return values == (x,) and _is(number, math.sqrt(0.5))


def _is_normal_by_tanh(terms: _Terms, gate: str, x: str) -> bool:
    """1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))"""
    number, values = terms.product(terms.input_of("tanh", terms.plus(gate, 1)))
    parts = [terms.product(each) for each in terms.addends(values[0])] if len(values) == 1 else []
    if len(parts) != 2 or not _is(number, math.sqrt(2 / math.pi)):
        return False
    line, cube = sorted(parts, key=lambda part: len(part.values))
    return line == (1.0, (x,)) and cube.values == (x, x, x) and _is(cube.number, 0.044715)


Gate = Callable[[_Terms, str, str], bool]
GATES: tuple[tuple[str, dict[str, str], float, Gate], ...] = (
    ("silu", {}, 1.0, lambda terms, gate, x: terms.input_of("sigmoid", gate) == x),
    ("mish", {}, 1.0, lambda terms, gate, x: terms.input_of("softplus", terms.input_of("tanh", gate)) == x),
    ("hardswish", {}, 1.0, lambda terms, gate, x: terms.input_of("hardsigmoid", gate) == x),
    ("hardswish", {}, 1 / 6, lambda terms, gate, x: terms.plus(terms.input_of("relu6", gate), 3) == x),
    ("gelu", {}, 0.5, _is_normal),
    ("gelu", {"approximate": "tanh"}, 0.5, _is_normal_by_tanh),
)
"""An op, its attributes, the number of its product, and whether `gate` is that op's of x."""
