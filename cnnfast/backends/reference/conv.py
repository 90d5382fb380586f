"""Convolution (that is, cross-correlation) by its definition. Letters: N H W C input, K R S weights, P Q output."""

from typing import Any

import numpy as np

from .activations import NO_ACTIVATION, Activation, activate
from .layout import Array, Pair, Sides, exact, from_nhwc, to_hwio, to_nhwc

PAD_MODES: dict[str, Any] = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""NumPy's names of the padding modes."""


def conv2d(
    x: Array, weight: Array, bias: Array | None = None, residual: Array | None = None, *,
    stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)), dilation: Pair = (1, 1), groups: int = 1,
    layout: str = "NHWC", padding_mode: str = "zeros", activation: Activation = NO_ACTIVATION,
) -> Array:  # fmt: skip
    """y[n,p,q,k] = activation(bias[k] + residual[n,p,q,k] + the sum over r, s, c of x[n,h,w,c] * weight[r,s,c,k]).

    Here h = p*stride + r*dilation and w = q*stride + s*dilation, in the padded x. Group g of `groups` reads channels
    [g*C/groups, (g+1)*C/groups) and writes filters [g*K/groups, (g+1)*K/groups).
    """
    x, weight = pad(to_nhwc(x, layout), padding, padding_mode), to_hwio(weight, layout)
    R, S, group_channels, K = weight.shape
    group_filters = K // groups
    P, Q = _output_size(x, (R, S), stride, dilation)
    y = np.zeros((x.shape[0], P, Q, K), x.dtype)
    with np.errstate(all="ignore"):
        for g in range(groups):
            channels = slice(g * group_channels, (g + 1) * group_channels)
            filters = slice(g * group_filters, (g + 1) * group_filters)
            for r in range(R):
                for s in range(S):
                    taps = pixels_at(x, r, s, (P, Q), stride, dilation)
                    y[..., filters] += taps[..., channels] @ weight[r, s, :, filters]
    return _finish(y, bias, residual, layout, activation)


def depthwise_conv2d(
    x: Array, weight: Array, bias: Array | None = None, residual: Array | None = None, *,
    stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)), dilation: Pair = (1, 1),
    layout: str = "NHWC", padding_mode: str = "zeros", activation: Activation = NO_ACTIVATION,
) -> Array:  # fmt: skip
    """Each channel c alone gives `multiplier` outputs c*multiplier + m.

    The weight is (R, S, C, multiplier) in NHWC and (C*multiplier, 1, R, S) in NCHW.
    """
    x, weight = pad(to_nhwc(x, layout), padding, padding_mode), exact(weight)
    N, C = x.shape[0], x.shape[-1]
    if layout == "NCHW":
        weight = np.transpose(weight.reshape(C, -1, *weight.shape[2:]), (2, 3, 0, 1))
    R, S, _, multiplier = weight.shape
    P, Q = _output_size(x, (R, S), stride, dilation)
    y = np.zeros((N, P, Q, C, multiplier), x.dtype)
    with np.errstate(all="ignore"):
        for r in range(R):
            for s in range(S):
                y += pixels_at(x, r, s, (P, Q), stride, dilation)[..., np.newaxis] * weight[r, s]
    return _finish(y.reshape(N, P, Q, C * multiplier), bias, residual, layout, activation)


def separable_conv2d(
    x: Array, depthwise_weight: Array, pointwise_weight: Array, bias: Array | None = None,
    depthwise_bias: Array | None = None, residual: Array | None = None, *,
    stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)), dilation: Pair = (1, 1),
    layout: str = "NHWC", padding_mode: str = "zeros",
    depthwise_activation: Activation = NO_ACTIVATION, activation: Activation = NO_ACTIVATION,
) -> Array:  # fmt: skip
    """depthwise_conv2d, then the 1x1 conv2d that mixes its channels."""
    middle = depthwise_conv2d(
        x, depthwise_weight, depthwise_bias, stride=stride, padding=padding, dilation=dilation,
        layout=layout, padding_mode=padding_mode, activation=depthwise_activation,
    )  # fmt: skip
    return conv2d(middle, pointwise_weight, bias, residual, layout=layout, activation=activation)


