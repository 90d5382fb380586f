"""Matrix products with constants are dense layers; a dense layer after flattened pictures reads them as they lie."""

import math

from cnnfast.graph.ir import Graph
from cnnfast.graph.passes.layout import TO_FIRST
from cnnfast.graph.specialise import respec
from cnnfast.graph.table import VIEWS

LARGE = 4_000_000
"""Weights beyond which turning a picture around in each run costs less than turning them once."""


def to_linear(graph: Graph) -> None:
    """x @ a constant matrix is a dense layer."""
    for node in graph.nodes:
        weight = graph.constants.get(node.inputs[1]) if node.op == "matmul" else None
        x = graph.spec(node.inputs[0])
        if weight is None or x is None or weight.ndim != 2 or not x.shape or x.dtype != weight.dtype:
            continue
        if weight.dtype.kind == "f" and weight.itemsize >= 4 and weight.size and math.prod(x.shape[1:]):
            node.op = "linear"
            node.inputs[1] = graph.constant(weight.T, node.inputs[1])


def fold_flatten(graph: Graph) -> None:
    """Pictures brought to channels first, flattened, and read by dense layers alone: their columns move instead."""
    producers = graph.producers()
    for node in list(graph.nodes):
        before = producers.get(node.inputs[0]) if node.op in VIEWS else None
        if before is None or before.op != "transpose" or before.attributes["axes"] != TO_FIRST:
            continue
        x, y = graph.spec(before.inputs[0]), graph.spec(node.outputs[0])
        flat = node.outputs[0]
        readers = [each for each in graph.nodes if flat in each.inputs]
        if x is None or y is None or y.shape != (x.shape[0], math.prod(x.shape[1:])) or flat in graph.outputs:
            continue
        weights = {each.inputs[1] for each in readers if each.op == "linear"}
        if any(each.op != "linear" or each.inputs[1] not in graph.constants for each in readers):
            continue
        if sum(graph.constants[name].size for name in weights) > LARGE:
            continue
        _, H, W, C = x.shape
        for each in readers:
            weight = graph.constants[each.inputs[1]]
            moved = weight.reshape(-1, C, H, W).transpose(0, 2, 3, 1).reshape(weight.shape)
            each.inputs[1] = graph.constant(moved, each.inputs[1])
        node.inputs = [before.inputs[0]]
        node.op, node.attributes = "reshape", {"shape": y.shape, "keep_zeros": True}
        respec(graph, [node])
