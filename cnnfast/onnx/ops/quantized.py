"""Integers that stand for floats: x = (q - zero_point) * scale. Sums of products are exact."""

from typing import Any

import numpy as np

from cnnfast.graph.ir import Spec
from cnnfast.onnx.ops.conv import CONVS, Numbers, conv_spec, settings_of
from cnnfast.onnx.ops.dense import matmul_shape
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array

INTEGERS = {2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32}
"""The element types that a tensor is quantized to, by ONNX's numbers."""
FLOATS: dict[int, Any] = {0: None, 1: np.float32, 10: np.float32, 11: np.float64, 16: np.float32}


def _check_output(attributes: dict[str, Any]) -> None:
    for name in ("output_dtype", "precision"):
        kind = attributes.get(name, 0)
        if kind and kind not in INTEGERS and kind not in FLOATS:
            raise ValueError(f"{name} must be an integer or a float of 8 or 16 bits or more, got element type {kind}")


def _along(values: Array, x: Array, axis: int, block_size: int = 0) -> Array:
    """Scales or zero points as x is shaped: one for all, one for each index along an axis, or for each block of it."""
    if values.size == 1:
        return values.reshape(())
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis must be of {x.ndim} dimensions, got {axis}")
    at = axis % x.ndim
    if block_size:
        repeated = np.repeat(values, block_size, axis=at)
        return repeated[tuple(slice(size) for size in x.shape)]
    if values.shape != (x.shape[at],):
        raise ValueError(f"scales and zero points must have shape ({x.shape[at]},), got {values.shape}")
    return values.reshape(-1, *(1,) * (x.ndim - 1 - at))


def _saturated(y: Array, dtype: Any) -> Array:
    """Rounded half to even, and cut off where dtype ends."""
    limits = np.iinfo(dtype)
    return np.clip(np.rint(y), limits.min, limits.max).astype(dtype)


def _quantized(x: Spec, scale: Spec, zero: Spec | None = None, *, output_dtype: int = 0, **rest: Any) -> Spec:
    return Spec(x.shape, zero.dtype if zero is not None else np.dtype(INTEGERS[output_dtype or 2]))


@onnx_op("QuantizeLinear", spec=_quantized, check=_check_output)
def quantize_linear(
    x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1, block_size: int = 0, output_dtype: int = 0,
    precision: int = 0, saturate: int = 1,
) -> Array:  # fmt: skip
    kind = FLOATS[precision] or (scale.dtype if x.dtype.kind == "f" else np.float64)
    scaled = x.astype(kind) / _along(scale, x, axis, block_size).astype(kind)
    dtype = zero.dtype if zero is not None else INTEGERS[output_dtype or 2]
    rounded = np.rint(scaled).astype(np.float64)
    return _saturated(rounded if zero is None else rounded + _along(zero, x, axis, block_size), dtype)


def _dequantized(x: Spec, scale: Spec, zero: Spec | None = None, *, output_dtype: int = 0, **rest: Any) -> Spec:
    return Spec(x.shape, np.dtype(FLOATS[output_dtype] or scale.dtype))


@onnx_op("DequantizeLinear", spec=_dequantized, check=_check_output)
def dequantize_linear(
    x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1, block_size: int = 0, output_dtype: int = 0,
) -> Array:  # fmt: skip
    wide = x.astype(np.int64)
    shifted = wide if zero is None else wide - _along(zero, x, axis, block_size)
    y = shifted.astype(scale.dtype) * _along(scale, x, axis, block_size)
    return y.astype(FLOATS[output_dtype] or scale.dtype)


@onnx_op("DynamicQuantizeLinear", since=11, spec=lambda x: [
    Spec(x.shape, np.dtype(np.uint8)), Spec((), x.dtype), Spec((), np.dtype(np.uint8))])  # fmt: skip
def dynamic_quantize_linear(x: Array) -> tuple[Array, Array, Array]:
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = np.asarray((high - low) / 255 or 1, x.dtype)
    zero = _saturated(-low / scale, np.uint8)
    return _saturated(np.rint(x / scale) + zero, np.uint8), scale, zero


