"""Convolutions of floats."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.onnx.ops.windows import LAYOUTS, Ints, each, sides
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops import shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import conv2d
from cnnfast.ops.lines import conv1d
from cnnfast.ops.volumes import conv3d

Numbers = Sequence[int] | None
CONVS = {1: conv1d, 2: conv2d, 3: conv3d}


def is_float(x: Spec) -> bool:
    """Whether the engine computes in its dtype."""
    return x.dtype.kind == "f" and x.dtype.itemsize in (4, 8)


def settings_of(
    x: Ints, weight: Ints, auto_pad: str = "NOTSET", pads: Numbers = None, strides: Numbers = None,
    dilations: Numbers = None, group: int = 1, kernel_shape: Numbers = None,
) -> dict[str, Any]:  # fmt: skip
    """Our keywords, of an input and a weight of these shapes."""
    rank = len(x) - 2
    if rank not in CONVS or len(weight) != len(x):
        raise ValueError(f"X and W must have 3, 4 or 5 dimensions, got shapes {x} and {weight}")
    kernel = weight[2:]
    if kernel_shape is not None and tuple(kernel_shape) != kernel:
        raise ValueError(f"kernel_shape must be W's {kernel}, got {tuple(kernel_shape)}")
    step, spread = each(strides, rank, "strides"), each(dilations, rank, "dilations")
    padding = sides(auto_pad, pads, x[2:], kernel, step, spread)
    one = rank == 1
    return {
        "stride": step[0] if one else step, "padding": padding[0] if one else padding,
        "dilation": spread[0] if one else spread, "groups": group, "layout": LAYOUTS[rank],
    }  # fmt: skip


def conv_spec(x: Spec, weight: Spec, bias: Spec | None = None, **attributes: Any) -> Spec:
    """The output of a convolution of these."""
    settings = settings_of(x.shape, weight.shape, **attributes)
    rank = len(x.shape) - 2
    listed = [settings[name] if rank > 1 else (settings[name],) for name in ("stride", "padding", "dilation")]
    sizes = [
        shapes.conv_size(x.shape[2 + i], weight.shape[2 + i], listed[0][i], listed[1][i], listed[2][i])
        for i in range(rank)
    ]  # fmt: skip
    return Spec((x.shape[0], weight.shape[0], *sizes), x.dtype)


def _better_conv(graph: Graph, node: Node) -> str | None:
    x, weight = graph.spec(node.inputs[0]), graph.spec(node.inputs[1])
    if x is None or weight is None or len(x.shape) != 4 or not is_float(x):
        return None
    return graph.add("conv2d", node.inputs, node.name, **settings_of(x.shape, weight.shape, **node.attributes))


@onnx_op("Conv", spec=conv_spec, simplify=_better_conv)
def conv(
    x: Array, weight: Array, bias: Array | None = None, *, auto_pad: str = "NOTSET", dilations: Numbers = None,
    group: int = 1, kernel_shape: Numbers = None, pads: Numbers = None, strides: Numbers = None,
) -> Array:  # fmt: skip
    settings = settings_of(x.shape, weight.shape, auto_pad, pads, strides, dilations, group, kernel_shape)
    return CONVS[x.ndim - 2](x, weight, bias, **settings)


class Transposed(NamedTuple):
    """A transposed convolution: where its taps add up, and the part of that which it gives.

    padding : what is cut off before the part, along each axis
    sizes : of the part; what no tap reaches there is zeros
    """

    strides: Ints
    dilations: Ints
    padding: Ints
    sizes: Ints


def _transposed(
    x: Ints, weight: Ints, *, auto_pad: str = "NOTSET", pads: Numbers = None, strides: Numbers = None,
    dilations: Numbers = None, group: int = 1, kernel_shape: Numbers = None, output_padding: Numbers = None,
    output_shape: Numbers = None,
) -> Transposed:  # fmt: skip
    """Along each axis, of an input and a weight of these shapes."""
    rank = len(x) - 2
    if rank < 1 or len(weight) != len(x):
        raise ValueError(f"X and W must have as many dimensions, 3 or more, got shapes {x} and {weight}")
    if x[1] != weight[0] or group < 1 or x[1] % group:
        raise ValueError(f"W must have X's {x[1]} channels in {group} groups, got shape {weight}")
    step, spread = each(strides, rank, "strides"), each(dilations, rank, "dilations")
    extra = each(output_padding, rank, "output_padding", 0)
    spans = [(x[2 + i] - 1) * step[i] + extra[i] + (weight[2 + i] - 1) * spread[i] + 1 for i in range(rank)]
    if output_shape is None and not auto_pad.startswith("SAME"):
        padding = sides(auto_pad, pads, x[2:], weight[2:], step, spread)
        sizes = tuple(span - sum(pair) for span, pair in zip(spans, padding, strict=True))
        before = tuple(pair[0] for pair in padding)
    else:
        wanted = [x[2 + i] * step[i] for i in range(rank)] if output_shape is None else output_shape
        sizes = each(wanted[-rank:], rank, "output_shape")
        cut = [span - size for span, size in zip(spans, sizes, strict=True)]
        before = tuple(max(0, c) // 2 if auto_pad == "SAME_UPPER" else -(-max(0, c) // 2) for c in cut)
    if min(sizes) < 1:
        raise ValueError(f"the output must have sizes >= 1, got {sizes}")
    return Transposed(step, spread, before, sizes)


def _transposed_spec(x: Spec, weight: Spec, bias: Spec | None = None, **attributes: Any) -> Spec:
    sizes = _transposed(x.shape, weight.shape, **attributes).sizes
    return Spec((x.shape[0], weight.shape[1] * attributes.get("group", 1), *sizes), x.dtype)


def _better_transposed(graph: Graph, node: Node) -> str | None:
    x, weight = graph.spec(node.inputs[0]), graph.spec(node.inputs[1])
    if x is None or weight is None or len(x.shape) != 4 or not is_float(x):
        return None
    t = _transposed(x.shape, weight.shape, **node.attributes)
    padding, extra = [], []
    for i in range(2):
        span = (x.shape[2 + i] - 1) * t.strides[i] + (weight.shape[2 + i] - 1) * t.dilations[i] + 1
        after = span - t.padding[i] - t.sizes[i]
        padding.append((t.padding[i], max(0, after)))
        extra.append(max(0, -after))
        if extra[i] >= max(t.strides[i], t.dilations[i]) or sum(padding[i]) >= span:
            return None
    return graph.add(
        "conv_transpose2d", node.inputs, node.name, stride=t.strides, padding=tuple(padding),
        output_padding=tuple(extra), dilation=t.dilations, groups=node.attributes.get("group", 1), layout="NCHW",
    )  # fmt: skip


@onnx_op("ConvTranspose", spec=_transposed_spec, simplify=_better_transposed)
def conv_transpose(
    x: Array, weight: Array, bias: Array | None = None, *, auto_pad: str = "NOTSET", dilations: Numbers = None,
    group: int = 1, kernel_shape: Numbers = None, output_padding: Numbers = None, output_shape: Numbers = None,
    pads: Numbers = None, strides: Numbers = None,
) -> Array:  # fmt: skip
    t = _transposed(
        x.shape, weight.shape, auto_pad=auto_pad, pads=pads, strides=strides, dilations=dilations, group=group,
        output_padding=output_padding, output_shape=output_shape,
    )  # fmt: skip
    kernel, lines = weight.shape[2:], x.shape[2:]
    filters = weight.shape[1] * group
    reach = [
        max(t.padding[i] + t.sizes[i], (line - 1) * t.strides[i] + (kernel[i] - 1) * t.dilations[i] + 1)
        for i, line in enumerate(lines)
    ]
    y = np.zeros((x.shape[0], filters, *reach), x.dtype)
    rows = x.reshape(x.shape[0], group, -1, math.prod(lines))
    for tap in np.ndindex(*kernel):
        taps = weight[(..., *tap)].reshape(group, -1, weight.shape[1])
        part = np.matmul(taps.transpose(0, 2, 1), rows)
        where = tuple(
            slice(i * spread, i * spread + (line - 1) * step + 1, step)
            for i, spread, line, step in zip(tap, t.dilations, lines, t.strides, strict=True)
        )
        y[:, :, *where] += part.reshape(x.shape[0], filters, *lines)
    y = y[:, :, *(slice(before, before + size) for before, size in zip(t.padding, t.sizes, strict=True))]
    return y if bias is None else y + bias.reshape(-1, *(1,) * len(lines))
