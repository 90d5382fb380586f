"""Batch normalisation's gradient on a device: one reading of grad_output and x for the two sums, one for grad_input."""

from .. import maps, sums
from ..arrays import DeviceArray

Activation = tuple[str | None, float]


def batch_norm(
    grad_output: DeviceArray, x: DeviceArray, mean: DeviceArray, var: DeviceArray, weight: DeviceArray | None = None,
    bias: DeviceArray | None = None, *, eps: float = 1e-5, training: bool, layout: str = "NHWC",
    activation: Activation = (None, 0.0),
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:  # fmt: skip
    """(grad_input, grad_weight, grad_bias) of y = activation((x - mean) / sqrt(var + eps) * weight + bias)."""
    axis = len(x.shape) - 1 if layout.endswith("C") else 1
    count = 1
    for i, size in enumerate(x.shape):
        count *= size if i != axis else 1
    given = [mean, var, *(each for each in (weight, bias) if each is not None)]
    more = eps, weight is not None, bias is not None, activation[0]
    key = ("sums", *(("batch_norm_gradient", which, *more, False, 1) for which in ("weight", "bias")))
    grad_weight, grad_bias = sums.per_channel(key, ("plain", 1), x, axis, (grad_output, x, *given))
    last = [grad_weight, grad_bias] if training else []
    operands = (grad_output, x, *given, *last)
    strides = [None, None, *(maps.along(each, x.shape, axis) for each in (*given, *last))]
    whole = "batch_norm_gradient", "input", *more, training, count if training else 1
    return maps.apply(whole, operands, x.shape, strides), grad_weight, grad_bias
