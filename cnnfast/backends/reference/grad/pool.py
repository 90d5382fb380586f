"""Pools' gradients: over each tap of each window, what the output's derivative is with respect to that pixel."""

from itertools import product

import numpy as np

from .. import other_ranks, pool
from ..layout import Array, Pair, Sides, exact, from_nhwc, to_nhwc

NONE: Sides = ((0, 0), (0, 0))
NONE3 = (*NONE, (0, 0))
Triple = tuple[int, int, int]


def max_pool2d(grad_output: Array, indices: Array, *, input_shape: tuple[int, ...], layout: str = "NHWC") -> Array:
    """Each gradient is added at its index h*W + w."""
    grad, places = to_nhwc(grad_output, layout), to_nhwc(indices, layout)
    x = to_nhwc(np.zeros(input_shape), layout)
    N, H, W, C = x.shape
    grad_input = np.zeros((N, H * W, C))
    for n, p, q, c in np.ndindex(grad.shape):
        grad_input[n, places[n, p, q, c], c] += grad[n, p, q, c]
    return from_nhwc(grad_input.reshape(N, H, W, C), layout)


def min_pool2d(
    grad_output: Array, x: Array, *, kernel_size: Pair, stride: Pair, padding: Sides = NONE, dilation: Pair = (1, 1),
    ceil_mode: bool = False, layout: str = "NHWC",
) -> Array:  # fmt: skip
    """The minima of x stand where the maxima of -x do."""
    _, indices = pool.max_pool2d(
        -x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
        return_indices=True, layout=layout,
    )  # fmt: skip
    return max_pool2d(grad_output, indices, input_shape=x.shape, layout=layout)


def avg_pool2d(
    grad_output: Array, *, input_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Sides = NONE,
    ceil_mode: bool = False, count_include_pad: bool = True, layout: str = "NHWC",
) -> Array:  # fmt: skip
    """A mean is linear: what the op makes of a one in a pixel's place says what that pixel is given."""
    grad = to_nhwc(grad_output, layout)
    N, H, W, C = to_nhwc(np.zeros(input_shape), layout).shape
    grad_input = np.zeros((N, H, W, C))
    for h, w in np.ndindex(H, W):
        pixel = np.zeros((1, H, W, 1))
        pixel[0, h, w, 0] = 1
        share = pool.avg_pool2d(
            pixel, kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )  # fmt: skip
        grad_input[:, h, w] = (grad * share).sum(axis=(1, 2))
    return from_nhwc(grad_input, layout)


def lp_pool2d(
    grad_output: Array, x: Array, y: Array, *, norm_type: float, kernel_size: Pair, stride: Pair,
    padding: Sides = NONE, dilation: Pair = (1, 1), ceil_mode: bool = False, layout: str = "NHWC",
) -> Array:  # fmt: skip
    """d (sum |x|**p)**(1/p) / d x = sign(x) |x|**(p-1) y**(1-p), 0 where x is."""
    grad, x, y = (to_nhwc(each, layout) for each in (grad_output, x, y))
    N, H, W, C = x.shape
    grad_input = np.zeros((N, H * W, C))
    for pixels, inside, index in pool._window(x, kernel_size, stride, padding, dilation, ceil_mode):
        with np.errstate(all="ignore"):
            slope = np.sign(pixels) * np.abs(pixels) ** (norm_type - 1) * y ** (1 - norm_type)
        for p, q in zip(*np.nonzero(inside), strict=True):
            change = np.where(pixels[:, p, q] == 0, 0, slope[:, p, q] * grad[:, p, q])
            grad_input[:, index[p, q]] += change
    return from_nhwc(grad_input.reshape(N, H, W, C), layout)


def adaptive_avg_pool2d(grad_output: Array, *, input_shape: tuple[int, ...], layout: str = "NHWC") -> Array:
    """Each window shares its gradient out evenly."""
    grad = to_nhwc(grad_output, layout)
    grad_input = np.zeros_like(to_nhwc(np.zeros(input_shape), layout))
    for p, q, rows, columns in pool._adaptive_windows(grad_input, grad.shape[1:3]):
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        grad_input[:, rows, columns] += grad[:, p : p + 1, q : q + 1] / size
    return from_nhwc(grad_input, layout)


def global_avg_pool2d(grad_output: Array, *, input_shape: tuple[int, ...], layout: str = "NHWC") -> Array:
    """One window."""
    return adaptive_avg_pool2d(grad_output, input_shape=input_shape, layout=layout)


def global_max_pool2d(grad_output: Array, x: Array, y: Array, *, layout: str = "NHWC") -> Array:
    """To the first pixel that is the maximum."""
    _, indices = pool.adaptive_max_pool2d(x, output_size=(1, 1), return_indices=True, layout=layout)
    return max_pool2d(grad_output, indices, input_shape=x.shape, layout=layout)


