"""A scale and a shift of each channel after a convolution or dense layer are weights and biases of that layer."""

from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node
from cnnfast.ops.arrays import Array

FILTERS = {"conv2d": (3,), "depthwise_conv2d": (2, 3), "conv_transpose2d": (2,), "linear": (0,)}
"""The axes of the weight that count a layer's outputs."""


def fold_batch_norm(graph: Graph) -> None:
    """Fold batch_norm, and products and sums with a constant for each channel, into what comes before. In float64."""
    producers, readers = graph.producers(), graph.readers()
    for node in list(graph.nodes):
        if node.op not in ("batch_norm", "multiply", "add") or node.attributes.get("activation") is not None:
            continue
        for at, value in enumerate(node.inputs[:2]):
            layer = producers.get(value)
            if layer is None or readers[value] != 1 or not _takes(graph, layer):
                continue
            channels = graph.specs[value].shape[-1]
            found = _affine(graph, node, at, channels)
            if found is None:
                continue
            _fold(graph, layer, *found)
            graph.specs[node.outputs[0]] = graph.specs[layer.outputs[0]]
            del graph.specs[layer.outputs[0]]
            layer.outputs = node.outputs
            producers[node.outputs[0]] = layer
            graph.nodes.remove(node)
            break
    graph.prune()


def _takes(graph: Graph, layer: Node) -> bool:
    if layer.op not in FILTERS or layer.attributes.get("layout", "NHWC") != "NHWC":
        return False
    plain = layer.attributes.get("activation") is None and len(layer.inputs) < 4
    grouped = layer.op == "conv_transpose2d" and layer.attributes.get("groups", 1) != 1
    constant = all(not value or value in graph.constants for value in layer.inputs[1:])
    return plain and constant and not grouped and graph.constants[layer.inputs[1]].dtype.kind == "f"


def _affine(graph: Graph, node: Node, at: int, channels: int) -> tuple[Array, Array] | None:
    """(scale, shift) of each channel; None where it is not that."""
    one, nothing = np.ones(channels), np.zeros(channels)
    if node.op == "batch_norm":
        if at != 0 or any(value and value not in graph.constants for value in node.inputs[1:]):
            return None
        if node.attributes.get("layout", "NHWC") != "NHWC":
            return None
        mean, var, weight, bias = (
            graph.constants[value].astype(np.float64) if value else default
            for value, default in zip([*node.inputs[1:], "", ""][:4], (nothing, one, one, nothing), strict=True)
        )
        scale: Any = weight / np.sqrt(var + node.attributes.get("eps", 1e-5))
        return scale, bias - mean * scale
    constant = graph.constants.get(node.inputs[1 - at])
    if constant is None or graph.specs[node.outputs[0]] != graph.specs[node.inputs[at]]:
        return None  # it is repeated, or of another dtype afterwards
    if constant.size != 1 and (constant.size != channels or constant.shape[-1] != channels):
        return None
    each = np.broadcast_to(constant.astype(np.float64).reshape(-1), channels)
    return (each, nothing) if node.op == "multiply" else (one, each)


def _fold(graph: Graph, layer: Node, scale: Array, shift: Array) -> None:
    weight, dtype = graph.constants[layer.inputs[1]], graph.constants[layer.inputs[1]].dtype
    if not (scale == 1).all():
        sizes = [size if i in FILTERS[layer.op] else 1 for i, size in enumerate(weight.shape)]
        layer.inputs[1] = graph.constant((weight * scale.reshape(sizes)).astype(dtype), layer.inputs[1])
    bias = layer.inputs[2] if len(layer.inputs) > 2 else ""
    before = graph.constants[bias].astype(np.float64) if bias else 0.0
    layer.inputs = [*layer.inputs[:2], graph.constant((before * scale + shift).astype(dtype), "bias")]