def inverted_residual2d(
    x: Array, expand_weight: Array, depthwise_weight: Array, project_weight: Array, bias: Array | None = None,
    expand_bias: Array | None = None, depthwise_bias: Array | None = None, residual: Array | None = None, *,
    stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)), dilation: Pair = (1, 1),
    layout: str = "NHWC", padding_mode: str = "zeros", expand_activation: Activation = NO_ACTIVATION,
    depthwise_activation: Activation = NO_ACTIVATION, activation: Activation = NO_ACTIVATION,
) -> Array:  # fmt: skip
    """A 1x1 conv2d, then separable_conv2d."""
    expanded = conv2d(x, expand_weight, expand_bias, layout=layout, activation=expand_activation)
    return separable_conv2d(
        expanded, depthwise_weight, project_weight, bias, depthwise_bias, residual, stride=stride, padding=padding,
        dilation=dilation, layout=layout, padding_mode=padding_mode, depthwise_activation=depthwise_activation,
        activation=activation,
    )  # fmt: skip


def conv_transpose2d(
    x: Array, weight: Array, bias: Array | None = None, residual: Array | None = None, *,
    stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)), output_padding: Pair = (0, 0), dilation: Pair = (1, 1),
    groups: int = 1, layout: str = "NHWC", activation: Activation = NO_ACTIVATION,
) -> Array:  # fmt: skip
    """Each x[n,h,w], times the weight, is added to the outputs at h*stride + r*dilation; then `padding` is cropped.

    `output_padding` adds rows below and columns at the right before the crop.
    """
    x, weight = to_nhwc(x, layout), to_hwio(weight, layout)
    N, H, W, C = x.shape
    R, S, group_filters, _ = weight.shape
    group_channels = C // groups
    height = (H - 1) * stride[0] + (R - 1) * dilation[0] + 1 + output_padding[0]
    width = (W - 1) * stride[1] + (S - 1) * dilation[1] + 1 + output_padding[1]
    full = np.zeros((N, height, width, group_filters * groups), x.dtype)
    with np.errstate(all="ignore"):
        for g in range(groups):
            channels = slice(g * group_channels, (g + 1) * group_channels)
            filters = slice(g * group_filters, (g + 1) * group_filters)
            for r in range(R):
                for s in range(S):
                    targets = pixels_at(full, r, s, (H, W), stride, dilation)[..., filters]
                    targets += x[..., channels] @ weight[r, s, :, channels].T
    (top, bottom), (left, right) = padding
    y = full[:, top : height - bottom, left : width - right]
    return _finish(y, bias, residual, layout, activation)


def pad(x: Array, padding: Sides, mode: str) -> Array:
    """x with `padding` around each image."""
    return np.pad(x, ((0, 0), *padding, (0, 0)), mode=PAD_MODES[mode])


def _output_size(x: Array, kernel: Pair, stride: Pair, dilation: Pair) -> Pair:
    P, Q = ((x.shape[1 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2))
    return P, Q


def pixels_at(x: Array, r: int, s: int, count: Pair, stride: Pair, dilation: Pair) -> Array:
    """View of the count[0] x count[1] pixels that tap (r, s) of the kernel meets."""
    rows = slice(r * dilation[0], r * dilation[0] + (count[0] - 1) * stride[0] + 1, stride[0])
    columns = slice(s * dilation[1], s * dilation[1] + (count[1] - 1) * stride[1] + 1, stride[1])
    return x[:, rows, columns]


def _finish(y: Array, bias: Array | None, residual: Array | None, layout: str, activation: Activation) -> Array:
    with np.errstate(all="ignore"):
        if bias is not None:
            y = y + exact(bias)
        if residual is not None:
            y = y + to_nhwc(residual, layout)
    return from_nhwc(activate(y, activation), layout)
