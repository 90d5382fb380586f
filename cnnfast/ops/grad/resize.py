"""Gradients of what makes tensors larger: upsample2d, pad2d, concatenate."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import arrays, checks, options, pointwise, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import Ints, Padding
from cnnfast.ops.elementwise import check_axis
from cnnfast.ops.grad import given, plans
from cnnfast.ops.prepared import prepared
from cnnfast.ops.resize import PAD_MODES
from cnnfast.ops.signatures import FLOATS

Sizes = tuple[int, ...]


def upsample2d(
    grad_output: ArrayLike, input_shape: Sizes, scale_factor: Ints = 2, mode: str = "nearest", *,
    align_corners: bool = False, layout: str = "NHWC", out: Array | None = None,
) -> Array:  # fmt: skip
    """Of upsample2d with respect to x: each pixel sums what the outputs took from it.

    Parameters
    ----------
    grad_output : of the op's output's shape; float32 or float64
    input_shape : x's
    scale_factor, mode, align_corners, layout : the op's
    out : where to write the gradient; it may not overlap grad_output

    Returns
    -------
    grad_input : of x's shape and grad_output's dtype

    Raises
    ------
    ValueError : a value or shape is out of its range
    TypeError : an argument has the wrong type or dtype
    MemoryError : grad_input cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> grad = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 4, 1)
    >>> cnnfast.grad.upsample2d(grad, (1, 1, 2, 1), (1, 2)).ravel().tolist()
    [3.0, 7.0]
    >>> cnnfast.grad.upsample2d(grad, (1, 1, 2, 1), (1, 2), "bilinear").ravel().tolist()
    [3.25, 6.75]
    """
    grad = given.as_grad(grad_output)
    back = prepared(plans.upsampling, (grad.dtype,), (input_shape, scale_factor, mode, align_corners, layout))
    return plans.run(back, grad, out, (("grad_output", grad_output),))


def pad2d(
    grad_output: ArrayLike, padding: Padding, mode: str = "constant", *, layout: str = "NHWC", out: Array | None = None
) -> Array:
    """Of pad2d with respect to x: the border's gradients go to the pixels that it was made of, a constant's to none.

    Parameters
    ----------
    grad_output : of the op's output's shape, (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    padding, mode, layout : the op's
    out : see `upsample2d`

    Returns
    -------
    grad_input : grad_output's shape less the padding, of its dtype

    Raises
    ------
    As `upsample2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> grad = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 4, 1)
    >>> cnnfast.grad.pad2d(grad, (0, 1)).ravel().tolist()
    [2.0, 3.0]
    >>> cnnfast.grad.pad2d(grad, (0, 1), "replicate").ravel().tolist()
    [3.0, 7.0]
    """
    order = options.layout(layout)
    sides = checks.sides("padding", padding)
    if sides == "same":
        raise ValueError('padding must be "valid" or integers, got "same"')
    kind = checks.choice("mode", mode, PAD_MODES)
    grad = arrays.as_input("grad_output", grad_output, FLOATS, order)
    N, H, W, C = shapes.split(grad.shape, order)
    H, W = H - sum(sides[0]), W - sum(sides[1])
    if min(H, W) < 1:
        raise ValueError(f"padding must leave a pixel of grad_output's shape {grad.shape}, got {sides}")
    shapes.check_padding_mode(PAD_MODES[kind], sides, (H, W))
    y = pointwise.target(out, shapes.join(N, H, W, C, order), grad.dtype, (("grad_output", grad_output),))
    first = 1 if order == "NHWC" else 2
    to, whole = (np.moveaxis(each, (first, first + 1), (0, 1)) for each in (y, grad))
    (top, _), (left, _) = sides
    if kind == "constant":
        to[...] = whole[top : top + H, left : left + W]
        return y
    rows = whole[top : top + H].copy()
    _fold(rows, whole, sides[0], kind)
    columns = np.moveaxis(rows, 1, 0)
    to[...] = rows[:, left : left + W]
    _fold(np.moveaxis(to, 1, 0), columns, sides[1], kind)
    return y


def _fold(inside: Array, whole: Array, sides: tuple[int, int], mode: str) -> None:
    """Add to `inside`, the middle of `whole` along its first axis, what lies before and after it."""
    before, after = sides
    n = len(inside)
    ahead, behind = whole[:before], whole[before + n :]
    if mode == "replicate":
        inside[0] += ahead.sum(axis=0)
        inside[-1] += behind.sum(axis=0)
    elif mode == "reflect":
        inside[1 : before + 1] += ahead[::-1]
        inside[n - 1 - after : n - 1] += behind[::-1]
    else:
        inside[n - before :] += ahead
        inside[:after] += behind


def concatenate(grad_output: ArrayLike, sizes: Sequence[int], axis: int = -1) -> tuple[Array, ...]:
    """Of concatenate with respect to each of its arrays: its part of the gradient, without a copy.

    Parameters
    ----------
    grad_output : of any shape; float32 or float64
    sizes : of the arrays along `axis`; together grad_output's
    axis : the op's

    Returns
    -------
    grads : a view of grad_output for each array

    Raises
    ------
    ValueError : the axis is not one of grad_output's, or the sizes are not together its size
    TypeError : an argument has the wrong type or dtype

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> [each.shape for each in cnnfast.grad.concatenate(np.zeros((1, 2, 2, 8)), (3, 5))]
    [(1, 2, 2, 3), (1, 2, 2, 5)]
    """
    grad = given.as_grad(grad_output)
    at = check_axis("axis", axis, grad.ndim)
    if not isinstance(sizes, tuple | list):
        raise TypeError(f"sizes must be a sequence of integers, got {sizes!r}")
    counts = [checks.integer("sizes", size, minimum=0) for size in sizes]
    if sum(counts) != grad.shape[at] or not counts:
        raise ValueError(f"sizes must be {grad.shape[at]} together, grad_output's axis {at}, got {tuple(sizes)}")
    ends = np.cumsum(counts)
    before: tuple[Any, ...] = (slice(None),) * at
    return tuple(grad[(*before, slice(end - count, end))] for count, end in zip(counts, ends, strict=True))
