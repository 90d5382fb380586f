"""Pools over one, two or three axes. What is not one of ours runs as NumPy, a tap of the kernel at a time."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.onnx.ops.windows import LAYOUTS, Ints, Windows, each, sides, taps
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops import shapes
from cnnfast.ops.arrays import Array

Numbers = Sequence[int] | None
MOST_TAPS = 2**20
"""In a window: a pool of more would take hours."""
INT64 = np.dtype(np.int64)


def _windows(
    x: Ints, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0, dilations: Numbers = None,
    pads: Numbers = None, strides: Numbers = None, **rest: Any,
) -> Windows:  # fmt: skip
    rank = len(x) - 2
    if rank < 1:
        raise ValueError(f"X must have 3 dimensions or more, got shape {x}")
    kernel, step = each(kernel_shape, rank, "kernel_shape"), each(strides, rank, "strides")
    spread = each(dilations, rank, "dilations")
    if min(*kernel, *step, *spread, 1) < 1:
        raise ValueError(f"kernel_shape, strides and dilations must be >= 1, got {kernel}, {step}, {spread}")
    if math.prod(kernel) > MOST_TAPS:
        raise ValueError(f"kernel_shape must hold at most {MOST_TAPS} places, got {kernel}")
    padding = sides(auto_pad, pads, x[2:], kernel, step, spread)
    counts = tuple(
        shapes.pool_size(x[2 + i], kernel[i], step[i], padding[i], spread[i], bool(ceil_mode)) for i in range(rank)
    )
    return Windows(kernel, step, padding, spread, counts)


def _spec(x: Spec, *, n_outputs: int = 1, **attributes: Any) -> Any:
    y = Spec((*x.shape[:2], *_windows(x.shape, **attributes).counts), x.dtype)
    return [y, Spec(y.shape, INT64)] if n_outputs > 1 else y


def _ours(graph: Graph, node: Node) -> dict[str, Any] | None:
    """Our keywords of a pool of pictures, where ours takes it."""
    x, attributes = graph.spec(node.inputs[0]), node.attributes
    if x is None or len(x.shape) != 4 or len(node.outputs) != 1 or x.dtype.kind != "f" or x.dtype.itemsize < 4:
        return None
    windows = _windows(x.shape, **attributes)
    if any(max(pair) > k // 2 for pair, k in zip(windows.padding, windows.kernel, strict=True)):
        return None
    return {
        "kernel_size": windows.kernel, "stride": windows.strides, "padding": windows.padding,
        "dilation": windows.dilations, "ceil_mode": bool(attributes.get("ceil_mode", 0)), "layout": LAYOUTS[2],
    }  # fmt: skip


def _better_max(graph: Graph, node: Node) -> str | None:
    ours = _ours(graph, node)
    return None if ours is None else graph.add("max_pool2d", node.inputs, node.name, **ours)


@onnx_op("MaxPool", spec=_spec, simplify=_better_max)
def max_pool(
    x: Array, *, n_outputs: int, storage_order: int = 0, kernel_shape: Sequence[int], auto_pad: str = "NOTSET",
    ceil_mode: int = 0, dilations: Numbers = None, pads: Numbers = None, strides: Numbers = None,
) -> Any:  # fmt: skip
    windows = _windows(
        x.shape, kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode, dilations=dilations, pads=pads,
        strides=strides,
    )  # fmt: skip
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    y: Array | None = None
    at: Any = None
    for tap, part in taps(x, windows, least):
        if n_outputs > 1:
            here = _places(windows, tap, x.shape[2:], bool(storage_order))
            at = np.broadcast_to(here, part.shape) if y is None else np.where(part > y, here, at)
        y = part.copy() if y is None else np.maximum(y, part)
    if n_outputs == 1:
        return y
    pictures = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *(1,) * len(windows.kernel))
    return y, at + pictures * math.prod(x.shape[2:])


def _places(windows: Windows, tap: Ints, sizes: Ints, columns_first: bool) -> Array:
    """The index in its picture of what lies under a tap in every window."""
    rank = len(sizes)
    clipped = [np.clip(windows.places(axis, tap[axis]), 0, sizes[axis] - 1) for axis in range(rank)]
    grid = np.meshgrid(*clipped, indexing="ij")
    return np.asarray(np.ravel_multi_index(tuple(grid), sizes, order="F" if columns_first else "C"), np.int64)


def _better_average(graph: Graph, node: Node) -> str | None:
    ours = _ours(graph, node)
    if ours is None or ours.pop("dilation") != (1, 1):
        return None
    include = bool(node.attributes.get("count_include_pad", 0))
    if include and ours["ceil_mode"]:
        return None
    return graph.add("avg_pool2d", node.inputs, node.name, **ours, count_include_pad=include)


@onnx_op("AveragePool", spec=_spec, simplify=_better_average)
def average_pool(
    x: Array, *, count_include_pad: int = 0, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Numbers = None, pads: Numbers = None, strides: Numbers = None,
) -> Array:  # fmt: skip
    windows = _windows(
        x.shape, kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode, dilations=dilations, pads=pads,
        strides=strides,
    )  # fmt: skip
    total: Array = np.sum([part for _, part in taps(x, windows, 0)], axis=0, dtype=x.dtype)
    return (total / _taps_counted(windows, x.shape[2:], bool(count_include_pad))).astype(x.dtype)


def _taps_counted(windows: Windows, sizes: Ints, with_padding: bool) -> Array:
    """How many taps of each window lie in the picture, or in its padding too."""
    counts = np.ones((), np.int64)
    for axis, size in enumerate(sizes):
        low, high = (-windows.padding[axis][0], size + windows.padding[axis][1]) if with_padding else (0, size)
        places = np.stack([windows.places(axis, tap) for tap in range(windows.kernel[axis])])
        counts = counts[..., None] * ((places >= low) & (places < high)).sum(axis=0)
    return np.maximum(counts, 1)


@onnx_op("LpPool", since=2, spec=_spec)
def lp_pool(
    x: Array, *, p: int = 2, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Numbers = None, pads: Numbers = None, strides: Numbers = None,
) -> Array:  # fmt: skip
    windows = _windows(
        x.shape, kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode, dilations=dilations, pads=pads,
        strides=strides,
    )  # fmt: skip
    powers = sum(part for _, part in taps(np.abs(x) ** p, windows, 0))
    return np.asarray(powers ** (1 / p), x.dtype)


def _global_spec(x: Spec, **attributes: Any) -> Spec:
    return Spec((*x.shape[:2], *(1,) * (len(x.shape) - 2)), x.dtype)


def _better_global(graph: Graph, node: Node) -> str | None:
    x = graph.spec(node.inputs[0])
    if x is None or len(x.shape) != 4 or x.dtype.kind != "f" or x.dtype.itemsize < 4:
        return None
    name = "adaptive_avg_pool2d" if "Average" in node.op else "adaptive_max_pool2d"
    return graph.add(name, node.inputs, node.name, output_size=(1, 1), layout="NCHW")


@onnx_op("GlobalAveragePool", spec=_global_spec, simplify=_better_global)
def global_average_pool(x: Array) -> Array:
    mean: Array = x.mean(axis=tuple(range(2, x.ndim)), keepdims=True, dtype=x.dtype)
    return mean


@onnx_op("GlobalMaxPool", spec=_global_spec, simplify=_better_global)
def global_max_pool(x: Array) -> Array:
    largest: Array = x.max(axis=tuple(range(2, x.ndim)), keepdims=True)
    return largest


@onnx_op("GlobalLpPool", since=2, spec=_global_spec)
def global_lp_pool(x: Array, *, p: int = 2) -> Array:
    powers = (np.abs(x) ** p).sum(axis=tuple(range(2, x.ndim)), keepdims=True)
    return np.asarray(powers ** (1 / p), x.dtype)


def _unpooled(
    x: Ints, wanted: Array | None, kernel_shape: Sequence[int], pads: Numbers, strides: Numbers
) -> tuple[Ints, Ints]:
    """The shape before the pool as its windows tell it, and the one that is wanted, which is that or larger."""
    rank = len(x) - 2
    kernel, step = each(kernel_shape, rank, "kernel_shape"), each(strides, rank, "strides")
    border = each(pads, 2 * rank, "pads", 0)
    shape = (*x[:2], *((x[2 + i] - 1) * step[i] + kernel[i] - border[i] - border[rank + i] for i in range(rank)))
    larger = shape if wanted is None else tuple(int(size) for size in wanted)
    if min(shape) < 0 or len(larger) != len(shape) or any(a < b for a, b in zip(larger, shape, strict=True)):
        raise ValueError(f"output_shape must be at least {shape}, got {larger}")
    return shape, larger


def _unpooled_spec(
    x: Spec, indices: Spec, wanted: Array | None = None, *, kernel_shape: Sequence[int], pads: Numbers = None,
    strides: Numbers = None,
) -> Spec:  # fmt: skip
    return Spec(_unpooled(x.shape, wanted, kernel_shape, pads, strides)[1], x.dtype)


@onnx_op("MaxUnpool", since=9, needs=(2,), spec=_unpooled_spec)
def max_unpool(
    x: Array, indices: Array, output_shape: Array | None = None, *, kernel_shape: Sequence[int], pads: Numbers = None,
    strides: Numbers = None,
) -> Array:  # fmt: skip
    shape, wanted = _unpooled(x.shape, output_shape, kernel_shape, pads, strides)
    flat = np.zeros(math.prod(shape), x.dtype)
    if indices.shape != x.shape or (indices.size and (indices.min() < 0 or indices.max() >= flat.size)):
        raise ValueError(f"I must have X's shape {x.shape} and lie within {shape}, got shape {indices.shape}")
    flat[indices.reshape(-1)] = x.reshape(-1)
    y = np.zeros(wanted, x.dtype)
    y[tuple(slice(size) for size in shape)] = flat.reshape(shape)
    return y
