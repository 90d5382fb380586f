"""Arguments that gradients share, checked at the door."""

from typing import Any

import numpy as np

from cnnfast.ops import arrays, pointwise
from cnnfast.ops.arrays import Array


def like(name: str, value: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """value as an array of this very shape, contiguous, cast to dtype."""
    array = pointwise.as_floats(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return arrays.contiguous(name, array, dtype)
