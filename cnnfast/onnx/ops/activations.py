"""Activations: ours by another name."""

from cnnfast.graph.ir import Graph, Node
from cnnfast.graph.table import same
from cnnfast.onnx.registry import becomes, onnx_op
from cnnfast.ops import activations, gates
from cnnfast.ops.arrays import Array

for _name, _ours in (("Relu", activations.relu), ("Tanh", gates.tanh), ("Sigmoid", gates.sigmoid)):
    onnx_op(_name, spec=same, pointwise=True, simplify=becomes(_ours.__name__))(_ours)


def _better_leaky(graph: Graph, node: Node) -> str:
    return graph.add("leaky_relu", node.inputs, node.name, negative_slope=node.attributes.get("alpha", 0.01))


@onnx_op("LeakyRelu", spec=same, pointwise=True, simplify=_better_leaky)
def leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    return activations.leaky_relu(x, alpha)
