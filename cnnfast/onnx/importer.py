"""From an ONNX model to a graph: one node of it for each of the file's, and every word of the file checked before."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node
from cnnfast.onnx import elements, ops, registry
from cnnfast.ops.arrays import Array

assert ops, "the ops must be known before a model is read"

FIRST_OPSET = 6
"""Ops that have not changed since are taken from older files too."""


def graph_of(model: Any, initializers: Mapping[str, Array]) -> Graph:
    """The graph of a checked ModelProto, whose initializers have been read.

    Raises
    ------
    ValueError : something in it is not supported or cannot be; the message names the node and the op
    """
    opset = _opset(model)
    file = model.graph
    inputs = [each.name for each in file.input if each.name not in initializers]
    graph = Graph(inputs, [each.name for each in file.output], constants=dict(initializers))
    there = {*inputs, *initializers}
    for node in file.node:
        graph.nodes.append(_node(node, opset, there))
    missing = [name for name in graph.outputs if name not in there]
    if missing:
        raise ValueError(f"the model's outputs {missing} are given by no node")
    elements.check(file)
    elements.widen(graph, file)
    return graph


def _opset(model: Any) -> int:
    found: dict[str, int] = {}
    for each in model.opset_import:
        found.setdefault("" if each.domain in registry.DOMAINS else each.domain, each.version)
    return found.get("", 1)


def _node(node: Any, opset: int, there: set[str]) -> Node:
    label = f"{node.name or (node.output[0] if node.output else '?')} ({node.op_type})"
    known = registry.find(node.op_type, max(opset, FIRST_OPSET)) if node.domain in registry.DOMAINS else None
    if known is None:
        where = f"{node.domain}, version" if node.domain not in registry.DOMAINS else "opset"
        raise ValueError(f"node {label}: op {node.op_type} of {where} {opset} is not supported")
    if opset < FIRST_OPSET and _changed(node.op_type, opset):
        raise ValueError(f"node {label}: the model's opset must be {FIRST_OPSET} or later, got {opset}")
    attributes = {each.name: _attribute(each, label) for each in node.attribute}
    unknown, lacking = attributes.keys() - known.attributes, known.required - attributes.keys()
    if unknown or lacking:
        what = "not supported" if unknown else "missing"
        raise ValueError(f"node {label}: attribute {min(unknown or lacking)!r} is {what}")
    for name in node.input:
        if name and name not in there:
            raise ValueError(f"node {label}: its input {name!r} is given by no node before it")
    for name in node.output:
        if name in there:
            raise ValueError(f"node {label}: its output {name!r} is there already")
    outputs = list(node.output)
    while len(outputs) > 1 and not outputs[-1]:
        outputs.pop()
    if not outputs or not any(outputs):
        raise ValueError(f"node {label}: it has no output")
    there.update(name for name in outputs if name)
    if known.counts_outputs:
        attributes["n_outputs"] = len(outputs)
    if known.check is not None:
        try:
            known.check(attributes)
        except ValueError as error:
            raise ValueError(f"node {label}: {error}") from None
    inputs = list(node.input)
    while inputs and not inputs[-1]:
        inputs.pop()
    return Node(known.row, inputs, outputs, attributes, node.name)


def _changed(op: str, opset: int) -> bool:
    """Whether the op has another meaning than in the first opset that is read."""
    import onnx

    try:
        schemas = [onnx.defs.get_schema(op, version) for version in (opset, FIRST_OPSET)]
    except onnx.defs.SchemaError:
        return True
    return bool(schemas[0].since_version != schemas[1].since_version)


def _attribute(attribute: Any, label: str) -> Any:
    import onnx

    if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        raise ValueError(f"node {label}: attribute {attribute.name!r} is a graph, which is not supported")
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return np.asarray(onnx.numpy_helper.to_array(value))
    return value if isinstance(value, int | float) else list(value)
