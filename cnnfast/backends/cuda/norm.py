"""Batch normalisation on a device."""

from . import maps
from .arrays import DeviceArray

Activation = tuple[str | None, float]


def batch_norm(
    x: DeviceArray, running_mean: DeviceArray, running_var: DeviceArray, weight: DeviceArray | None = None,
    bias: DeviceArray | None = None, *, eps: float = 1e-5, layout: str = "NHWC",
    activation: Activation = (None, 0.0),
) -> DeviceArray:  # fmt: skip
    """activation((x - mean) / sqrt(var + eps) * weight + bias) of each channel."""
    given = [running_mean, running_var, *(each for each in (weight, bias) if each is not None)]
    axis = len(x.shape) - 1 if layout.endswith("C") else 1
    strides = [None, *(maps.along(each, x.shape, axis) for each in given)]
    key = "batch_norm", eps, weight is not None, bias is not None, *activation
    return maps.apply(key, (x, *given), x.shape, strides)
