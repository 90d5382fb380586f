"""pad2d and upsample2d by their definitions: for each output, which pixels it reads and how much of each."""

import numpy as np

from .layout import Array, Pair, Sides, exact, from_nhwc, to_nhwc

_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad2d(x: Array, *, padding: Sides, mode: str = "constant", value: float = 0.0, layout: str = "NHWC") -> Array:
    """x with a border around each image."""
    how = {"constant_values": value} if mode == "constant" else {}
    padded = np.pad(to_nhwc(x, layout), ((0, 0), *padding, (0, 0)), mode=_MODES[mode], **how)  # type: ignore[call-overload]
    return from_nhwc(padded, layout)


def upsample2d(
    x: Array, *, scale_factor: Pair = (2, 2), mode: str = "nearest", align_corners: bool = False, layout: str = "NHWC"
) -> Array:
    """Each pixel repeated, or each output between the four pixels around the place it reads at."""
    y = to_nhwc(exact(x), layout)
    for axis, scale in zip((1, 2), scale_factor, strict=True):
        size = y.shape[axis]
        at = np.arange(size * scale)
        if mode == "nearest":
            y = y.take(at // scale, axis)
            continue
        place = at * (size - 1) / max(size * scale - 1, 1) if align_corners else np.maximum((at + 0.5) / scale - 0.5, 0)
        low = place.astype(int)
        part = (place - low).reshape((-1, *[1] * (3 - axis)))
        with np.errstate(all="ignore"):
            y = (1 - part) * y.take(low, axis) + part * y.take(np.minimum(low + 1, size - 1), axis)
    return from_nhwc(y, layout)
