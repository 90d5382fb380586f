"""Sums over windows taken back: each input pixel is a weighted sum of the output pixels that it is part of."""

import numpy as np

from cnnfast.ops import pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.grad.windows import Window

PATH = ["einsum_path", (0, 1), (0, 1)]


def spread_windows(grad: Array, of: Window, divide: str, out: object, inputs: pointwise.Named) -> Array:
    """The gradient of sums over windows; `divide`: by the window "padded", "inside" the input, or not at all ("")."""
    height, width = (1, 2) if of.layout == "NHWC" else (2, 3)
    rows, columns = (_axis(of, i, of.input_shape[axis], of.output_shape[axis], divide)
                     for i, axis in enumerate((height, width)))  # fmt: skip
    return resample(grad, rows, columns, of.layout, out, inputs)


def resample(grad: Array, rows: Array, columns: Array, layout: str, out: object, inputs: pointwise.Named) -> Array:
    """rows (H, P) and columns (W, Q) say how much of each output pixel goes to each input pixel."""
    axes = "nhwc,ph,qw->npqc" if layout == "NHWC" else "nchw,ph,qw->ncpq"
    result = np.einsum(axes, grad, rows.astype(grad.dtype), columns.astype(grad.dtype), optimize=PATH)
    y = pointwise.target(out, result.shape, grad.dtype, inputs)
    np.copyto(y, result)
    return y


def _axis(of: Window, axis: int, size: int, count: int, divide: str) -> Array:
    """(size, count): 1 over the divisor where window i holds pixel h."""
    weights = np.zeros((size, count))
    kernel, (before, after) = of.kernel_size[axis], of.padding[axis]
    for i in range(count):
        start = i * of.stride[axis] - before
        taps = [h for r in range(kernel) if 0 <= (h := start + r * of.dilation[axis]) < size]
        extent = min(kernel, size + after - start) if divide == "padded" else len(taps)
        weights[taps, i] = 1 / extent if divide else 1
    return weights