def max_unpool2d(grad_output: Array, indices: Array, *, layout: str = "NHWC") -> Array:
    """Each pixel reads where it was put, if no later one was put there."""
    grad, places = to_nhwc(grad_output, layout), to_nhwc(indices, layout)
    N, P, Q, C = grad.shape
    flat, taken = grad.reshape(N, P * Q, C), np.zeros((N, P * Q, C), bool)
    grad_input = np.zeros(places.shape)
    for n, h, w, c in reversed(list(np.ndindex(places.shape))):
        at = n, places[n, h, w, c], c
        grad_input[n, h, w, c] = 0 if taken[at] else flat[at]
        taken[at] = True
    return from_nhwc(grad_input, layout)


def max_pool1d(
    grad_output: Array, x: Array, *, kernel_size: int, stride: int, padding: Pair = (0, 0), dilation: int = 1,
    ceil_mode: bool = False, layout: str = "NLC",
) -> Array:  # fmt: skip
    """max_pool2d of height 1."""
    axis = 1 if layout == "NLC" else 2
    lifted, images = np.expand_dims(x, axis), "NHWC" if layout == "NLC" else "NCHW"
    _, indices = pool.max_pool2d(
        lifted, kernel_size=(1, kernel_size), stride=(1, stride), padding=((0, 0), padding), dilation=(1, dilation),
        ceil_mode=ceil_mode, return_indices=True, layout=images,
    )  # fmt: skip
    grad = np.expand_dims(grad_output, axis)
    return max_pool2d(grad, indices, input_shape=lifted.shape, layout=images).squeeze(axis)


def avg_pool1d(
    grad_output: Array, *, input_shape: tuple[int, ...], kernel_size: int, stride: int, padding: Pair = (0, 0),
    ceil_mode: bool = False, count_include_pad: bool = True, layout: str = "NLC",
) -> Array:  # fmt: skip
    """avg_pool2d of height 1."""
    axis = 1 if layout == "NLC" else 2
    return avg_pool2d(
        np.expand_dims(grad_output, axis), input_shape=(*input_shape[:axis], 1, *input_shape[axis:]),
        kernel_size=(1, kernel_size), stride=(1, stride), padding=((0, 0), padding), ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, layout="NHWC" if layout == "NLC" else "NCHW",
    ).squeeze(axis)  # fmt: skip


def max_pool3d(
    grad_output: Array, x: Array, *, kernel_size: Triple, stride: Triple, padding: tuple[Pair, Pair, Pair] = NONE3,
    dilation: Triple = (1, 1, 1), ceil_mode: bool = False, layout: str = "NDHWC",
) -> Array:  # fmt: skip
    """Each gradient is added at the first voxel that is its window's maximum."""
    grad, voxels = (exact(each) if layout == "NDHWC" else np.moveaxis(exact(each), 1, -1) for each in (grad_output, x))
    pixels, inside = other_ranks._windows(voxels, kernel_size, stride, padding, dilation, ceil_mode)
    first = np.where(inside, pixels, -np.inf).argmax(axis=0)
    taps = list(product(*map(range, kernel_size)))
    grad_input = np.zeros_like(voxels)
    for n, o, p, q, c in np.ndindex(grad.shape):
        tap, at = taps[first[n, o, p, q, c]], (o, p, q)
        d, h, w = (at[i] * stride[i] - padding[i][0] + tap[i] * dilation[i] for i in range(3))
        grad_input[n, d, h, w, c] += grad[n, o, p, q, c]
    return grad_input if layout == "NDHWC" else np.moveaxis(grad_input, -1, 1)


def avg_pool3d(
    grad_output: Array, *, input_shape: tuple[int, ...], kernel_size: Triple, stride: Triple,
    padding: tuple[Pair, Pair, Pair] = NONE3, ceil_mode: bool = False, count_include_pad: bool = True,
    layout: str = "NDHWC",
) -> Array:  # fmt: skip
    """As avg_pool2d."""
    grad = exact(grad_output) if layout == "NDHWC" else np.moveaxis(exact(grad_output), 1, -1)
    grad_input = np.zeros(input_shape) if layout == "NDHWC" else np.moveaxis(np.zeros(input_shape), 1, -1)
    for d, h, w in np.ndindex(grad_input.shape[1:4]):
        voxel = np.zeros((1, *grad_input.shape[1:4], 1))
        voxel[0, d, h, w, 0] = 1
        share = other_ranks.avg_pool3d(
            voxel, kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )  # fmt: skip
        grad_input[:, d, h, w] = (grad * share).sum(axis=(1, 2, 3))
    return grad_input if layout == "NDHWC" else np.moveaxis(grad_input, -1, 1)
