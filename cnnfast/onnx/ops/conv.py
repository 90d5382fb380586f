"""Convolutions."""

from collections.abc import Sequence
from typing import Any

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.onnx.ops import windows
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops import shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import conv2d
from cnnfast.ops.conv_transpose import conv_transpose2d
from cnnfast.ops.lines import conv1d
from cnnfast.ops.volumes import conv3d

Ints = Sequence[int]
CONVS = {1: conv1d, 2: conv2d, 3: conv3d}


def _settings(
    x: windows.Ints, weight: windows.Ints, auto_pad: str = "NOTSET", pads: Ints | None = None, strides: Ints | None = None,
    dilations: Ints | None = None, group: int = 1, kernel_shape: Ints | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Our keywords, of an input and a weight of these shapes."""
    rank = len(x) - 2
    if rank not in CONVS or len(weight) != len(x):
        raise ValueError(f"X and W must have 3, 4 or 5 dimensions, got shapes {x} and {weight}")
    kernel = weight[2:]
    if kernel_shape is not None and tuple(kernel_shape) != kernel:
        raise ValueError(f"kernel_shape must be W's {kernel}, got {tuple(kernel_shape)}")
    step, spread = windows.each(strides, rank, "strides"), windows.each(dilations, rank, "dilations")
    padding = windows.sides(auto_pad, pads, x[2:], kernel, step, spread)
    one = rank == 1
    return {
        "stride": step[0] if one else step, "padding": padding[0] if one else padding,
        "dilation": spread[0] if one else spread, "groups": group, "layout": windows.LAYOUTS[rank],
    }  # fmt: skip


def _conv_spec(x: Spec, weight: Spec, bias: Spec | None = None, **attributes: Any) -> Spec:
    settings = _settings(x.shape, weight.shape, **attributes)
    rank = len(x.shape) - 2
    listed = [settings[name] if rank > 1 else (settings[name],) for name in ("stride", "padding", "dilation")]
    sizes = [
        shapes.conv_size(x.shape[2 + i], weight.shape[2 + i], listed[0][i], listed[1][i], listed[2][i])
        for i in range(rank)
    ]  # fmt: skip
    return Spec((x.shape[0], weight.shape[0], *sizes), x.dtype)


def _better_conv(graph: Graph, node: Node) -> str | None:
    x, weight = graph.spec(node.inputs[0]), graph.spec(node.inputs[1])
    if x is None or weight is None or len(x.shape) != 4 or x.dtype.itemsize < 4:
        return None
    return graph.add("conv2d", node.inputs, node.name, **_settings(x.shape, weight.shape, **node.attributes))


@onnx_op("Conv", spec=_conv_spec, simplify=_better_conv)
def conv(
    x: Array, weight: Array, bias: Array | None = None, *, auto_pad: str = "NOTSET", dilations: Ints | None = None,
    group: int = 1, kernel_shape: Ints | None = None, pads: Ints | None = None, strides: Ints | None = None,
) -> Array:  # fmt: skip
    settings = _settings(x.shape, weight.shape, auto_pad, pads, strides, dilations, group, kernel_shape)
    return CONVS[x.ndim - 2](x, weight, bias, **settings)


def _transposed(
    x: windows.Ints, weight: windows.Ints, auto_pad: str = "NOTSET", pads: Ints | None = None,
    strides: Ints | None = None, dilations: Ints | None = None, group: int = 1, kernel_shape: Ints | None = None,
    output_padding: Ints | None = None, output_shape: Ints | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Our keywords, of an input and a weight of these shapes."""
    rank = len(x) - 2
    if rank != 2 or len(weight) != 4:
        raise ValueError(f"X and W must have 4 dimensions, got shapes {x} and {weight}")
    kernel = weight[2:]
    step, spread = windows.each(strides, rank, "strides"), windows.each(dilations, rank, "dilations")
    extra = windows.each(output_padding, rank, "output_padding", 0)
    padding = windows.sides("NOTSET" if auto_pad.startswith("SAME") else auto_pad, pads, x[2:], kernel, step, spread)
    if output_shape is not None or auto_pad.startswith("SAME"):
        wanted = output_shape or [size * s for size, s in zip(x[2:], step, strict=True)]
        cut = [
            (x[2 + i] - 1) * step[i] + extra[i] + (kernel[i] - 1) * spread[i] + 1 - int(wanted[-rank + i])
            for i in range(rank)
        ]
        extra = tuple(e - min(0, c) for e, c in zip(extra, cut, strict=True))
        half = [(max(0, c) // 2, max(0, c) - max(0, c) // 2) for c in cut]
        padding = tuple(pair if auto_pad != "SAME_LOWER" else pair[::-1] for pair in half)
    return {"stride": step, "padding": padding, "output_padding": extra, "dilation": spread, "groups": group}


def _transposed_spec(x: Spec, weight: Spec, bias: Spec | None = None, **attributes: Any) -> Spec:
    settings = _transposed(x.shape, weight.shape, **attributes)
    sizes = [
        shapes.conv_transpose_size(
            x.shape[2 + i], weight.shape[2 + i], settings["stride"][i], settings["padding"][i],
            settings["output_padding"][i], settings["dilation"][i],
        )
        for i in range(2)
    ]  # fmt: skip
    return Spec((x.shape[0], weight.shape[1] * settings["groups"], *sizes), x.dtype)


def _better_transposed(graph: Graph, node: Node) -> str | None:
    x, weight = graph.spec(node.inputs[0]), graph.spec(node.inputs[1])
    if x is None or weight is None or len(x.shape) != 4 or x.dtype.itemsize < 4:
        return None
    settings = _transposed(x.shape, weight.shape, **node.attributes)
    return graph.add("conv_transpose2d", node.inputs, node.name, **settings, layout="NCHW")


@onnx_op("ConvTranspose", spec=_transposed_spec, simplify=_better_transposed)
def conv_transpose(
    x: Array, weight: Array, bias: Array | None = None, *, auto_pad: str = "NOTSET", dilations: Ints | None = None,
    group: int = 1, kernel_shape: Ints | None = None, output_padding: Ints | None = None,
    output_shape: Ints | None = None, pads: Ints | None = None, strides: Ints | None = None,
) -> Array:  # fmt: skip
    settings = _transposed(
        x.shape, weight.shape, auto_pad, pads, strides, dilations, group, kernel_shape, output_padding, output_shape
    )
    return conv_transpose2d(x, weight, bias, **settings, layout="NCHW")
