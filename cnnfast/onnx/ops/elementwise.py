"""Sums, products and the like, with NumPy's repetition."""

import numpy as np

from cnnfast.graph.ir import Graph, Node
from cnnfast.graph.table import same
from cnnfast.onnx.registry import becomes, onnx_op
from cnnfast.ops.arrays import Array

for _name, _ours, _numpy in (("Add", "add", np.add), ("Mul", "multiply", np.multiply), ("Sub", "subtract", np.subtract)):
    onnx_op(_name, since=7, pointwise=True, simplify=becomes(_ours))(lambda x, y, _function=_numpy: _function(x, y))


def _better_clip(graph: Graph, node: Node) -> str | None:
    low, high = (
        graph.constants[value].item() if value in graph.constants else None for value in [*node.inputs[1:], "", ""][:2]
    )
    x = graph.spec(node.inputs[0])
    known = all(not value or value in graph.constants for value in node.inputs[1:])
    if not known or x is None or x.dtype.kind != "f" or x.dtype.itemsize < 4 or low != 0:
        return None
    if high is None:
        return graph.add("relu", node.inputs[:1], node.name)
    return graph.add("relu6", node.inputs[:1], node.name) if high == 6 else None


@onnx_op("Clip", since=11, spec=same, simplify=_better_clip)
def clip(x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    y = x if low is None else np.maximum(x, low)
    y = y if high is None else np.minimum(y, high)
    return y.astype(x.dtype)
