"""Normalisation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.table import same
from cnnfast.onnx.ops.conv import is_float
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array


def _no_training(attributes: dict[str, Any]) -> None:
    if attributes.get("training_mode", 0) or attributes.get("n_outputs", 1) > 1:
        raise ValueError("it is in training mode, which is not supported")


def _no_training_6(attributes: dict[str, Any]) -> None:
    _no_training(attributes | {"training_mode": not attributes.get("is_test", 0)})


def _as_written(number: float) -> float:
    """The decimal that a file's float32 came from, as other formats hold it: 1e-3, not 0.0010000000474974513."""
    return float(str(np.float32(number)))


def _better_batch_norm(graph: Graph, node: Node) -> str | None:
    x, scale, bias, mean, var = node.inputs
    spec = graph.spec(x)
    if spec is None or not 2 <= len(spec.shape) <= 5 or not is_float(spec) or not node.attributes.get("spatial", 1):
        return None
    if any((graph.spec(each) or spec).dtype != spec.dtype for each in node.inputs):
        return None
    layout = {"layout": "NCHW"} if len(spec.shape) > 2 else {}
    epsilon = _as_written(node.attributes.get("epsilon", 1e-5))
    return graph.add("batch_norm", [x, mean, var, scale, bias], node.name, eps=epsilon, **layout)


def _around(values: Array, x: Array) -> Array:
    """What is told of each channel (or of each place of an image) as x is shaped."""
    return values.reshape(*values.shape, *(1,) * (x.ndim - 1 - values.ndim))


def _normal(x: Array, scale: Array, bias: Array, mean: Array, var: Array, epsilon: float) -> Array:
    factor = scale / np.sqrt(var + var.dtype.type(epsilon))
    return ((x - _around(mean, x)) * _around(factor, x) + _around(bias, x)).astype(x.dtype)


@onnx_op("BatchNormalization", since=14, spec=same, simplify=_better_batch_norm, check=_no_training)
def batch_normalization(
    x: Array, scale: Array, bias: Array, mean: Array, var: Array, *, n_outputs: int = 1, epsilon: float = 1e-5,
    momentum: float = 0.9, training_mode: int = 0,
) -> Array:  # fmt: skip
    return _normal(x, scale, bias, mean, var, epsilon)


@onnx_op("BatchNormalization", since=7, spec=same, simplify=_better_batch_norm, check=_no_training)
def batch_normalization_7(
    x: Array, scale: Array, bias: Array, mean: Array, var: Array, *, n_outputs: int = 1, epsilon: float = 1e-5,
    momentum: float = 0.9, spatial: int = 1,
) -> Array:  # fmt: skip
    return _normal(x, scale, bias, mean, var, epsilon)


@onnx_op("BatchNormalization", since=6, spec=same, simplify=_better_batch_norm, check=_no_training_6)
def batch_normalization_6(
    x: Array, scale: Array, bias: Array, mean: Array, var: Array, *, n_outputs: int = 1, epsilon: float = 1e-5,
    is_test: int = 0, momentum: float = 0.9, spatial: int = 1,
) -> Array:  # fmt: skip
    return _normal(x, scale, bias, mean, var, epsilon)


def _standard(rows: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """Rows with mean 0 and variance 1; their means; 1 / their deviations."""
    mean = rows.mean(axis=-1, keepdims=True)
    centred = rows - mean
    inverse = 1 / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + rows.dtype.type(epsilon))
    return centred * inverse, mean, inverse


@onnx_op("InstanceNormalization", since=6, spec=same)
def instance_normalization(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5) -> Array:
    y = _standard(x.reshape(*x.shape[:2], -1), epsilon)[0].reshape(x.shape)
    return y * _around(scale, x) + _around(bias, x)


def _grouped(x: Array, scale: Array, bias: Array, num_groups: int, epsilon: float) -> Array:
    if num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(f"num_groups must divide X's {x.shape[1]} channels, got {num_groups}")
    y = _standard(x.reshape(x.shape[0], num_groups, -1), epsilon)[0].reshape(x.shape)
    return y * _around(scale, x) + _around(bias, x)


@onnx_op("GroupNormalization", since=21, spec=same)
def group_normalization(
    x: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1,
) -> Array:  # fmt: skip
    return _grouped(x, scale, bias, num_groups, epsilon)


@onnx_op("GroupNormalization", since=18, spec=same)
def group_normalization_18(x: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float = 1e-5) -> Array:
    each = x.shape[1] // max(num_groups, 1)  # its scale and bias are those of a group
    return _grouped(x, np.repeat(scale, each), np.repeat(bias, each), num_groups, epsilon)


def _layer_spec(x: Spec, *others: Any, axis: int = -1, n_outputs: int = 1, **rest: Any) -> Any:
    at = axis + len(x.shape) if axis < 0 else axis
    row = Spec((*x.shape[:at], *(1,) * (len(x.shape) - at)), x.dtype)
    return [x, row, row][:n_outputs]


@onnx_op("LayerNormalization", since=17, spec=_layer_spec)
def layer_normalization(
    x: Array, scale: Array, bias: Array | None = None, *, n_outputs: int, axis: int = -1, epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Any:  # fmt: skip
    at = axis + x.ndim if axis < 0 else axis
    y, mean, inverse = _standard(x.reshape(*x.shape[:at], -1), epsilon)
    y = y.reshape(x.shape) * scale
    y = y if bias is None else y + bias
    row = (*x.shape[:at], *(1,) * (x.ndim - at))
    return (y.astype(x.dtype), mean.reshape(row), inverse.reshape(row))[:n_outputs]


@onnx_op("RMSNormalization", since=23, spec=same)
def rms_normalization(x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Array:
    axes = tuple(range(axis % x.ndim, x.ndim))
    deviation = np.sqrt(np.square(x).mean(axis=axes, keepdims=True) + x.dtype.type(epsilon))
    y: Array = (x / deviation * scale).astype(x.dtype)
    return y


def _better_lrn(graph: Graph, node: Node) -> str | None:
    x, size = graph.spec(node.inputs[0]), node.attributes["size"]
    if x is None or not 3 <= len(x.shape) <= 5 or size % 2 == 0 or not is_float(x):
        return None
    return graph.add(
        "local_response_norm", node.inputs, node.name, size=size, alpha=node.attributes.get("alpha", 1e-4),
        beta=node.attributes.get("beta", 0.75), k=node.attributes.get("bias", 1.0), layout="NCHW",
    )  # fmt: skip


@onnx_op("LRN", spec=same, simplify=_better_lrn)
def lrn(x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Array:
    before = (size - 1) // 2
    squares = np.pad(np.square(x), [(0, 0), (before, size - 1 - before), *[(0, 0)] * (x.ndim - 2)])
    total = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    y: Array = x / (bias + alpha / size * total) ** beta
    return y.astype(x.dtype)


@onnx_op("LpNormalization", spec=same)
def lp_normalization(x: Array, *, axis: int = -1, p: int = 2) -> Array:
    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, got {p}")
    length = np.linalg.norm(x, p, axis=axis, keepdims=True)
    return np.where(length == 0, 0, x / np.where(length == 0, 1, length)).astype(x.dtype)


@onnx_op("MeanVarianceNormalization", since=9, spec=same)
def mean_variance_normalization(x: Array, *, axes: Sequence[int] = (0, 2, 3)) -> Array:
    centred = x - x.mean(axis=tuple(axes), keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=tuple(axes), keepdims=True))
    y: Array = (centred / (deviation + x.dtype.type(1e-9))).astype(x.dtype)
    return y
