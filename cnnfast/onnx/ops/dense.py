"""Matrix products, softmax and its kin, dropout."""

from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node, Shape, Spec
from cnnfast.graph.table import same
from cnnfast.onnx.registry import becomes, onnx_op
from cnnfast.ops.arrays import Array
from cnnfast.ops.softmax import log_softmax, softmax


def matmul_shape(x: Shape, y: Shape) -> Shape:
    """Of a matrix product, by NumPy's rules.

    >>> matmul_shape((2, 1, 3, 4), (5, 4, 2)), matmul_shape((4,), (3, 4, 2))
    ((2, 5, 3, 2), (3, 2))
    """
    left, right = x if len(x) > 1 else (1, *x), y if len(y) > 1 else (*y, 1)
    if not x or not y or left[-1] != right[-2]:
        raise ValueError(f"A and B must be matrices that can be multiplied, got shapes {x} and {y}")
    rows, columns = left[-2:-1] if len(x) > 1 else (), right[-1:] if len(y) > 1 else ()
    return (*np.broadcast_shapes(left[:-2], right[:-2]), *rows, *columns)


@onnx_op("MatMul", simplify=becomes("matmul"), spec=lambda x, y: Spec(
    matmul_shape(x.shape, y.shape), np.result_type(x.dtype, y.dtype)))  # fmt: skip
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
    if bias and (bias not in graph.constants or graph.constants[bias].shape[:-1] not in ((), (1,))):
        return None
    rows = weight if options.get("transB", 0) else weight.T
    inputs = [node.inputs[0], graph.constant(rows, node.inputs[1])]
    if bias:
        inputs.append(graph.constant(np.broadcast_to(graph.constants[bias], (1, len(rows))).reshape(-1), bias))
    return graph.add("linear", inputs, node.name)


def _gemm_spec(x: Spec, y: Spec, z: Spec | None = None, *, transA: int = 0, transB: int = 0, **rest: object) -> Spec:
    if len(x.shape) != 2 or len(y.shape) != 2 or x.shape[0 if transA else 1] != y.shape[1 if transB else 0]:
        raise ValueError(f"A and B must be matrices that can be multiplied, got shapes {x.shape} and {y.shape}")
    return Spec((x.shape[1 if transA else 0], y.shape[0 if transB else 1]), x.dtype)


@onnx_op("Gemm", since=7, spec=_gemm_spec, simplify=_better_gemm)
def gemm(
    x: Array, y: Array, z: Array | None = None, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0,
    transB: int = 0,
) -> Array:  # fmt: skip
    product = np.matmul(x.T if transA else x, y.T if transB else y)
    scaled: Array = product if alpha == 1 else (product * alpha).astype(x.dtype)
    return scaled if z is None else (scaled + z * x.dtype.type(beta)).astype(x.dtype)


@onnx_op("Gemm", since=6, spec=_gemm_spec, simplify=_better_gemm)
def gemm_broadcast(
    x: Array, y: Array, z: Array, *, alpha: float = 1.0, beta: float = 1.0, broadcast: int = 0, transA: int = 0,
    transB: int = 0,
) -> Array:  # fmt: skip
    product: Array = gemm(x, y, z, alpha=alpha, beta=beta, transA=transA, transB=transB)
    return product


def hardmax(x: Array, axis: int = -1) -> Array:
    """1 at the first of the largest values along an axis, 0 elsewhere."""
    y = np.zeros_like(x)
    np.put_along_axis(y, np.expand_dims(x.argmax(axis), axis), 1, axis)
    return y


def _better_softmax(graph: Graph, node: Node) -> str | None:
    x, axis = graph.spec(node.inputs[0]), node.attributes.get("axis")
    if x is None or x.dtype.kind != "f" or x.dtype.itemsize < 4 or "Hardmax" in node.op or not x.size:
        return None
    rank = len(x.shape)
    at = (-1 if axis is None and node.op.endswith("@13") else 1 if axis is None else axis) % max(rank, 1)
    name = "log_softmax" if "Log" in node.op else "softmax"
    if node.op.endswith("@13") or all(size == 1 for size in x.shape[at + 1 :]):
        return graph.add(name, node.inputs, node.name, axis=at)
    rows = graph.add("flatten", node.inputs, node.name, axis=at)
    return graph.add("reshape", [graph.add(name, [rows], node.name, axis=1)], node.name, shape=x.shape)


def _put(name: str, function: Any) -> None:
    """An op along an axis; before opset 13 it is over all axes from there on together."""

    def along(x: Array, *, axis: int = -1) -> Array:
        y: Array = function(x, axis)
        return y

    def over(x: Array, *, axis: int = 1) -> Array:
        at = axis + x.ndim if axis < 0 else axis
        y: Array = function(x.reshape(int(np.prod(x.shape[:at])), -1), 1).reshape(x.shape)
        return y

    onnx_op(name, since=13, spec=same, simplify=_better_softmax)(along)
    onnx_op(name, spec=same, simplify=_better_softmax)(over)


for _name, _function in (("Softmax", softmax), ("LogSoftmax", log_softmax), ("Hardmax", hardmax)):
    _put(_name, _function)


def _better_dropout(graph: Graph, node: Node) -> str | None:
    training = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if len(node.outputs) > 1 or (len(node.inputs) > 2 and node.inputs[2] and training is None):
        return None
    if training is not None and training.any():
        raise ValueError("training_mode must be false: training is not supported")
    return graph.add("identity", node.inputs[:1], node.name)


@onnx_op("Dropout", since=12, simplify=_better_dropout)
def dropout(
    x: Array, ratio: Array | None = None, training: Array | None = None, *, n_outputs: int, seed: int = 0
) -> Any:  # fmt: skip
    if training is not None and training.any():
        raise ValueError("training_mode must be false: training is not supported")
    return (x, np.ones(x.shape, np.bool_)) if n_outputs > 1 else x


@onnx_op("Dropout", since=10, simplify=_better_dropout)
def dropout_10(x: Array, *, n_outputs: int, ratio: float = 0.5) -> Any:
    return (x, np.ones(x.shape, np.bool_)) if n_outputs > 1 else x


@onnx_op("Dropout", since=7, simplify=_better_dropout)
def dropout_7(x: Array, *, n_outputs: int, ratio: float = 0.5) -> Any:
    return (x, np.ones_like(x)) if n_outputs > 1 else x


def _check_dropout(attributes: dict[str, Any]) -> None:
    if not attributes.get("is_test", 0):
        raise ValueError("it is in training mode, which is not supported")


@onnx_op("Dropout", since=6, simplify=_better_dropout, check=_check_dropout)
def dropout_6(x: Array, *, n_outputs: int, is_test: int = 0, ratio: float = 0.5) -> Any:
    return (x, np.ones_like(x)) if n_outputs > 1 else x
