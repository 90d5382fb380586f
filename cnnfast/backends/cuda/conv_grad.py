"""Gradients of convolutions and of linear on a device, under the names they have in the oracle's."""

import math
from functools import lru_cache
from typing import Any

from . import conv, linear
from .arrays import DeviceArray, empty
from .conv import LAST
from .kernel import Plan, Row, planned
from .kernels import channel_sums, grad_input, grad_weight
from .kernels.channel_sums import Sums
from .problem import Conv, Pair, settled
from .run import run

Sides = tuple[Pair, Pair]
INPUT_ROWS: tuple[Row, ...] = (grad_input.ROW,)
"""Of the gradient with respect to the input, and of conv_transpose2d; a problem is the forward convolution's."""
WEIGHT_ROWS: tuple[Row, ...] = (grad_weight.ROW,)
"""Of the gradient with respect to the weight; likewise."""
BIAS_ROWS: tuple[Row, ...] = (channel_sums.ROW,)
_KEPT = (0, 1, 2, 3)


@lru_cache(maxsize=1024)
def input_plan(problem: Conv, algorithm: str | None = None) -> Plan:
    """The launches of the gradient with respect to x of the convolution `problem`."""
    return planned(INPUT_ROWS, problem, algorithm)


@lru_cache(maxsize=1024)
def weight_plan(problem: Conv, algorithm: str | None = None) -> Plan:
    """The launches of the gradient with respect to weight of the convolution `problem`."""
    return planned(WEIGHT_ROWS, problem, algorithm)


@lru_cache(maxsize=1024)
def bias_plan(problem: Sums, algorithm: str | None = None) -> Plan:
    """The launches of the sums over all pixels."""
    return planned(BIAS_ROWS, problem, algorithm)


def forward(
    x: DeviceArray, weight: DeviceArray, y: DeviceArray, layout: str, options: tuple[Pair, Sides, Pair, int, str],
    precision: str = "default",
) -> Conv:  # fmt: skip
    """The convolution of x by weight to y; options: stride, padding, dilation, groups and padding mode."""
    axes, weight_axes = (LAST, (2, 3, 1, 0)) if layout == "NCHW" else (_KEPT, _KEPT)
    N, H, W, C = (x.shape[i] for i in axes)
    _, P, Q, K = (y.shape[i] for i in axes)
    R, S = (weight.shape[i] for i in weight_axes[:2])
    stride, padding, dilation, groups, mode = options

    def strides(array: DeviceArray, order: tuple[int, ...]) -> Any:
        return settled(tuple(array.shape[i] for i in order), tuple(array.strides[i] for i in order))

    aligned = all(array.address % 16 == 0 for array in (x, weight, y))
    return Conv(
        N, H, W, C, K, R, S, P, Q, stride, padding, dilation, groups, x.dtype, precision, strides(x, axes),
        strides(weight, weight_axes), strides(y, axes), mode, aligned=aligned,
    )  # fmt: skip


def images(like: DeviceArray, shape: tuple[int, ...], layout: str) -> DeviceArray:
    """A new array of `shape`, which lies as `like` does: torch's channels_last stays so."""
    channels_last = layout == "NCHW" and like.strides[1] == 1 and like.shape[1] > 1
    return empty(like, shape, order=LAST if channels_last else None)


def conv2d_input(
    grad_output: DeviceArray, weight: DeviceArray, *, input_shape: tuple[int, ...], stride: Pair = (1, 1),
    padding: Sides = ((0, 0), (0, 0)), dilation: Pair = (1, 1), groups: int = 1, layout: str = "NHWC",
    padding_mode: str = "zeros", algorithm: str | None = None, precision: str = "default",
    out: DeviceArray | None = None,
) -> DeviceArray:  # fmt: skip
    """The reference's, on a device; `out` is written to where it is given."""
    x = out or images(grad_output, input_shape, layout)
    options = stride, padding, dilation, groups, padding_mode
    problem = forward(x, weight, grad_output, layout, options, precision)
    run(input_plan(problem, algorithm), {"x": x, "weight": weight, "y": grad_output}, grad_output)
    return x


