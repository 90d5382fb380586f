"""Gradients of activations, sums, products and prelu on a device."""

from typing import Any

from .. import maps, sums
from ..arrays import DeviceArray, empty


def activation(grad_output: DeviceArray, values: DeviceArray, *, activation: Any) -> DeviceArray:
    """grad_output times the derivative, by the output of relu to hardsigmoid and by the input of the others."""
    return maps.apply(("gradient", *activation), (grad_output, values), values.shape)


def prelu(grad_output: DeviceArray, x: DeviceArray, weight: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
    """Of x, and weight * x below 0; the weight is one number, or one a channel of the last axis."""
    grad_input = maps.apply(("prelu_gradient",), (grad_output, x, weight), x.shape)
    rows = 1
    for size in x.shape[:-1]:
        rows *= size
    flat = [_matrix(each, rows, x.shape[-1]) for each in (grad_output, x)]
    if weight.shape == (1,) != (x.shape[-1],):
        flat = [_matrix(each, rows * x.shape[-1], 1) for each in flat]
    (grad_weight,) = sums.per_channel(("sums", ("prelu_slope",)), ("one", 1), flat[0], 1, flat)
    return grad_input, grad_weight


def _matrix(array: DeviceArray, rows: int, columns: int) -> DeviceArray:
    return array._replace(shape=(rows, columns), strides=(columns, 1))


def unbroadcast(grad_output: DeviceArray, shape: tuple[int, ...]) -> DeviceArray:
    """The sum over the axes along which an array of `shape` was broadcast; grad_output lies densely.

    Axes are summed in runs: kept ones before, then summed, then kept ones; what alternates takes a step a run.
    """
    full = (1,) * (len(grad_output.shape) - len(shape)) + tuple(shape)
    found = grad_output
    while found.shape != full:
        summed = [i for i, (mine, size) in enumerate(zip(found.shape, full, strict=True)) if mine != size]
        first = last = summed[0]
        while last + 1 < len(full) and (last + 1 in summed or full[last + 1] == 1 == found.shape[last + 1]):
            last += 1
        parts = slice(first), slice(first, last + 1), slice(last + 1, None)
        before, rows, after = (_product(found.shape[part]) for part in parts)
        made = (*found.shape[:first], *full[first : last + 1], *found.shape[last + 1 :])
        result = empty(found, made, found.dtype)
        if after == 1:
            walk = found._replace(shape=(1, before, rows), strides=(0, rows, 1))
            sums.per_channel(("sums", ("copy",)), ("one", 1), walk, 1, (walk,), into=(result,))
        else:
            walk = found._replace(shape=(before, rows, after), strides=(rows * after, after, 1))
            sums.per_channel(("sums", ("copy",)), ("one", 1), walk, 2, (walk,), images=True, into=(result,))
        found = result
    if found.shape == tuple(shape):
        return found
    result = empty(found, shape, found.dtype)  # without the axes that were never there
    return maps.apply(("copy",), (found._replace(shape=result.shape, strides=result.strides),), shape, out=result)


def _product(sizes: tuple[int, ...]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def add(grad_output: DeviceArray, x: DeviceArray, y: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
    """To both what came, summed to their shapes."""
    return unbroadcast(grad_output, x.shape), unbroadcast(grad_output, y.shape)


def multiply(grad_output: DeviceArray, x: DeviceArray, y: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
    """To each what came times the other, summed to its shape."""
    by_x, by_y = (
        maps.apply(("multiply", None, 0.0), (grad_output, other), grad_output.shape) for other in (y, x)
    )  # fmt: skip
    return unbroadcast(by_x, x.shape), unbroadcast(by_y, y.shape)


def bias(grad_output: DeviceArray, *, layout: str = "NHWC") -> DeviceArray:
    """grad_bias[k] = the sum of grad_output over all pixels, images and other rows."""
    axis = len(grad_output.shape) - 1 if layout.endswith("C") else 1
    return sums.per_channel(("sums", ("copy",)), ("one", 1), grad_output, axis, (grad_output,))[0]
