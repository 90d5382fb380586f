"""Opset 6, which torch's first exporter wrote: the second input is repeated from an axis on."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node
from cnnfast.graph.table import TABLE
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array

NAMES = ("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less")


def _aligned(x: tuple[int, ...], y: tuple[int, ...], axis: int | None = None, broadcast: int = 0) -> tuple[int, ...]:
    """y's shape with as many dimensions behind it as x has behind the axis."""
    if axis is None:
        return y
    at = axis + len(x) if axis < 0 else axis
    return (*y, *(1,) * (len(x) - at - len(y)))


def _aligned_slope(x: tuple[int, ...], slope: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of PRelu's slopes, one of each channel, as x is shaped."""
    return (*slope, *(1,) * (len(x) - 2)) if len(slope) == 1 and len(x) > 1 else slope


def _put(name: str, row: str, aligned: Callable[..., tuple[int, ...]], run: Callable[..., Any]) -> None:
    def better(graph: Graph, node: Node) -> str | None:
        x, y = graph.spec(node.inputs[0]), graph.spec(node.inputs[1])
        if x is None or y is None:
            return None
        second, shape = node.inputs[1], aligned(x.shape, y.shape, **node.attributes)
        if shape != y.shape and second in graph.constants:
            second = graph.constant(graph.constants[second].reshape(shape), second)
        elif shape != y.shape:
            second = graph.add("reshape", [second], node.name, shape=shape)
        return graph.add(row, [node.inputs[0], second], node.name)

    onnx_op(name, since=6, simplify=better)(run)


def _put_sum(name: str, row: str) -> None:
    def run(x: Array, y: Array, *, axis: int | None = None, broadcast: int = 0) -> Any:
        return TABLE[row].run(x, np.reshape(y, _aligned(x.shape, y.shape, axis)))

    _put(name, row, _aligned, run)


for _name in NAMES:
    _put_sum(_name, f"onnx.{_name}@7")
_put("PRelu", "onnx.PRelu@7", _aligned_slope, lambda x, slope: TABLE["onnx.PRelu@7"].run(
    x, slope.reshape(_aligned_slope(x.shape, slope.shape))))  # fmt: skip
