"""Opset 6, which torch's first exporter wrote: sums and the like with an axis from which the second input is repeated."""

from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node
from cnnfast.graph.table import TABLE
from cnnfast.onnx import registry
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array

NAMES = ("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less")


def _aligned(x: tuple[int, ...], y: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    """y's shape with as many dimensions behind it as x has behind the axis."""
    if axis is None:
        return y
    at = axis + len(x) if axis < 0 else axis
    return (*y, *(1,) * (len(x) - at - len(y)))


def _put(name: str, row: str) -> None:
    def better(graph: Graph, node: Node) -> str | None:
        x, y = graph.spec(node.inputs[0]), graph.spec(node.inputs[1])
        if x is None or y is None:
            return None
        second = node.inputs[1]
        shape = _aligned(x.shape, y.shape, node.attributes.get("axis"))
        if shape != y.shape and second in graph.constants:
            second = graph.constant(graph.constants[second].reshape(shape), second)
        elif shape != y.shape:
            second = graph.add("reshape", [second], node.name, shape=shape)
        return graph.add(row, [node.inputs[0], second], node.name)

    def run(x: Array, y: Array, *, axis: int | None = None, broadcast: int = 0) -> Any:
        return TABLE[row].run(x, np.reshape(y, _aligned(x.shape, y.shape, axis)))

    onnx_op(name, since=6, simplify=better)(run)


for _name in NAMES:
    _known = registry.find(_name, 7)
    if _known is not None:
        _put(_name, _known.row)
