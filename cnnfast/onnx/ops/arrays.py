"""Ops that move numbers about."""

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.ops.arrays import target_shape
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array


def _better_reshape(graph: Graph, node: Node) -> str | None:
    x, wanted = graph.spec(node.inputs[0]), graph.constants.get(node.inputs[1])
    if x is None or wanted is None:
        return None
    shape = target_shape(x.shape, wanted, bool(node.attributes.get("allowzero", 0)))
    return graph.add("reshape", node.inputs[:1], node.name, shape=shape, keep_zeros=True)


@onnx_op("Reshape", since=5, needs=(1,), simplify=_better_reshape)
def reshape(x: Array, shape: Array, *, allowzero: int = 0) -> Array:
    return x.reshape(target_shape(x.shape, shape, bool(allowzero)))


@onnx_op("Flatten", simplify=lambda graph, node: graph.add(
    "flatten", node.inputs, node.name, axis=node.attributes.get("axis", 1)))  # fmt: skip
def flatten(x: Array, *, axis: int = 1) -> Array:
    at = axis + x.ndim if axis < 0 else axis
    return x.reshape(int(np.prod(x.shape[:at])), -1) if x.size else x.reshape(Spec.of(x).shape[:1] + (0,))


def _better_transpose(graph: Graph, node: Node) -> str | None:
    x = graph.spec(node.inputs[0])
    if x is None:
        return None
    axes = tuple(node.attributes.get("perm") or range(len(x.shape))[::-1])
    return graph.add("transpose", node.inputs, node.name, axes=axes)


@onnx_op("Transpose", simplify=_better_transpose)
def transpose(x: Array, *, perm: list[int] | None = None) -> Array:
    return x.transpose(perm)


@onnx_op("Concat", simplify=lambda graph, node: graph.add(
    "concatenate", node.inputs, node.name, axis=node.attributes["axis"]))  # fmt: skip
def concat(*arrays: Array, axis: int) -> Array:
    return np.concatenate(arrays, axis)
