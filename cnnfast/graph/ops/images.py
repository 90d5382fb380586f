"""Ops on pictures: convolutions, pools, normalisation, padding, resizing. They are `cnnfast.ops`' own."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from cnnfast.graph.ir import Node, Spec
from cnnfast.graph.table import Given, Planner, Ready, op, same
from cnnfast.ops import checks, options, shapes
from cnnfast.ops.adaptive import adaptive_avg_pool2d, adaptive_max_pool2d
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Sides
from cnnfast.ops.conv import conv2d, depthwise_conv2d, plan_conv2d, plan_depthwise_conv2d
from cnnfast.ops.conv_transpose import conv_transpose2d, plan_conv_transpose2d
from cnnfast.ops.norm import batch_norm, local_response_norm
from cnnfast.ops.pool import avg_pool2d, max_pool2d, min_pool2d
from cnnfast.ops.pool_plan import plan_adaptive_pool2d, plan_pool2d
from cnnfast.ops.resize import pad2d, upsample2d
from cnnfast.ops.separable import plan_separable_conv2d, separable_conv2d
from cnnfast.ops.signatures import SUMS

FLOAT32 = np.dtype(np.float32)


def _images(N: int, P: int, Q: int, C: int, layout: str, dtype: np.dtype[Any]) -> Spec:
    return Spec(shapes.join(N, P, Q, C, layout), dtype)


def _taps(weight: Spec, layout: str) -> tuple[tuple[int, int], int]:
    """The kernel's size and how many filters a convolution's weight has."""
    if len(weight.shape) != 4:
        raise ValueError(f"weight must have 4 dimensions, got shape {weight.shape}")
    return (weight.shape[:2], weight.shape[3]) if layout == "NHWC" else (weight.shape[2:], weight.shape[0])


def _conv_spec(
    x: Spec, weight: Spec, bias: Spec | None = None, residual: Spec | None = None, *, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, layout: Any = "NHWC", depthwise: bool = False, **rest: Any,
) -> Spec:  # fmt: skip
    order = options.layouts(layout)
    N, H, W, C = shapes.split(x.shape, order.x)
    (R, S), filters = _taps(weight, order.weight)
    if depthwise and order.weight == "NHWC":
        filters *= C
    step, spread = checks.pair("stride", stride, 1), checks.pair("dilation", dilation, 1)
    sides = shapes.resolve(checks.sides("padding", padding), (H, W), (R, S), step, spread)
    P = shapes.conv_size(H, R, step[0], sides[0], spread[0], axis="height")
    Q = shapes.conv_size(W, S, step[1], sides[1], spread[1], axis="width")
    return _images(N, P, Q, filters, order.y, SUMS.get(x.dtype, x.dtype))


def _transpose_spec(
    x: Spec, weight: Spec, bias: Spec | None = None, residual: Spec | None = None, *, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, dilation: Any = 1, groups: int = 1, layout: Any = "NHWC", **rest: Any,
) -> Spec:  # fmt: skip
    order = options.layouts(layout)
    N, H, W, _ = shapes.split(x.shape, order.x)
    if order.weight == "NHWC":
        (R, S), filters = weight.shape[:2], weight.shape[2] * groups
    else:
        (R, S), filters = weight.shape[2:], weight.shape[1] * groups
    step, spread = checks.pair("stride", stride, 1), checks.pair("dilation", dilation, 1)
    extra, sides = list(checks.pair("output_padding", output_padding, 0)), checks.sides("padding", padding)
    if isinstance(sides, str):
        (across, extra[0]), (down, extra[1]) = (
            shapes.transpose_same_padding(k, s, d) for k, s, d in zip((R, S), step, spread, strict=True)
        )
        sides = across, down
    P = shapes.conv_transpose_size(H, R, step[0], sides[0], extra[0], spread[0])
    Q = shapes.conv_transpose_size(W, S, step[1], sides[1], extra[1], spread[1])
    return _images(N, P, Q, filters, order.y, x.dtype)


def _pool_spec(
    x: Spec, *, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    layout: str = "NHWC", return_indices: bool = False, **rest: Any,
) -> Any:  # fmt: skip
    N, H, W, C = shapes.split(x.shape, layout)
    kernel, spread = checks.pair("kernel_size", kernel_size, 1), checks.pair("dilation", dilation, 1)
    step = kernel if stride is None else checks.pair("stride", stride, 1)
    sides = shapes.resolve(checks.sides("padding", padding), (H, W), kernel, step, spread)
    P, Q = (
        shapes.pool_size(size, kernel[i], step[i], sides[i], spread[i], ceil_mode, shapes.AXES[i])
        for i, size in enumerate((H, W))
    )
    y = _images(N, P, Q, C, layout, x.dtype)
    return [y, Spec(y.shape, np.dtype(np.int64))] if return_indices else y


def _adaptive_spec(x: Spec, *, output_size: Any, layout: str = "NHWC", **rest: Any) -> Spec:
    N, _, _, C = shapes.split(x.shape, layout)
    return _images(N, *checks.pair("output_size", output_size, 1), C, layout, x.dtype)


def _pad_spec(x: Spec, *, padding: Sides, layout: str = "NHWC", **rest: Any) -> Spec:
    N, H, W, C = shapes.split(x.shape, layout)
    return _images(N, H + sum(padding[0]), W + sum(padding[1]), C, layout, x.dtype)


def _upsample_spec(x: Spec, *, scale_factor: Any = 2, layout: str = "NHWC", **rest: Any) -> Spec:
    N, H, W, C = shapes.split(x.shape, layout)
    scale = checks.pair("scale_factor", scale_factor, 1)
    return _images(N, H * scale[0], W * scale[1], C, layout, x.dtype)


def _planned(make: Callable[..., Any], weights: int = 1) -> Planner:
    """The planner of a convolution whose first `weights` inputs after x must be constants, as its bias must."""

    def plan(node: Node, inputs: Sequence[Given | None]) -> Ready | None:
        x, *rest = inputs
        fixed = [rest[i] if i < len(rest) else None for i in range(weights + 1)]
        assert x is not None
        if x.spec.dtype != FLOAT32 or any(each is not None and each.array is None for each in fixed):
            return None
        weight, layout = _as_it_lies(node.op, fixed[0], node.attributes.get("layout", "NHWC"))
        rest_of_them = (None if each is None else each.array for each in fixed[1:])
        made = make(x.spec.shape, weight, *rest_of_them, **{**node.attributes, "layout": layout})
        last = 2 + weights
        return Ready(made, (0, last) if len(inputs) > last and inputs[last] is not None else (0,))

    return plan


FILTERS_FIRST = {"conv2d": (3, 2, 0, 1), "conv_transpose2d": (3, 2, 0, 1), "depthwise_conv2d": (2, 3, 0, 1)}


def _as_it_lies(op: str, weight: Given | None, layout: Any) -> tuple[Any, Any]:
    """A convolution's weight without a copy, and the layout to tell: filters last may be a view of filters first."""
    assert weight is not None
    assert weight.array is not None
    order = options.layouts(layout)
    if order.weight != "NHWC" or op not in FILTERS_FIRST or weight.array.flags.c_contiguous:
        return weight.array, layout
    first = weight.array.transpose(FILTERS_FIRST[op])
    if not first.flags.c_contiguous:
        return weight.array, layout
    if op == "depthwise_conv2d":  # (C, multiplier, R, S)
        first = first.reshape(-1, 1, *first.shape[2:])
    return first, options.Layouts(order.x, "NCHW", order.y)


