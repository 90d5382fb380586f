"""Gradients of upsample2d, pad2d and concatenate: what each op makes of a one in each pixel's place."""

from collections.abc import Callable, Sequence

import numpy as np

from .. import upsample
from ..layout import Array, Pair, Sides, exact, from_nhwc, to_nhwc


def upsample2d(
    grad_output: Array, *, input_shape: tuple[int, ...], scale_factor: Pair = (2, 2), mode: str = "nearest",
    align_corners: bool = False, layout: str = "NHWC",
) -> Array:  # fmt: skip
    """The op is linear."""
    return _transposed(
        lambda x: upsample.upsample2d(x, scale_factor=scale_factor, mode=mode, align_corners=align_corners),
        grad_output, input_shape, layout,
    )  # fmt: skip


def pad2d(grad_output: Array, *, padding: Sides, mode: str = "constant", layout: str = "NHWC") -> Array:
    """The op without its constant is linear."""
    grad = to_nhwc(grad_output, layout)
    N, H, W, C = grad.shape
    shape = N, H - sum(padding[0]), W - sum(padding[1]), C
    return from_nhwc(_transposed(lambda x: upsample.pad2d(x, padding=padding, mode=mode), grad, shape, "NHWC"), layout)


def concatenate(grad_output: Array, sizes: Sequence[int], *, axis: int = -1) -> tuple[Array, ...]:
    """Each array's own part."""
    return tuple(np.split(exact(grad_output), np.cumsum(sizes)[:-1], axis))


def _transposed(op: Callable[[Array], Array], grad_output: Array, input_shape: tuple[int, ...], layout: str) -> Array:
    """The gradient of a linear op of pictures: a pixel's is the sum of grad_output over what a one there becomes."""
    grad = to_nhwc(grad_output, layout)
    grad_input = to_nhwc(np.zeros(input_shape), layout)
    for h, w in np.ndindex(grad_input.shape[1:3]):
        pixel = np.zeros((1, *grad_input.shape[1:3], 1))
        pixel[0, h, w, 0] = 1
        grad_input[:, h, w] = (grad * op(pixel)).sum(axis=(1, 2))
    return from_nhwc(grad_input, layout)
