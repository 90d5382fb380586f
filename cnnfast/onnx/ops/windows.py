"""ONNX's words for sliding windows in ours: pads, auto_pad, strides, for one, two or three axes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnfast.ops import shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair

LAYOUTS = {1: "NCL", 2: "NCHW", 3: "NCDHW"}

Ints = tuple[int, ...]


def each(value: Sequence[int] | None, rank: int, name: str, default: int = 1) -> Ints:
    """An attribute with a number for each axis."""
    if value is None:
        return (default,) * rank
    if len(value) != rank:
        raise ValueError(f"{name} must have {rank} numbers, got {tuple(value)}")
    return tuple(int(number) for number in value)


def sides(auto_pad: str, pads: Sequence[int] | None, sizes: Ints, kernel: Ints, strides: Ints, dilations: Ints
          ) -> tuple[Pair, ...]:  # fmt: skip
    """(before, after) of each axis."""
    rank = len(sizes)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        same = [shapes.same_padding(*axis) for axis in zip(sizes, kernel, strides, dilations, strict=True)]
        return tuple(pair if auto_pad == "SAME_UPPER" else pair[::-1] for pair in same)
    if auto_pad not in ("NOTSET", "VALID"):
        raise ValueError(f"auto_pad must be NOTSET, SAME_UPPER, SAME_LOWER or VALID, got {auto_pad!r}")
    given = (0,) * (2 * rank) if pads is None or auto_pad == "VALID" else tuple(int(pad) for pad in pads)
    if len(given) != 2 * rank:
        raise ValueError(f"pads must have {2 * rank} numbers, got {given}")
    if any(pad < 0 for pad in given):
        raise ValueError(f"pads must be >= 0, got {given}")
    return tuple((given[i], given[i + rank]) for i in range(rank))


class Windows(NamedTuple):
    """Where the windows of a pool or convolution lie, along each axis behind N and C.

    counts : how many windows there are; the last may reach beyond the padding (`ceil_mode`)
    """

    kernel: Ints
    strides: Ints
    padding: tuple[Pair, ...]
    dilations: Ints
    counts: Ints

    def places(self, axis: int, tap: int) -> Array:
        """Where a tap of each window lies along an axis; the image starts at 0."""
        return np.arange(self.counts[axis]) * self.strides[axis] - self.padding[axis][0] + tap * self.dilations[axis]


def taps(x: Array, windows: Windows, fill: Any) -> Iterator[tuple[Ints, Array]]:
    """For each tap of the kernel, x under it in every window, as a view; what lies outside x is `fill`."""
    rank = len(windows.kernel)
    border = [(0, 0)] * (x.ndim - rank)
    for axis, size in enumerate(x.shape[-rank:]):
        before, last = windows.padding[axis][0], windows.places(axis, windows.kernel[axis] - 1)
        border.append((before, max(0, int(last[-1]) + 1 - size) if len(last) else 0))
    padded = np.pad(x, border, constant_values=fill)
    for tap in np.ndindex(*windows.kernel):
        at = [i * dilation for i, dilation in zip(tap, windows.dilations, strict=True)]
        part = tuple(
            slice(start, start + (count - 1) * stride + 1, stride) if count else slice(0)
            for start, count, stride in zip(at, windows.counts, windows.strides, strict=True)
        )
        yield tap, padded[..., *part]
