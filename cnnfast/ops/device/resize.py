"""pad2d, upsample2d and concatenate on a device."""

from collections.abc import Sequence
from math import prod
from typing import Any

from cnnfast.ops import checks, elementwise, options, resize, shapes
from cnnfast.ops.device import given


def pad2d(x: Any, padding: Any, mode: Any, value: Any, *, layout: Any, out: Any) -> Any:
    """`cnnfast.pad2d`."""
    order = options.layout(layout)
    sides, kind = resize.pad_options(padding, mode)
    images = given.images("x", x, order)
    fill = value if isinstance(value, float) else checks.number("value", value)  # infinities and NaN are values too
    N, H, W, C = shapes.split(images.shape, order)
    shapes.check_padding_mode(resize.PAD_MODES[kind], sides, (H, W))
    shape = shapes.join(N, H + sum(sides[0]), W + sum(sides[1]), C, order)
    to = given.target(out, images, shape, {"x": images}, order=given.channels_last(images, order))
    return given.compute("pad2d", {"x": images}, to, padding=sides, mode=kind, value=fill, layout=order)


def upsample2d(x: Any, scale_factor: Any, mode: Any, *, align_corners: Any, layout: Any, out: Any) -> Any:
    """`cnnfast.upsample2d`."""
    order = options.layout(layout)
    scale, kind, corners = resize.upsample_options(scale_factor, mode, align_corners)
    images = given.images("x", x, order)
    N, H, W, C = shapes.split(images.shape, order)
    shape = shapes.join(N, H * scale[0], W * scale[1], C, order)
    to = given.target(out, images, shape, {"x": images}, order=given.channels_last(images, order))
    return given.compute(
        "upsample2d", {"x": images}, to, scale_factor=scale, mode=kind, align_corners=corners, layout=order
    )


def concatenate(arrays: Any, axis: Any, *, out: Any) -> Any:
    """`cnnfast.concatenate`."""
    if not isinstance(arrays, Sequence):
        raise TypeError(f"arrays must be a sequence of arrays, got {type(arrays).__name__}")
    first = given.read("arrays[0]", arrays[0])
    parts = [first, *(given.beside(f"arrays[{i}]", each, first) for i, each in enumerate(arrays[1:], 1))]
    at = elementwise.check_axis("axis", axis, len(first.shape))
    shape = elementwise.joined_shape([part.shape for part in parts], at)
    to = given.target(out, first, shape, {f"arrays[{i}]": part for i, part in enumerate(parts)})
    if prod(shape) and not prod(first.shape):
        to = to._replace(x=next(part for part in parts if prod(part.shape)))
    given_arrays: Any = {"arrays": tuple(parts)}
    return given.compute("concatenate", given_arrays, to, axis=at)
