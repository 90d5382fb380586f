"""What follows a layer element by element becomes part of its run: a residual, an activation."""

from typing import Any

from cnnfast.graph.ir import Graph, Node
from cnnfast.graph.table import CONVS

ACTIVATED = (*CONVS, "separable_conv2d", "linear", "add", "multiply", "batch_norm")
"""Ops with an attribute `activation`."""
PLAIN = (
    "relu", "relu6", "sigmoid", "tanh", "silu", "hardswish", "selu", "hardsigmoid", "mish",
)  # fmt: skip
"""Activations without parameters, which that attribute calls by the same name."""


def fuse_activation(graph: Graph) -> None:
    """An activation that alone reads a layer is done by it."""
    producers, readers = graph.producers(), graph.readers()
    for node in list(graph.nodes):
        chosen = _activation(node)
        layer = producers.get(node.inputs[0]) if chosen is not None else None
        if layer is None or layer.op not in ACTIVATED or readers[node.inputs[0]] != 1:
            continue
        if layer.attributes.get("activation") is None and graph.specs[node.outputs[0]].dtype.kind == "f":
            layer.attributes["activation"] = chosen
            layer.outputs = node.outputs
            producers[node.outputs[0]] = layer
            graph.nodes.remove(node)


def _activation(node: Node) -> Any:
    """What the attribute `activation` calls a node; None where it is none, or has parameters of its own."""
    if node.op in PLAIN:
        return node.op
    if node.op == "leaky_relu":
        return "leaky_relu", node.attributes.get("negative_slope", 0.01)
    if node.op == "elu":
        return "elu", node.attributes.get("alpha", 1.0)
    if node.op == "gelu":
        return "gelu_tanh" if node.attributes.get("approximate") == "tanh" else "gelu"
    if node.op == "softplus" and not node.attributes:
        return "softplus"
    return None


def fuse_residual(graph: Graph) -> None:
    """A sum with a convolution that nothing else reads is done by it, where the sum stood."""
    producers, readers = graph.producers(), graph.readers()
    for node in list(graph.nodes):
        if node.op != "add" or node.attributes.get("activation") is not None:
            continue
        shape = graph.specs.get(node.outputs[0])
        fit = [
            at
            for at, value in enumerate(node.inputs)
            if readers[value] == 1 and value in producers and _takes(graph, producers[value])
            and graph.spec(node.inputs[1 - at]) == shape == graph.spec(value)
        ]  # fmt: skip
        if not fit:
            continue
        at = max(fit, key=lambda i: graph.nodes.index(producers[node.inputs[i]]))
        conv = producers[node.inputs[at]]
        bias = conv.inputs[2] if len(conv.inputs) > 2 else ""
        conv.inputs = [*conv.inputs[:2], bias, node.inputs[1 - at]]
        conv.outputs = node.outputs
        producers[node.outputs[0]] = conv
        graph.nodes.remove(conv)
        graph.nodes[graph.nodes.index(node)] = conv


def _takes(graph: Graph, conv: Node) -> bool:
    spec = graph.spec(conv.outputs[0])
    plain = conv.attributes.get("activation") is None and len(conv.inputs) < 4
    return conv.op in CONVS and plain and spec is not None and spec.dtype.kind == "f"
