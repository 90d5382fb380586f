"""Ops that give the same numbers in another shape or order, or again."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.ops.arrays import target_shape
from cnnfast.graph.table import TABLE
from cnnfast.onnx.ops.constants import sizes
from cnnfast.onnx.ops.reductions import axes_of
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array

Ints = Sequence[int]
Shape = tuple[int, ...]


def _better_reshape(graph: Graph, node: Node) -> str | None:
    x, wanted = graph.spec(node.inputs[0]), graph.constants.get(node.inputs[1])
    if x is None or wanted is None:
        return None
    shape = target_shape(x.shape, wanted, bool(node.attributes.get("allowzero", 0)))
    return graph.add("reshape", node.inputs[:1], node.name, shape=shape, keep_zeros=True)


def _reshape_spec(x: Spec, shape: Array, allowzero: int = 0) -> Spec:
    return Spec(target_shape(x.shape, shape, bool(allowzero)), x.dtype)


@onnx_op("Reshape", since=5, needs=(1,), spec=_reshape_spec, simplify=_better_reshape)
def reshape(x: Array, shape: Array, *, allowzero: int = 0) -> Array:
    return x.reshape(target_shape(x.shape, shape, bool(allowzero)))


def _flat(x: Shape, axis: int = 1) -> Shape:
    if not -len(x) <= axis <= len(x):
        raise ValueError(f"axis must be in [{-len(x)}, {len(x)}], got {axis}")
    at = axis + len(x) if axis < 0 else axis
    return math.prod(x[:at]), math.prod(x[at:])


def _squeezed(x: Shape, axes: Ints | Array | None = None) -> Shape:
    gone = tuple(i for i, size in enumerate(x) if size == 1) if axes is None else axes_of(axes, len(x))
    if any(x[axis] != 1 for axis in gone):
        raise ValueError(f"axes must be of size 1, got {gone} of shape {x}")
    return tuple(size for i, size in enumerate(x) if i not in gone)


def _unsqueezed(x: Shape, axes: Ints | Array) -> Shape:
    rank = len(x) + np.size(axes)
    new, left = axes_of(axes, rank), iter(x)
    return tuple(1 if i in new else next(left) for i in range(rank))


Reshaper = Callable[..., Shape]
"""shape = new(x's shape, what ONNX gives)."""


def _as_reshape(new: Reshaper) -> dict[str, Any]:
    """The row's settings of an op that is a reshape: its second input, where it has one, tells the shape."""

    def better(graph: Graph, node: Node) -> str | None:
        x, rest = graph.spec(node.inputs[0]), node.inputs[1:]
        if x is None or any(value not in graph.constants for value in rest):
            return None
        shape = new(x.shape, *(graph.constants[value] for value in rest), **node.attributes)
        return graph.add("reshape", node.inputs[:1], node.name, shape=shape, keep_zeros=True)

    def spec(x: Spec, *rest: Any, **attributes: Any) -> Spec:
        return Spec(new(x.shape, *rest, **attributes), x.dtype)

    return {"spec": spec, "needs": (1,), "simplify": better}


@onnx_op("Flatten", **_as_reshape(_flat))
def flatten(x: Array, *, axis: int = 1) -> Array:
    return x.reshape(_flat(x.shape, axis))


@onnx_op("Squeeze", **_as_reshape(_squeezed))
def squeeze_1(x: Array, *, axes: Ints | None = None) -> Array:
    return x.reshape(_squeezed(x.shape, axes))


@onnx_op("Squeeze", since=13, **_as_reshape(_squeezed))
def squeeze(x: Array, axes: Array | None = None) -> Array:
    return x.reshape(_squeezed(x.shape, axes))


@onnx_op("Unsqueeze", **_as_reshape(_unsqueezed))
def unsqueeze_1(x: Array, *, axes: Ints) -> Array:
    return x.reshape(_unsqueezed(x.shape, axes))


@onnx_op("Unsqueeze", since=13, **_as_reshape(_unsqueezed))
def unsqueeze(x: Array, axes: Array) -> Array:
    return x.reshape(_unsqueezed(x.shape, axes))


def _order(rank: int, perm: Ints | None = None) -> Shape:
    axes = tuple(range(rank))[::-1] if perm is None else tuple(perm)
    if sorted(axes) != list(range(rank)):
        raise ValueError(f"perm must hold each axis of {rank} once, got {axes}")
    return axes


def _better_transpose(graph: Graph, node: Node) -> str | None:
    x = graph.spec(node.inputs[0])
    if x is None:
        return None
    return graph.add("transpose", node.inputs, node.name, axes=_order(len(x.shape), **node.attributes))


@onnx_op("Transpose", simplify=_better_transpose, spec=lambda x, perm=None: Spec(
    tuple(x.shape[i] for i in _order(len(x.shape), perm)), x.dtype))  # fmt: skip
def transpose(x: Array, *, perm: Ints | None = None) -> Array:
    return x.transpose(_order(x.ndim, perm))


@onnx_op("Concat", since=4, simplify=lambda graph, node: graph.add(
    "concatenate", node.inputs, node.name, axis=node.attributes["axis"]), spec=TABLE["concatenate"].spec)  # fmt: skip
def concat(*arrays: Array, axis: int) -> Array:
    return np.concatenate(arrays, axis)


def _expand_spec(x: Spec, shape: Array) -> Spec:
    return Spec(np.broadcast_shapes(x.shape, sizes("the shape", shape)), x.dtype)


@onnx_op("Expand", since=8, needs=(1,), spec=_expand_spec)
def expand(x: Array, shape: Array) -> Array:
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, sizes("the shape", shape)))


