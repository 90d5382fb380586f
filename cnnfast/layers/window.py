"""Sliding windows along one, two or three axes: arguments, and sizes that may be unknown. The rules are ops.shapes'."""

from collections.abc import Callable, Sequence
from typing import Any

from cnnfast.ops import checks, shapes
from cnnfast.ops.checks import Pair

Ints = tuple[int, ...]
Padding = tuple[Pair, ...] | str
"""(before, after) for each axis, or "same"."""
Sizes = tuple[int | None, ...]

NAMES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def numbers(name: str, value: object, rank: int, minimum: int = 1) -> Ints:
    """An integer for every axis, or one for each.

    >>> numbers("strides", 2, 3), numbers("strides", (1, 2), 2)
    ((2, 2, 2), (1, 2))
    """
    if not isinstance(value, tuple | list):
        return (checks.integer(name, value, minimum),) * rank
    if len(value) != rank:
        raise ValueError(f"{name} must be an integer or ({', '.join(NAMES[rank])}), got {value!r}")
    return tuple(checks.integer(name, each, minimum) for each in value)


def padding(value: object, rank: int) -> Padding:
    """Keras' "valid" or "same" in any case; in two dimensions also every form of `conv2d`'s padding.

    >>> padding("SAME", 1), padding("valid", 1), padding(((0, 1), (2, 2)), 2)
    ('same', ((0, 0),), ((0, 1), (2, 2)))
    """
    word = value.lower() if isinstance(value, str) else value
    if rank == 2:
        return checks.sides("padding", word)
    return "same" if checks.choice("padding", word, ("valid", "same")) == "same" else ((0, 0),) * rank


def data_format(value: object) -> None:
    """Layers are channels last; the argument is there for programs that say so."""
    if value not in (None, "channels_last"):
        raise ValueError(
            f'data_format must be "channels_last", got {value!r}: transpose the pictures, or use cnnfast.conv2d(..., '
            'layout="NCHW")'
        )


def output_sizes(
    rule: Callable[..., int], sizes: Sequence[int | None], kernel: Ints, strides: Ints, sides: Padding,
    dilation: Ints | None = None, **settings: Any,
) -> Sizes:  # fmt: skip
    """Each axis through a rule of ops.shapes: conv_size or pool_size; None stays None."""
    rank = len(kernel)
    spread = dilation or (1,) * rank

    def along(i: int) -> int | None:
        size = sizes[i]
        if size is None:
            return None
        pad = shapes.same_padding(size, kernel[i], strides[i], spread[i]) if isinstance(sides, str) else sides[i]
        return rule(size, kernel[i], strides[i], pad, spread[i], axis=NAMES[rank][i], **settings)

    return tuple(along(i) for i in range(rank))