def _product(x: Array, y: Array, x_zero: Array | None, y_zero: Array | None) -> Array:
    """The matrix product of what x and y stand for without scales; float64 holds every sum exactly."""
    left, right = x.astype(np.float64), y.astype(np.float64)
    if x_zero is not None:
        left -= x_zero if x_zero.ndim != 1 or x_zero.size == 1 else x_zero[:, None]
    if y_zero is not None:
        right -= y_zero
    product: Array = np.matmul(left, right)
    return product


@onnx_op("MatMulInteger", since=10, spec=lambda x, y, *zeros: Spec(matmul_shape(x.shape, y.shape), np.dtype(np.int32)))
def matmul_integer(x: Array, y: Array, x_zero: Array | None = None, y_zero: Array | None = None) -> Array:
    return _product(x, y, x_zero, y_zero).astype(np.int32)


def _per_row(values: Array) -> Array:
    """A scale or zero point of each row of a matrix."""
    return values[:, None] if values.ndim == 1 and values.size > 1 else values


@onnx_op("QLinearMatMul", since=10, spec=lambda *specs: Spec(
    matmul_shape(specs[0].shape, specs[3].shape), specs[7].dtype))  # fmt: skip
def qlinear_matmul(
    x: Array, x_scale: Array, x_zero: Array, y: Array, y_scale: Array, y_zero: Array, scale: Array, zero: Array,
) -> Array:  # fmt: skip
    factor = _per_row(x_scale).astype(np.float32) * y_scale / _per_row(scale)
    return _saturated(_product(x, y, x_zero, y_zero) * factor + _per_row(zero), zero.dtype)


def _convolved(
    x: Array, weight: Array, x_zero: Array | None, weight_zero: Array | None, attributes: dict[str, Any]
) -> Array:
    """The convolution of what x and weight stand for without scales: whole numbers, in float64."""
    settings = settings_of(x.shape, weight.shape, **attributes)
    image, taps = x.astype(np.float64), weight.astype(np.float64)
    if x_zero is not None:
        image -= x_zero.reshape(())
    if weight_zero is not None:
        taps -= weight_zero.reshape(-1, *(1,) * (weight.ndim - 1))
    y: Array = CONVS[x.ndim - 2](image, taps, None, **settings, precision="strict")
    return np.rint(y)


@onnx_op("ConvInteger", since=10, spec=lambda x, weight, *zeros, **attributes: Spec(
    conv_spec(x, weight, **attributes).shape, np.dtype(np.int32)))  # fmt: skip
def conv_integer(
    x: Array, weight: Array, x_zero: Array | None = None, weight_zero: Array | None = None, *, auto_pad: str = "NOTSET",
    dilations: Numbers = None, group: int = 1, kernel_shape: Numbers = None, pads: Numbers = None,
    strides: Numbers = None,
) -> Array:  # fmt: skip
    attributes = {"auto_pad": auto_pad, "dilations": dilations, "group": group, "kernel_shape": kernel_shape,
                  "pads": pads, "strides": strides}  # fmt: skip
    return _convolved(x, weight, x_zero, weight_zero, attributes).astype(np.int32)


@onnx_op("QLinearConv", since=10, spec=lambda *specs, **attributes: Spec(
    conv_spec(specs[0], specs[3], **attributes).shape, specs[7].dtype))  # fmt: skip
def qlinear_conv(
    x: Array, x_scale: Array, x_zero: Array, weight: Array, weight_scale: Array, weight_zero: Array, scale: Array,
    zero: Array, bias: Array | None = None, *, auto_pad: str = "NOTSET", dilations: Numbers = None, group: int = 1,
    kernel_shape: Numbers = None, pads: Numbers = None, strides: Numbers = None,
) -> Array:  # fmt: skip
    attributes = {"auto_pad": auto_pad, "dilations": dilations, "group": group, "kernel_shape": kernel_shape,
                  "pads": pads, "strides": strides}  # fmt: skip
    channels = (-1, *(1,) * (x.ndim - 2))
    sums = _convolved(x, weight, x_zero, weight_zero, attributes)
    if bias is not None:
        sums += bias.reshape(channels)
    factor = (x_scale.reshape(()) * weight_scale / scale.reshape(())).reshape(channels)
    return _saturated(sums * factor + zero.reshape(()), zero.dtype)
