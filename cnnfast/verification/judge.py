"""Is an output right, and are two outputs the same?"""

import numpy as np

from cnnfast.verification.case import Array
from cnnfast.verification.expected import Expected


def fault(y: Array, indices: Array | None, right: Expected, fused: bool, zero_sign: bool = True) -> str | None:
    """What is wrong with an output, or None. `fused`: it comes from an ISA with FMA."""
    if y.shape != right.value.shape:
        return f"shape {y.shape}, not {right.value.shape}"
    if right.indices is not None:
        if indices is None or indices.shape != right.indices.shape:
            return "no indices"
        if (indices != right.indices).any():
            return f"wrong indices{_where(indices != right.indices)}"
    with np.errstate(all="ignore"):
        rounded = right.value.astype(y.dtype)
    if right.bound is None:
        wrong = different(y, rounded) if zero_sign else different(y + 0, rounded + 0)
        return f"not the oracle's bits{_told(wrong, y, right.value)}" if wrong.any() else None
    allowed = right.bound if fused else right.bound + right.loose
    with np.errstate(all="ignore"):
        error = np.abs(y.astype(np.float64) - right.value)
        wrong = ~((error <= allowed) | (y == rounded) | (np.isnan(y) & np.isnan(right.value)) | np.isinf(allowed))
    if not wrong.any():
        return None
    with np.errstate(all="ignore"):
        excess = np.where(wrong, error / np.maximum(allowed, 5e-324), 0)
    at = np.unravel_index(np.argmax(excess), y.shape)
    return f"out of bound{_told(wrong, y, right.value, at)}, bound {np.broadcast_to(allowed, y.shape)[at]:.3g}"


def same_bits(a: Array, b: Array) -> bool:
    """Equal bit for bit; any two NaN are equal, for neither sign nor payload is promised."""
    return a.shape == b.shape and (a.tobytes() == b.tobytes() or not different(a, b).any())


def different(a: Array, b: Array) -> Array:
    """Where two outputs of one dtype have different bits."""
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return np.asarray((a.view(unsigned) != b.view(unsigned)) & ~((a != a) & (b != b)))


def _told(wrong: Array, y: Array, value: Array, at: tuple[np.intp, ...] | None = None) -> str:
    place = at if at is not None else np.unravel_index(np.argmax(wrong), wrong.shape)
    return f"{_where(wrong, place)}: {y[place]!r}, oracle {value[place]!r}"


def _where(wrong: Array, at: tuple[np.intp, ...] | None = None) -> str:
    place = at if at is not None else np.unravel_index(np.argmax(wrong), wrong.shape)
    return f" at {wrong.sum()} of {wrong.size}, such as {[int(i) for i in place]}"
