"""From an ONNX model to a graph: one node of it for each of the file's, and every word of the file checked before."""

import math
from collections.abc import Mapping
from typing import Any

from cnnfast.graph.ir import Graph, Node
from cnnfast.onnx import elements, ops, registry
from cnnfast.onnx.reader import value_of
from cnnfast.ops.arrays import Array

assert ops, "the ops must be known before a model is read"

FIRST_OPSET = 6
SPARE = ("Dropout", "LayerNormalization", "MaxPool")
"""Ops whose outputs behind the first are left out where nobody reads them."""


def graph_of(model: Any, initializers: Mapping[str, Array]) -> Graph:
    """The graph of a ModelProto as `wire.Model`, whose initializers have been read.

    Raises
    ------
    ValueError : something in it is not supported or cannot be; the message names the node and the op
    """
    opset = _opset(model)
    file = model.graph
    inputs = [each.name for each in file.input if each.name not in initializers]
    if len(set(inputs)) < len(inputs) or "" in inputs or not file.output:
        raise ValueError(f"the model must have an output, and inputs of different names, got inputs {inputs}")
    if model.functions:
        raise ValueError("the model has functions of its own, which are not supported")
    graph = Graph(inputs, [each.name for each in file.output], constants=dict(initializers))
    there = {*inputs, *initializers}
    read = {name for node in file.node for name in node.input} | set(graph.outputs)
    for node in file.node:
        graph.nodes.append(_node(node, opset, there, read))
    missing = [name for name in graph.outputs if name not in there]
    if missing:
        raise ValueError(f"the model's outputs {missing} are given by no node")
    graph.keep_clear_of(there)
    elements.widen(graph, file.input, file.output)
    return graph


def _opset(model: Any) -> int:
    found: dict[str, int] = {}
    for each in model.opset_import:
        found.setdefault("" if each.domain in registry.DOMAINS else each.domain, each.version)
    opset = found.get("", 1)
    if opset < FIRST_OPSET:
        raise ValueError(f"the model's opset must be {FIRST_OPSET} or later, got {opset}")
    return opset


def _node(node: Any, opset: int, there: set[str], read: set[str]) -> Node:
    label = f"{node.name or (node.output[0] if node.output else '?')} ({node.op_type})"
    known = registry.find(node.op_type, opset) if node.domain in registry.DOMAINS else None
    if known is None:
        where = f"{node.domain}, version" if node.domain not in registry.DOMAINS else "opset"
        raise ValueError(f"node {label}: op {node.op_type} of {where} {opset} is not supported")
    attributes = {each.name: value_of(each, f"node {label}: attribute {each.name!r}") for each in node.attribute}
    if len(attributes) < len(node.attribute):
        raise ValueError(f"node {label}: an attribute is there twice")
    elements.check(attributes, label)
    unknown, lacking = attributes.keys() - known.attributes, known.required - attributes.keys()
    if unknown or lacking:
        what = "not supported" if unknown else "missing"
        raise ValueError(f"node {label}: attribute {min(unknown or lacking)!r} is {what}")
    for name in node.input:
        if name and name not in there:
            raise ValueError(f"node {label}: its input {name!r} is given by no node before it")
    for i, name in enumerate(node.output):
        if name and (name in there or name in node.output[:i]):
            raise ValueError(f"node {label}: its output {name!r} is there already")
    outputs = list(node.output)
    if node.op_type in SPARE:
        outputs[1:] = [name if name in read else "" for name in outputs[1:]]
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
    present = inputs if math.isinf(known.most) else inputs[: known.least]
    if len(inputs) > known.most or len(inputs) < known.least or not all(present):
        raise ValueError(f"node {label}: it takes {known.least} to {known.most} inputs, got {inputs}")
    return Node(known.row, inputs, outputs, attributes, node.name)
