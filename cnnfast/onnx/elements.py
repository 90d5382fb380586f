"""Element types: which are known, and those of 16 bits, in whose place the whole network computes in float32."""

from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node
from cnnfast.ops.arrays import Array

KNOWN = (
    "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FLOAT16", "BFLOAT16", "FLOAT", "DOUBLE",
)  # fmt: skip
NARROW = ("float16", "bfloat16")
FLOAT32 = np.dtype(np.float32)
TOLD_BY = ("to", "dtype", "output_dtype")
"""Attributes that are an element type."""


def check(file: Any) -> None:
    """Refuse the element types of a GraphProto that no op computes with: floats of 8 bits or fewer, integers of 4, strings.

    Raises
    ------
    ValueError : it has one; the message names the node and the op, or the value
    """
    for value in (*file.input, *file.output):
        _check(value.type.tensor_type.elem_type, repr(value.name))
    for value in file.initializer:
        _check(value.data_type, repr(value.name))
    for node in file.node:
        for attribute in node.attribute:
            kind = attribute.i if attribute.name in TOLD_BY else attribute.t.data_type
            _check(kind, f"node {node.name or node.output[0]} ({node.op_type}): attribute {attribute.name!r}")


def _check(kind: int, what: str) -> None:
    import onnx

    names = {number: name for name, number in onnx.TensorProto.DataType.items()}
    if kind and names.get(kind) not in KNOWN:
        raise ValueError(f"{what} has element type {names.get(kind, kind)}, which is not supported")


def widen(graph: Graph, file: Any) -> None:
    """Let a graph compute in float32 where its file says float16 or bfloat16; its inputs and outputs stay theirs.

    Not where it looks at their bits.
    """
    if any(node.op_type == "BitCast" for node in file.node):
        return
    names: dict[str, str] = {}
    first: list[Node] = []
    for value in file.input:
        if value.name in graph.inputs and _narrow(value) is not None:
            names[value.name] = graph.fresh(value.name)
            first.append(Node("cast", [value.name], [names[value.name]], {"dtype": FLOAT32}, value.name))
    outputs = list(graph.outputs)
    graph.rename(names)
    graph.nodes = first + graph.nodes
    graph.constants = {name: _wide(array) for name, array in graph.constants.items()}
    for node in graph.nodes:
        node.attributes = {name: _wide_attribute(name, value) for name, value in node.attributes.items()}
    narrow = {value.name: dtype for value in file.output if (dtype := _narrow(value)) is not None}
    for i, name in enumerate(outputs):
        if name in narrow:
            graph.outputs[i] = graph.add("cast", [graph.outputs[i]], name, dtype=narrow[name])


def _narrow(value: Any) -> np.dtype[Any] | None:
    """The dtype of an input or output, where that is one of 16 bits."""
    import onnx

    kind = value.type.tensor_type.elem_type
    if kind not in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16):
        return None
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))


def _wide(array: Array) -> Array:
    return array.astype(FLOAT32) if array.dtype.name in NARROW else array


def _wide_attribute(name: str, value: Any) -> Any:
    import onnx

    if isinstance(value, np.ndarray):
        return _wide(value)
    narrow = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    return onnx.TensorProto.FLOAT if name in TOLD_BY and value in narrow else value
