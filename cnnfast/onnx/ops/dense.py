"""Matrix products and softmax."""

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.table import same
from cnnfast.onnx.registry import becomes, onnx_op
from cnnfast.ops.arrays import Array
from cnnfast.ops.softmax import softmax as our_softmax


@onnx_op("MatMul", simplify=becomes("matmul"))
def matmul(x: Array, y: Array) -> Array:
    product: Array = np.matmul(x, y)
    return product


def _better_gemm(graph: Graph, node: Node) -> str | None:
    """x @ a constant matrix + a bias of each column, which is what networks hold."""
    options = node.attributes
    weight = graph.constants.get(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    x = graph.spec(node.inputs[0])
    plain = options.get("alpha", 1.0) == 1.0 and options.get("beta", 1.0) == 1.0 and not options.get("transA", 0)
    if weight is None or x is None or not plain or x.dtype.itemsize < 4 or x.dtype.kind != "f" or not x.size:
        return None
    if bias and bias not in graph.constants:
        return None
    rows = weight if options.get("transB", 0) else weight.T
    inputs = [node.inputs[0], graph.constant(rows, node.inputs[1])]
    if bias:
        inputs.append(graph.constant(np.broadcast_to(graph.constants[bias], (1, len(rows))).reshape(-1), bias))
    return graph.add("linear", inputs, node.name)


def _gemm_spec(x: Spec, y: Spec, z: Spec | None = None, *, transA: int = 0, transB: int = 0, **rest: object) -> Spec:
    return Spec((x.shape[1 if transA else 0], y.shape[0 if transB else 1]), x.dtype)


@onnx_op("Gemm", spec=_gemm_spec, simplify=_better_gemm)
def gemm(
    x: Array, y: Array, z: Array | None = None, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0,
) -> Array:  # fmt: skip
    product = np.matmul(x.T if transA else x, y.T if transB else y)
    scaled: Array = product if alpha == 1 else (product * alpha).astype(x.dtype)
    return scaled if z is None else (scaled + z * x.dtype.type(beta)).astype(x.dtype)


@onnx_op("Softmax", since=13, spec=same, simplify=lambda graph, node: graph.add(
    "softmax", node.inputs, node.name, axis=node.attributes.get("axis", -1)))  # fmt: skip
def softmax(x: Array, *, axis: int = -1) -> Array:
    return our_softmax(x, axis)
