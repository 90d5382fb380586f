"""Depthwise convolutions' gradients on a device, of padding by zeros."""

from functools import lru_cache

from ..arrays import DeviceArray, contiguous_strides, empty
from ..conv import LAST
from ..depthwise import filters
from ..kernel import Plan, choose
from ..kernels import depthwise_gradient
from ..problem import Conv, Pair
from ..run import run

Sides = tuple[Pair, Pair]
NONE: Sides = ((0, 0), (0, 0))


@lru_cache(maxsize=1024)
def input_plan(problem: Conv) -> Plan:
    """The launches of the gradient with respect to the input."""
    return choose(depthwise_gradient.INPUT_ROWS, problem, None).plan(problem, None)


@lru_cache(maxsize=1024)
def weight_plan(problem: Conv) -> Plan:
    """The launches of the gradient with respect to the weight."""
    return choose(depthwise_gradient.WEIGHT_ROWS, problem, None).plan(problem, None)


def _problem(
    x: DeviceArray, weight: DeviceArray, y: DeviceArray, stride: Pair, padding: Sides, dilation: Pair, layout: str,
    padding_mode: str,
) -> Conv:  # fmt: skip
    """conv2d's problem, of which two arrays are given and one is asked for."""
    if padding_mode != "zeros":
        raise ValueError(f'padding_mode "{padding_mode}" has no gradient on a CUDA device; "zeros" has')
    weight = filters(weight, layout)
    first = layout == "NCHW"
    axes, weight_axes = (LAST, (2, 3, 1, 0)) if first else ((0, 1, 2, 3), (0, 1, 2, 3))
    N, H, W, C = (x.shape[i] for i in axes)
    _, P, Q, K = (y.shape[i] for i in axes)
    R, S = (weight.shape[i] for i in weight_axes[:2])
    x_strides, y_strides = (tuple(each.strides[i] for i in axes) for each in (x, y))
    aligned = all(each.address % 16 == 0 for each in (x, weight, y))
    return Conv(
        N, H, W, C, K, R, S, P, Q, stride, padding, dilation, C, x.dtype, "default", x_strides,  # type: ignore[arg-type]
        tuple(weight.strides[i] for i in weight_axes), y_strides, aligned=aligned,  # type: ignore[arg-type]
    )  # fmt: skip


def depthwise_conv2d_input(
    grad_output: DeviceArray, weight: DeviceArray, *, input_shape: tuple[int, int, int, int], stride: Pair = (1, 1),
    padding: Sides = NONE, dilation: Pair = (1, 1), layout: str = "NHWC", padding_mode: str = "zeros",
) -> DeviceArray:  # fmt: skip
    """Each pixel gets, from every output that read it, that output's gradient times the weight between."""
    moved = layout == "NCHW" and grad_output.strides[1] == 1 and grad_output.shape[1] > 1
    result = empty(grad_output, input_shape, order=LAST if moved else None)
    problem = _problem(result, weight, grad_output, stride, padding, dilation, layout, padding_mode)
    run(input_plan(problem), {"grad": grad_output, "weight": weight, "result": result}, grad_output)
    return result


def depthwise_conv2d_weight(
    grad_output: DeviceArray, x: DeviceArray, *, kernel_size: Pair, stride: Pair = (1, 1), padding: Sides = NONE,
    dilation: Pair = (1, 1), layout: str = "NHWC", padding_mode: str = "zeros",
) -> DeviceArray:  # fmt: skip
    """The sum over n, p, q of x times grad_output: (R, S, C, multiplier), or (C * multiplier, 1, R, S) in NCHW."""
    axis = 3 if layout == "NHWC" else 1
    C, K = x.shape[axis], grad_output.shape[axis]
    shape = (*kernel_size, C, K // C) if layout == "NHWC" else (K, 1, *kernel_size)
    result = empty(x, shape)
    told = result._replace(strides=contiguous_strides(shape))
    problem = _problem(x, told, grad_output, stride, padding, dilation, layout, padding_mode)
    run(weight_plan(problem), {"x": x, "grad": grad_output, "result": result}, x)
    return result
