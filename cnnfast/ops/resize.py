"""pad2d and upsample2d: images made larger."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, options, pointwise, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair, Sides
from cnnfast.ops.conv import Ints, Padding
from cnnfast.ops.signatures import FLOATS, KEPT

PAD_MODES = {"constant": "zeros", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
"""pad2d's modes -> what a convolution's padding_mode calls them."""


def pad2d(
    x: ArrayLike, padding: Padding, mode: str = "constant", value: float = 0.0, *, layout: str = "NHWC",
    out: Array | None = None,
) -> Array:  # fmt: skip
    """x with a border around each image.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32, float64 or an integer dtype
    padding : pixels per side: an integer, (height, width) or ((top, bottom), (left, right))
    mode : what the border holds: "constant" (`value`), "reflect" (the image mirrored at its edge, which is not
        repeated; less than its size), "replicate" (its edge) or "circular" (its other side; at most its size)
    value : the constant, one that x's dtype has
    layout : "NHWC" or "NCHW"
    out : where to write y; it may not overlap x

    Returns
    -------
    y : x's shape with the height and width grown by the padding, of x's dtype

    Raises
    ------
    ValueError : a value or shape is out of its range
    TypeError : an argument has the wrong type or dtype
    MemoryError : y cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.pad2d(np.array([1, 2, 3]).reshape(1, 1, 3, 1), (0, 2), "reflect").ravel().tolist()
    [3, 2, 1, 2, 3, 2, 1]
    """
    order = options.layout(layout)
    sides, kind = pad_options(padding, mode)
    images = arrays.as_input("x", x, KEPT, order)
    fill = _fill(value, images.dtype)
    N, H, W, C = shapes.split(images.shape, order)
    shapes.check_padding_mode(PAD_MODES[kind], sides, (H, W))
    shape = shapes.join(N, H + sum(sides[0]), W + sum(sides[1]), C, order)
    y = pointwise.target(out, shape, images.dtype, (("x", images),), images if order == "NCHW" else None)
    first = 1 if order == "NHWC" else 2
    _pad(np.moveaxis(y, (first, first + 1), (0, 1)), np.moveaxis(images, (first, first + 1), (0, 1)), sides, kind, fill)
    return y


def upsample2d(
    x: ArrayLike, scale_factor: Ints = 2, mode: str = "nearest", *, align_corners: bool = False, layout: str = "NHWC",
    out: Array | None = None,
) -> Array:  # fmt: skip
    """Each image `scale_factor` times as high and wide.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    scale_factor : an integer >= 1, or (height, width)
    mode : "nearest" (each pixel repeated), or "bilinear" (as torch and Keras compute it: pixels are squares and their
        values stand at the centres, so that output p reads at (p + 1/2) / scale - 1/2, not below 0)
    align_corners : for "bilinear": the corner pixels' centres stay in the corners, so that output p reads at
        p * (H - 1) / (P - 1)
    layout : "NHWC" or "NCHW"
    out : where to write y; it may not overlap x

    Returns
    -------
    y : (N, H*scale, W*scale, C), or (N, C, H*scale, W*scale) with "NCHW", of x's dtype

    Raises
    ------
    ValueError : a value or shape is out of its range
    TypeError : an argument has the wrong type or dtype
    MemoryError : y cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    >>> cnnfast.upsample2d(x, (1, 2)).ravel().tolist()
    [0.0, 0.0, 4.0, 4.0]
    >>> cnnfast.upsample2d(x, (1, 2), "bilinear").ravel().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    order = options.layout(layout)
    scale, kind, corners = upsample_options(scale_factor, mode, align_corners)
    images = arrays.as_input("x", x, FLOATS, order)
    if out is None and order == "NCHW" and arrays.channels_last(images):
        lying = images.transpose(0, 2, 3, 1)
        return upsample2d(lying, scale, mode, align_corners=corners).transpose(0, 3, 1, 2)
    N, H, W, C = shapes.split(images.shape, order)
    shape = shapes.join(N, H * scale[0], W * scale[1], C, order)
    place = (N, H, W, C) if order == "NHWC" else (N * C, H, W, 1)
    return pointwise.execute(
        lambda a, b: native.run_upsample2d(a, b, place, scale, kind == "bilinear", corners), images, out,
        (("x", images),), shape,
    )  # fmt: skip


def pad_options(padding: object, mode: object) -> tuple[Sides, str]:
    """pad2d's, checked: (padding per side, mode)."""
    sides = checks.sides("padding", padding)
    if sides == "same":
        raise ValueError('padding must be "valid" or integers, got "same"')
    return sides, checks.choice("mode", mode, PAD_MODES)


def upsample_options(scale_factor: object, mode: object, align_corners: object) -> tuple[Pair, str, bool]:
    """upsample2d's, checked: (scale, mode, align_corners)."""
    scale = checks.pair("scale_factor", scale_factor, minimum=1)
    kind = checks.choice("mode", mode, ("nearest", "bilinear"))
    corners = checks.boolean("align_corners", align_corners)
    if corners and kind == "nearest":
        raise ValueError('align_corners must be False with mode "nearest", got True')
    return scale, kind, corners


def _fill(value: object, dtype: np.dtype[Any]) -> Any:
    """`value` as x's dtype has it: any float for floats, an integer within its range for integers."""
    if dtype.kind == "f":
        if isinstance(value, float | np.floating):  # infinities and NaN are values too
            return dtype.type(value)
        return dtype.type(checks.number("value", value))
    number = checks.number("value", value)
    info = np.iinfo(dtype)
    if not number.is_integer() or not info.min <= int(number) <= info.max:
        raise ValueError(f"value must be an integer that {dtype} holds, got {value!r}")
    return dtype.type(int(number))


def _pad(y: Array, x: Array, padding: Sides, mode: str, fill: Any) -> None:
    """Write x and its border into y, both with the height and width in front: the inside, the columns beside it, then
    whole rows above and below. Copies of views, so at memory's speed."""
    (top, bottom), (left, right) = padding
    H, W = x.shape[:2]
    y[top : top + H, left : left + W] = x
    _border(np.moveaxis(y[top : top + H], 1, 0), left, right, mode, fill)
    _border(y, top, bottom, mode, fill)


def _border(y: Array, before: int, after: int, mode: str, fill: Any) -> None:
    """Fill the first `before` and the last `after` of y along its first axis from those between."""
    n = len(y) - before - after
    end = before + n
    if mode == "constant":
        y[:before] = fill
        y[end:] = fill
    elif mode == "replicate":
        y[:before] = y[before]
        y[end:] = y[end - 1]
    elif mode == "reflect":
        y[:before] = y[before + 1 : 2 * before + 1][::-1]
        y[end:] = y[end - 1 - after : end - 1][::-1]
    else:
        y[:before] = y[end - before : end]
        y[end:] = y[before : before + after]
