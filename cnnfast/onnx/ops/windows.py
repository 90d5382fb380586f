"""ONNX's words for sliding windows in ours: pads, auto_pad, strides, for one, two or three axes."""

from collections.abc import Sequence

from cnnfast.ops import shapes
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