def conv2d_weight(
    grad_output: DeviceArray, x: DeviceArray, *, kernel_size: Pair, stride: Pair = (1, 1),
    padding: Sides = ((0, 0), (0, 0)), dilation: Pair = (1, 1), groups: int = 1, layout: str = "NHWC",
    padding_mode: str = "zeros", algorithm: str | None = None, precision: str = "default",
    out: DeviceArray | None = None,
) -> DeviceArray:  # fmt: skip
    """The reference's, on a device; `out` is written to where it is given."""
    first = layout == "NCHW"
    C, K = (array.shape[1 if first else 3] for array in (x, grad_output))
    weight = out or empty(x, (K, C // groups, *kernel_size) if first else (*kernel_size, C // groups, K))
    options = stride, padding, dilation, groups, padding_mode
    problem = forward(x, weight, grad_output, layout, options, precision)
    run(weight_plan(problem, algorithm), {"x": x, "weight": weight, "y": grad_output}, grad_output)
    return weight


def conv_transpose2d(
    x: DeviceArray, weight: DeviceArray, bias: DeviceArray | None = None, residual: DeviceArray | None = None, *,
    stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)), output_padding: Pair = (0, 0), dilation: Pair = (1, 1),
    groups: int = 1, layout: str = "NHWC", activation: tuple[str | None, float] = (None, 0.0),
    algorithm: str | None = None, precision: str = "default", out: DeviceArray | None = None,
) -> DeviceArray:  # fmt: skip
    """The reference's, on a device: the gradient of the convolution that the same weight makes of y."""
    first = layout == "NCHW"
    (H, W), kernel = (x.shape[2:], weight.shape[2:]) if first else (x.shape[1:3], weight.shape[:2])
    P, Q = (
        (size - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 + output_padding[i] - sum(padding[i])
        for i, size in enumerate((H, W))
    )
    K = weight.shape[1 if first else 2] * groups
    y = out or images(x, (x.shape[0], K, P, Q) if first else (x.shape[0], P, Q, K), layout)
    problem = forward(y, weight, x, layout, (stride, padding, dilation, groups, "zeros"), precision)
    problem = problem._replace(
        activation=activation, has_bias=bias is not None, has_residual=residual is not None,
        aligned=problem.aligned and (residual is None or residual.address % 16 == 0),
    )  # fmt: skip
    given = {"y": x, "weight": weight, "x": y}
    given |= {name: array for name, array in (("bias", bias), ("residual", residual)) if array is not None}
    run(input_plan(problem, algorithm), given, x)
    return y


def conv_transpose2d_input(
    grad_output: DeviceArray, weight: DeviceArray, *, stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)),
    output_padding: Pair = (0, 0), dilation: Pair = (1, 1), groups: int = 1, layout: str = "NHWC",
    precision: str = "default",
) -> DeviceArray:  # fmt: skip
    """The reference's, on a device: a convolution, which reads nothing of what output_padding added."""
    (top, bottom), (left, right) = padding
    sides = (top, bottom - output_padding[0]), (left, right - output_padding[1])
    return conv.conv2d(
        grad_output, weight, stride=stride, padding=sides, dilation=dilation, groups=groups, layout=layout,
        padding_mode="zeros", activation=(None, 0.0), precision=precision,
    )  # fmt: skip


def conv_transpose2d_weight(
    grad_output: DeviceArray, x: DeviceArray, *, kernel_size: Pair, stride: Pair = (1, 1),
    padding: Sides = ((0, 0), (0, 0)), output_padding: Pair = (0, 0), dilation: Pair = (1, 1), groups: int = 1,
    layout: str = "NHWC", precision: str = "default",
) -> DeviceArray:  # fmt: skip
    """The reference's, on a device: conv2d_weight of the convolution that the same weight makes of y."""
    return conv2d_weight(
        x, grad_output, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, groups=groups,
        layout=layout, precision=precision,
    )  # fmt: skip


