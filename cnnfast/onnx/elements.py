"""Element types: which are known, and those of 16 bits, in whose place the whole network computes in float32."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node
from cnnfast.onnx.reader import dtype_of
from cnnfast.ops.arrays import Array

FLOAT, FLOAT16, BFLOAT16 = 1, 10, 16
"""Of TensorProto.DataType."""
NARROW = ("float16", "bfloat16")
FLOAT32 = np.dtype(np.float32)
TOLD_BY = ("to", "dtype", "output_dtype")
"""Attributes that are an element type."""


def check(attributes: Mapping[str, Any], label: str) -> None:
    """Refuse attributes that are an element type which no op computes with: floats of 8 bits, integers of 4, strings.

    Raises
    ------
    ValueError : one is; the message names the node and the op
    """
    for name in TOLD_BY:
        if attributes.get(name):
            dtype_of(attributes[name], f"node {label}: attribute {name!r}")


def widen(graph: Graph, inputs: Iterable[Any], outputs: Iterable[Any]) -> None:
    """Let a graph compute in float32 where its file says float16 or bfloat16; its inputs and outputs stay theirs.

    Not where it looks at their bits.
    """
    if any(node.op.startswith("onnx.BitCast@") for node in graph.nodes):
        return
    given = [value.name for value in inputs if value.name in graph.inputs and _is_narrow(value)]
    names = {name: graph.fresh(name) for name in given}
    graph.rename(names)
    first = [Node("cast", [name], [wide], {"dtype": FLOAT32}, name) for name, wide in names.items()]
    graph.nodes = first + graph.nodes
    graph.constants = {name: _wide(array) for name, array in graph.constants.items()}
    for node in graph.nodes:
        node.attributes = {name: _wide_attribute(name, value) for name, value in node.attributes.items()}
    for i, value in enumerate(outputs):
        if _is_narrow(value):
            dtype = dtype_of(value.type.tensor_type.elem_type, repr(value.name))
            graph.outputs[i] = graph.add("cast", [graph.outputs[i]], value.name, dtype=dtype)


def _is_narrow(value: Any) -> bool:
    """Whether the file says that an input or output has 16 bits."""
    tensor = value.type and value.type.tensor_type
    return bool(tensor) and tensor.elem_type in (FLOAT16, BFLOAT16)


def _wide(array: Array) -> Array:
    return array.astype(FLOAT32) if array.dtype.name in NARROW else array


def _wide_attribute(name: str, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _wide(value)
    return FLOAT if name in TOLD_BY and value in (FLOAT16, BFLOAT16) else value
