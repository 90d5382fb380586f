"""Pools."""

from collections.abc import Sequence
from typing import Any

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.onnx.ops import windows
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array
from cnnfast.ops.pool import avg_pool2d, max_pool2d

Ints = Sequence[int]


def _settings(
    x: windows.Ints, kernel_shape: Ints, auto_pad: str = "NOTSET", pads: Ints | None = None, strides: Ints | None = None,
    dilations: Ints | None = None, ceil_mode: int = 0, **rest: Any,
) -> dict[str, Any]:  # fmt: skip
    rank = len(x) - 2
    kernel = windows.each(kernel_shape, rank, "kernel_shape")
    step, spread = windows.each(strides, rank, "strides"), windows.each(dilations, rank, "dilations")
    return {
        "kernel_size": kernel, "stride": step, "padding": windows.sides(auto_pad, pads, x[2:], kernel, step, spread),
        "dilation": spread, "ceil_mode": bool(ceil_mode), "layout": windows.LAYOUTS[rank],
    }  # fmt: skip


def _better_max(graph: Graph, node: Node) -> str | None:
    x = graph.spec(node.inputs[0])
    if x is None or len(x.shape) != 4 or len(node.outputs) != 1 or x.dtype.itemsize < 4:
        return None
    return graph.add("max_pool2d", node.inputs, node.name, **_settings(x.shape, **node.attributes))


@onnx_op("MaxPool", simplify=_better_max)
def max_pool(
    x: Array, *, kernel_shape: Ints, auto_pad: str = "NOTSET", ceil_mode: int = 0, dilations: Ints | None = None,
    pads: Ints | None = None, storage_order: int = 0, strides: Ints | None = None,
) -> Array:  # fmt: skip
    return max_pool2d(x, **_settings(x.shape, kernel_shape, auto_pad, pads, strides, dilations, ceil_mode))


def _average(x: windows.Ints, attributes: dict[str, Any]) -> dict[str, Any]:
    settings = _settings(x, **attributes)
    del settings["dilation"]
    return settings | {"count_include_pad": bool(attributes.get("count_include_pad", 0))}


def _better_average(graph: Graph, node: Node) -> str | None:
    x = graph.spec(node.inputs[0])
    if x is None or len(x.shape) != 4 or x.dtype.itemsize < 4:
        return None
    return graph.add("avg_pool2d", node.inputs, node.name, **_average(x.shape, node.attributes))


@onnx_op("AveragePool", simplify=_better_average)
def average_pool(
    x: Array, *, kernel_shape: Ints, auto_pad: str = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0,
    pads: Ints | None = None, strides: Ints | None = None,
) -> Array:  # fmt: skip
    settings = {"kernel_shape": kernel_shape, "auto_pad": auto_pad, "ceil_mode": ceil_mode, "pads": pads,
                "strides": strides, "count_include_pad": count_include_pad}  # fmt: skip
    return avg_pool2d(x, **_average(x.shape, settings))


def _global_spec(x: Spec) -> Spec:
    return Spec((*x.shape[:2], *(1,) * (len(x.shape) - 2)), x.dtype)


def _better_global(graph: Graph, node: Node) -> str | None:
    x = graph.spec(node.inputs[0])
    if x is None or len(x.shape) != 4 or x.dtype.itemsize < 4:
        return None
    return graph.add("adaptive_avg_pool2d", node.inputs, node.name, output_size=(1, 1), layout="NCHW")


@onnx_op("GlobalAveragePool", spec=_global_spec, simplify=_better_global)
def global_average_pool(x: Array) -> Array:
    mean: Array = x.mean(axis=tuple(range(2, x.ndim)), keepdims=True, dtype=x.dtype)
    return mean