def _tile_spec(x: Spec, repeats: Array) -> Spec:
    times = sizes("repeats", repeats)
    if len(times) != len(x.shape):
        raise ValueError(f"repeats must have a number for each axis of {x.shape}, got {times}")
    return Spec(tuple(size * n for size, n in zip(x.shape, times, strict=True)), x.dtype)


@onnx_op("Tile", since=6, needs=(1,), spec=_tile_spec)
def tile(x: Array, repeats: Array) -> Array:
    _tile_spec(Spec.of(x), repeats)
    return np.tile(x, sizes("repeats", repeats))


@onnx_op("Trilu", since=14, spec=lambda x, k=None, upper=1: x)
def trilu(x: Array, k: Array | None = None, *, upper: int = 1) -> Array:
    if x.ndim < 2:
        raise ValueError(f"its input must have 2 dimensions or more, got shape {x.shape}")
    limit = max(x.shape[-2:]) + 1  # k beyond it changes nothing, and overflows nothing
    diagonal = 0 if k is None else int(np.clip(k.reshape(()), -limit, limit))
    return np.triu(x, diagonal) if upper else np.tril(x, diagonal)


def _check_axes(attributes: dict[str, Any]) -> None:
    axes = attributes.get("batch_axis", 1), attributes.get("time_axis", 0)
    if sorted(axes) != [0, 1]:
        raise ValueError(f"batch_axis and time_axis must be 0 and 1, each once, got {axes}")


@onnx_op("ReverseSequence", since=10, spec=lambda x, lengths, **axes: x, check=_check_axes)
def reverse_sequence(x: Array, lengths: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Array:
    by_batch = x if batch_axis == 0 else x.swapaxes(0, 1)
    count, size = by_batch.shape[:2]
    if lengths.shape != (count,) or ((lengths < 0) | (lengths > size)).any():
        raise ValueError(f"sequence_lens must be in [0, {size}], one for each of {count}, got {lengths}")
    y = by_batch.copy()
    for row, length in zip(y, lengths, strict=True):
        row[:length] = row[:length][::-1].copy()
    return y if batch_axis == 0 else y.swapaxes(0, 1)
