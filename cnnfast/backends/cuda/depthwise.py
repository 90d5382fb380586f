"""Depthwise and separable convolutions on a device: convolutions with a group a channel."""

from typing import Any

from . import conv
from .arrays import DeviceArray


def filters(weight: DeviceArray, layout: str) -> DeviceArray:
    """A depthwise weight as conv2d's: (R, S, C, multiplier) is (R, S, 1, C * multiplier)."""
    if layout == "NCHW":
        return weight
    R, S, C, multiplier = weight.shape
    step = weight.strides[3] if multiplier > 1 else weight.strides[2]
    return weight._replace(shape=(R, S, 1, C * multiplier), strides=(*weight.strides[:2], 0, step))


def depthwise_conv2d(
    x: DeviceArray, weight: DeviceArray, bias: DeviceArray | None = None, residual: DeviceArray | None = None, *,
    layout: str = "NHWC", **options: Any,
) -> DeviceArray:  # fmt: skip
    """conv2d with as many groups as channels; weight (R, S, C, multiplier), or (C * multiplier, 1, R, S) in NCHW."""
    groups = x.shape[3 if layout == "NHWC" else 1]
    return conv.conv2d(x, filters(weight, layout), bias, residual, layout=layout, groups=groups, **options)


def separable_conv2d(
    x: DeviceArray, depthwise_weight: DeviceArray, pointwise_weight: DeviceArray, bias: DeviceArray | None = None,
    depthwise_bias: DeviceArray | None = None, residual: DeviceArray | None = None, *, layout: str = "NHWC",
    activation: Any = (None, 0.0), depthwise_activation: Any = (None, 0.0), precision: str = "default", **options: Any,
) -> DeviceArray:  # fmt: skip
    """depthwise_conv2d, then a 1x1 conv2d."""
    between = depthwise_conv2d(
        x, depthwise_weight, depthwise_bias, layout=layout, activation=depthwise_activation, **options
    )  # fmt: skip
    return conv.conv2d(
        between, pointwise_weight, bias, residual, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1,
        layout=layout, padding_mode="zeros", activation=activation, precision=precision,
    )  # fmt: skip
