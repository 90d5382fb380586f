"""Inside the oracle everything is NHWC and HWIO; these three functions are the only ones that know NCHW."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[int, int]
Sides = tuple[Pair, Pair]
"""((top, bottom), (left, right))"""


def exact(x: Array) -> Array:
    """x in the oracle's arithmetic: float64, or int64 for integers."""
    return np.asarray(x).astype(np.int64 if np.asarray(x).dtype.kind in "iu" else np.float64)


def to_nhwc(x: Array, layout: str) -> Array:
    """Image tensor to (N, H, W, C), in the oracle's arithmetic."""
    x = exact(x)
    return x if layout == "NHWC" else np.moveaxis(x, 1, -1)


def from_nhwc(y: Array, layout: str) -> Array:
    """(N, H, W, C) to the layout's own order, contiguous."""
    return np.ascontiguousarray(y if layout == "NHWC" else np.moveaxis(y, -1, 1))


def to_hwio(weight: Array, layout: str) -> Array:
    """Weight of a convolution to (R, S, in, out), and of a transposed one to (R, S, out, in)."""
    weight = exact(weight)
    return weight if layout == "NHWC" else np.transpose(weight, (2, 3, 1, 0))
