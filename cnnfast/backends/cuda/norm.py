"""Batch normalisation on a device."""

from . import maps, sums
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


def batch_norm_train(
    x: DeviceArray, weight: DeviceArray | None = None, bias: DeviceArray | None = None, *, eps: float = 1e-5,
    layout: str = "NHWC", activation: Activation = (None, 0.0),
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:  # fmt: skip
    """(y, mean, var): batch_norm by x's own mean and biased variance.

    Both come of one reading of x: the sums of x - x[0] and of its square, of each channel. So x is read twice and y
    written once, where three readings would follow the definition.
    """
    axis = len(x.shape) - 1 if layout.endswith("C") else 1
    count = 1
    for i, size in enumerate(x.shape):
        count *= size if i != axis else 1
    mean, var = sums.per_channel(("moments",), ("statistics", count), x, axis, (x, None))
    y = batch_norm(x, mean, var, weight, bias, eps=eps, layout=layout, activation=activation)
    return y, mean, var
