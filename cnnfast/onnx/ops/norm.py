"""Normalisation."""

from cnnfast.graph.ir import Graph, Node
from cnnfast.graph.table import same
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array
from cnnfast.ops.norm import batch_norm


def _better_batch_norm(graph: Graph, node: Node) -> str | None:
    x, scale, bias, mean, var = node.inputs
    spec = graph.spec(x)
    if spec is None or not 2 <= len(spec.shape) <= 5 or spec.dtype.itemsize < 4 or node.attributes.get("training_mode"):
        return None
    layout = {"layout": "NCHW"} if len(spec.shape) > 2 else {}
    epsilon = node.attributes.get("epsilon", 1e-5)
    return graph.add("batch_norm", [x, mean, var, scale, bias], node.name, eps=epsilon, **layout)


@onnx_op("BatchNormalization", since=7, spec=same, simplify=_better_batch_norm)
def batch_normalization(
    x: Array, scale: Array, bias: Array, mean: Array, var: Array, *, epsilon: float = 1e-5, momentum: float = 0.9,
) -> Array:  # fmt: skip
    return batch_norm(x, mean, var, scale, bias, eps=epsilon, layout="NCHW")
