"""The named 3x3 filters of every lecture on convolution, and how to make weights of them.

A filter slides over the picture as it is written here (cross-correlation, as every CNN library does), so
`vertical_edge` answers with a positive number where the picture goes from bright on the left to dark on the right,
and `sobel_x` where it goes from dark to bright.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["FILTERS", "bank", "named", "per_channel"]

_TABLE: dict[str, tuple[Sequence[Sequence[int]], int]] = {  # rows, and what their sum is divided by
    "vertical_edge": (((1, 0, -1), (1, 0, -1), (1, 0, -1)), 1),
    "horizontal_edge": (((1, 1, 1), (0, 0, 0), (-1, -1, -1)), 1),
    "sobel_x": (((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)), 1),
    "sobel_y": (((-1, -2, -1), (0, 0, 0), (1, 2, 1)), 1),
    "scharr_x": (((-3, 0, 3), (-10, 0, 10), (-3, 0, 3)), 1),
    "scharr_y": (((-3, -10, -3), (0, 0, 0), (3, 10, 3)), 1),
    "laplacian": (((0, 1, 0), (1, -4, 1), (0, 1, 0)), 1),
    "box": (((1, 1, 1), (1, 1, 1), (1, 1, 1)), 9),
    "weighted_box": (((0, 1, 0), (1, 4, 1), (0, 1, 0)), 8),
    "gaussian": (((1, 2, 1), (2, 4, 2), (1, 2, 1)), 16),
    "sharpen": (((0, -1, 0), (-1, 5, -1), (0, -1, 0)), 1),
    "intense_sharpen": (((-1, -1, -1), (-1, 9, -1), (-1, -1, -1)), 1),
}


def _matrix(rows: Sequence[Sequence[int]], divisor: int) -> NDArray[np.float64]:
    matrix = np.array(rows, dtype=np.float64) / divisor
    matrix.flags.writeable = False
    return matrix


FILTERS = MappingProxyType({name: _matrix(*entry) for name, entry in _TABLE.items()})
"""Every filter by name: read-only (3, 3) float64. Edges sum to 0, blurs and sharpeners to 1."""


def named(name: str, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """One filter as a (3, 3) array of its own.

    >>> named("sharpen", int).tolist()
    [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    """
    try:
        return FILTERS[name].astype(dtype)
    except KeyError:
        raise ValueError(f"name must be one of {', '.join(FILTERS)}, got {name!r}") from None


def bank(names: Sequence[str], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Several filters as the weight of one conv2d over a grey picture: (3, 3, 1, len(names)), layout NHWC.

    >>> bank(["sobel_x", "sobel_y"]).shape
    (3, 3, 1, 2)
    """
    if not names:
        raise ValueError("names must name at least one filter, got none")
    return np.stack([named(name, dtype) for name in names], axis=-1)[:, :, np.newaxis, :]


def per_channel(name: str, channels: int, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """One filter for each channel of a picture by itself: (3, 3, 1, channels), for conv2d with groups=channels.

    >>> per_channel("gaussian", 3).shape
    (3, 3, 1, 3)
    """
    if channels < 1:
        raise ValueError(f"channels must be >= 1, got {channels}")
    return np.repeat(bank([name], dtype), channels, axis=-1)