def lifted(array: DeviceArray, axis: int) -> DeviceArray:
    """The array with an axis of size 1 more."""
    shape, strides = array.shape, array.strides
    return array._replace(shape=(*shape[:axis], 1, *shape[axis:]), strides=(*strides[:axis], 0, *strides[axis:]))


def conv1d_input(
    grad_output: DeviceArray, weight: DeviceArray, *, input_shape: tuple[int, ...], stride: int = 1,
    padding: Pair = (0, 0), dilation: int = 1, groups: int = 1, layout: str = "NLC", padding_mode: str = "zeros",
    precision: str = "default",
) -> DeviceArray:  # fmt: skip
    """The reference's, on a device: conv2d_input of height 1."""
    axis, image = (1, "NHWC") if layout == "NLC" else (2, "NCHW")
    found = empty(grad_output, input_shape)
    x = lifted(found, axis)
    conv2d_input(
        lifted(grad_output, axis), lifted(weight, 0 if layout == "NLC" else 2), input_shape=x.shape, stride=(1, stride),
        padding=((0, 0), padding), dilation=(1, dilation), groups=groups, layout=image, padding_mode=padding_mode,
        precision=precision, out=x,
    )  # fmt: skip
    return found


def conv1d_weight(
    grad_output: DeviceArray, x: DeviceArray, *, kernel_size: int, stride: int = 1, padding: Pair = (0, 0),
    dilation: int = 1, groups: int = 1, layout: str = "NLC", padding_mode: str = "zeros", precision: str = "default",
) -> DeviceArray:  # fmt: skip
    """The reference's, on a device: conv2d_weight of height 1."""
    axis, image = (1, "NHWC") if layout == "NLC" else (2, "NCHW")
    C, K = (array.shape[2 if layout == "NLC" else 1] for array in (x, grad_output))
    found = empty(x, (kernel_size, C // groups, K) if layout == "NLC" else (K, C // groups, kernel_size))
    conv2d_weight(
        lifted(grad_output, axis), lifted(x, axis), kernel_size=(1, kernel_size), stride=(1, stride),
        padding=((0, 0), padding), dilation=(1, dilation), groups=groups, layout=image, padding_mode=padding_mode,
        precision=precision, out=lifted(found, 0 if layout == "NLC" else 2),
    )  # fmt: skip
    return found


def linear_input(grad_output: DeviceArray, weight: DeviceArray) -> DeviceArray:
    """The reference's, on a device."""
    across = weight._replace(shape=weight.shape[::-1], strides=weight.strides[::-1])
    return linear.linear(grad_output, across, activation=(None, 0.0))


def linear_weight(grad_output: DeviceArray, x: DeviceArray) -> DeviceArray:
    """The reference's, on a device."""
    K, C = grad_output.shape[-1], x.shape[-1]
    weight = empty(x, (K, C))
    problem = linear.problem_of(x, weight, grad_output, "default")
    run(weight_plan(problem), {"x": x, "weight": weight, "y": grad_output}, x)
    return weight


def bias(grad_output: DeviceArray, *, layout: str = "NHWC") -> DeviceArray:
    """The reference's, on a device; of an array of any rank, whose rows are equally far apart where it has no image."""
    y = grad_output
    if len(y.shape) == 4:
        axes = _KEPT if layout == "NHWC" else LAST
        sizes: Any = tuple(y.shape[i] for i in axes)
        strides: Any = tuple(y.strides[i] for i in axes)
    elif layout.endswith("C"):
        row = linear.pitch(y)
        sizes = 1, 1, math.prod(y.shape[:-1]), y.shape[-1]
        strides = row * sizes[2], row * sizes[2], row, y.strides[-1]
    else:
        inner = math.prod(y.shape[2:])
        sizes, strides = (y.shape[0], 1, inner, y.shape[1]), (y.strides[0], 0, y.strides[-1], y.strides[1])
    N, P, Q, K = sizes
    found = empty(y, (K,))
    run(bias_plan(Sums(N, P, Q, K, y.dtype, strides)), {"y": y, "bias": found}, y)
    return found