def _planned_pool(node: Node, inputs: Sequence[Given | None]) -> Ready | None:
    x, settings = inputs[0], dict(node.attributes)
    assert x is not None
    if x.spec.dtype != FLOAT32 or settings.pop("return_indices", False):
        return None
    return Ready(plan_pool2d(node.op, x.spec.shape, **settings))  # type: ignore[arg-type]


def _planned_adaptive(node: Node, inputs: Sequence[Given | None]) -> Ready | None:
    x = inputs[0]
    assert x is not None
    if x.spec.dtype != FLOAT32 or node.attributes.get("layout", "NHWC") != "NHWC":
        return None
    size = checks.pair("output_size", node.attributes["output_size"], 1)
    return Ready(plan_adaptive_pool2d(node.op, x.spec.shape, size))  # type: ignore[arg-type]


def _by_place(conv: Callable[..., Array]) -> Callable[..., Array]:
    """A convolution whose residual is its fourth input."""

    def run(
        x: Array, weight: Array, bias: Array | None = None, residual: Array | None = None, **attributes: Any
    ) -> Array:
        return conv(x, weight, bias, residual=residual, **attributes)

    return run


for _conv, _spec, _plan in (
    (conv2d, _conv_spec, plan_conv2d),
    (depthwise_conv2d, partial(_conv_spec, depthwise=True), plan_depthwise_conv2d),
    (conv_transpose2d, _transpose_spec, plan_conv_transpose2d),
):
    op(_conv.__name__, spec=_spec, into=True, plan=_planned(_plan))(_by_place(_conv))


def _separable_spec(
    x: Spec, depthwise_weight: Spec, pointwise_weight: Spec, bias: Spec | None = None, **rest: Any
) -> Spec:
    between = _conv_spec(x, depthwise_weight, depthwise=True, **rest)
    return _conv_spec(between, pointwise_weight, layout=rest.get("layout", "NHWC"))


op("separable_conv2d", spec=_separable_spec, into=True, plan=_planned(plan_separable_conv2d, 2))(separable_conv2d)
for _pool in (max_pool2d, min_pool2d, avg_pool2d):
    op(_pool.__name__, spec=_pool_spec, into=True, plan=_planned_pool)(_pool)
for _adaptive in (adaptive_avg_pool2d, adaptive_max_pool2d):
    op(_adaptive.__name__, spec=_adaptive_spec, into=True, plan=_planned_adaptive)(_adaptive)
op("pad2d", spec=_pad_spec, into=True)(pad2d)
op("upsample2d", spec=_upsample_spec, into=True)(upsample2d)
op("batch_norm", spec=same, into=True)(batch_norm)
op("local_response_norm", spec=same, into=True)(local_response_norm)
