"""Pooling by its definition. Taps in the padding do not take part, except in avg_pool2d's divisor.

Two rules that engines differ on: NaN wins max and min pooling (the first NaN of the window, if several), and the index
of a maximum is always that of a pixel, also where every pixel is -inf.
"""

from collections.abc import Callable, Iterator

import numpy as np

from .activations import NO_ACTIVATION, Activation
from .conv import conv2d
from .layout import Array, Pair, Sides, from_nhwc, to_nhwc


def max_pool2d(
    x: Array, *, kernel_size: Pair, stride: Pair, padding: Sides = ((0, 0), (0, 0)), dilation: Pair = (1, 1),
    ceil_mode: bool = False, return_indices: bool = False, layout: str = "NHWC",
) -> Array | tuple[Array, Array]:  # fmt: skip
    """The window's largest pixel; with `return_indices` also its h*W + w. The first of equal ones counts."""
    return _extreme(np.greater, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout)


def conv2d_max_pool2d(
    x: Array, weight: Array, bias: Array | None = None, *, pool_size: Pair, pool_stride: Pair,
    pool_padding: Sides = ((0, 0), (0, 0)), stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1), groups: int = 1, layout: str = "NHWC", padding_mode: str = "zeros",
    activation: Activation = NO_ACTIVATION,
) -> Array:  # fmt: skip
    """conv2d, then max_pool2d."""
    y = conv2d(
        x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        padding_mode=padding_mode, activation=activation,
    )  # fmt: skip
    return np.asarray(max_pool2d(y, kernel_size=pool_size, stride=pool_stride, padding=pool_padding, layout=layout))


def min_pool2d(
    x: Array, *, kernel_size: Pair, stride: Pair, padding: Sides = ((0, 0), (0, 0)), dilation: Pair = (1, 1),
    ceil_mode: bool = False, layout: str = "NHWC",
) -> Array | tuple[Array, Array]:  # fmt: skip
    """The window's smallest pixel."""
    return _extreme(np.less, x, kernel_size, stride, padding, dilation, ceil_mode, False, layout)


def avg_pool2d(
    x: Array, *, kernel_size: Pair, stride: Pair, padding: Sides = ((0, 0), (0, 0)), ceil_mode: bool = False,
    count_include_pad: bool = True, layout: str = "NHWC",
) -> Array:  # fmt: skip
    """The window's sum over its size: within the padded input with `count_include_pad`, else within the input."""
    x = to_nhwc(x, layout)
    H, W = x.shape[1:3]
    taps = list(_window(x, kernel_size, stride, padding, (1, 1), ceil_mode))
    total = sum(np.where(inside[:, :, np.newaxis], pixels, 0) for pixels, inside, _ in taps)
    inside_count = sum(inside.astype(np.int64) for _, inside, _ in taps)
    rows = _clipped(H, kernel_size[0], stride[0], padding[0], ceil_mode)
    columns = _clipped(W, kernel_size[1], stride[1], padding[1], ceil_mode)
    divisor = np.outer(rows, columns) if count_include_pad else np.asarray(inside_count)
    return from_nhwc(total / divisor[:, :, np.newaxis], layout)


def lp_pool2d(
    x: Array, *, norm_type: float, kernel_size: Pair, stride: Pair, padding: Sides = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1), ceil_mode: bool = False, layout: str = "NHWC",
) -> Array:  # fmt: skip
    """(sum of |pixel|**p)**(1/p) over the window, p = `norm_type`."""
    x = to_nhwc(x, layout)
    with np.errstate(all="ignore"):
        total = sum(
            np.where(inside[:, :, np.newaxis], np.abs(pixels) ** norm_type, 0)
            for pixels, inside, _ in _window(x, kernel_size, stride, padding, dilation, ceil_mode)
        )
        return from_nhwc(np.asarray(total) ** (1 / norm_type), layout)


def global_avg_pool2d(x: Array, *, layout: str = "NHWC") -> Array:
    """The mean of each image's channel."""
    return adaptive_avg_pool2d(x, output_size=(1, 1), layout=layout)


def global_max_pool2d(x: Array, *, layout: str = "NHWC") -> Array | tuple[Array, Array]:
    """The maximum of each image's channel."""
    return adaptive_max_pool2d(x, output_size=(1, 1), layout=layout)


def adaptive_avg_pool2d(x: Array, *, output_size: Pair, layout: str = "NHWC") -> Array:
    """The mean over rows [floor(p*H/P), ceil((p+1)*H/P)) and columns alike."""
    x = to_nhwc(x, layout)
    y = np.empty((x.shape[0], *output_size, x.shape[3]), x.dtype)
    with np.errstate(all="ignore"):
        for p, q, rows, columns in _adaptive_windows(x, output_size):
            y[:, p, q] = x[:, rows, columns].mean(axis=(1, 2))
    return from_nhwc(y, layout)


def adaptive_max_pool2d(
    x: Array, *, output_size: Pair, return_indices: bool = False, layout: str = "NHWC"
) -> Array | tuple[Array, Array]:
    """The maximum over the windows of `adaptive_avg_pool2d`."""
    x = to_nhwc(x, layout)
    N, _, W, C = x.shape
    y = np.empty((N, *output_size, C), x.dtype)
    indices: Array = np.empty(y.shape, np.int64)
    for p, q, rows, columns in _adaptive_windows(x, output_size):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        pixels = x[:, rows, columns].reshape(N, height * width, C)
        best = pixels.argmax(axis=1)  # the first maximum; a NaN is one
        h, w = np.divmod(best, width)
        y[:, p, q] = np.take_along_axis(pixels, best[:, np.newaxis], axis=1)[:, 0]
        indices[:, p, q] = (rows.start + h) * W + columns.start + w
    y, indices = from_nhwc(y, layout), from_nhwc(indices, layout)
    return (y, indices) if return_indices else y


def max_unpool2d(x: Array, indices: Array, *, output_size: Pair, layout: str = "NHWC") -> Array:
    """Zeros of `output_size`, with each x at its index h*width + w; where indices repeat, the last (p, q) stays."""
    x, indices = to_nhwc(x, layout), to_nhwc(indices, layout)
    N, H, W, C = x.shape
    y = np.zeros((N, output_size[0] * output_size[1], C), x.dtype)
    for h in range(H):
        for w in range(W):
            np.put_along_axis(y, indices[:, h, w][:, np.newaxis], x[:, h, w][:, np.newaxis], axis=1)
    return from_nhwc(y.reshape(N, *output_size, C), layout)


def _extreme(
    better: Callable[[Array, Array], Array], x: Array, kernel_size: Pair, stride: Pair, padding: Sides,
    dilation: Pair, ceil_mode: bool, return_indices: bool, layout: str,
) -> Array | tuple[Array, Array]:  # fmt: skip
    x = to_nhwc(x, layout)
    y: Array = np.zeros((), x.dtype)
    indices: Array = np.full((), -1)  # no pixel yet
    for pixels, inside, index in _window(x, kernel_size, stride, padding, dilation, ceil_mode):
        first_nan = (pixels != pixels) & (y == y)
        take = inside[:, :, np.newaxis] & ((indices < 0) | better(pixels, y) | first_nan)
        y, indices = np.where(take, pixels, y), np.where(take, index[:, :, np.newaxis], indices)
    y, indices = from_nhwc(y, layout), from_nhwc(indices, layout)
    return (y, indices) if return_indices else y


def _window(
    x: Array, kernel: Pair, stride: Pair, padding: Sides, dilation: Pair, ceil_mode: bool
) -> Iterator[tuple[Array, Array, Array]]:
    """For each tap (r, s): the pixels (N, P, Q, C), whether (P, Q) they are inside the input, and their h*W + w."""
    H, W = x.shape[1:3]
    P = _output_size(H, kernel[0], stride[0], padding[0], dilation[0], ceil_mode)
    Q = _output_size(W, kernel[1], stride[1], padding[1], dilation[1], ceil_mode)
    for r in range(kernel[0]):
        h = np.arange(P) * stride[0] - padding[0][0] + r * dilation[0]
        for s in range(kernel[1]):
            w = np.arange(Q) * stride[1] - padding[1][0] + s * dilation[1]
            inside = np.logical_and.outer((h >= 0) & (h < H), (w >= 0) & (w < W))
            pixels = x[:, h.clip(0, H - 1)][:, :, w.clip(0, W - 1)]
            yield pixels, inside, np.add.outer(h * W, w)


def _output_size(size: int, kernel: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> int:
    """How many windows end inside the padded input; `ceil_mode` adds one that ends behind it, but starts in the input
    or in the padding before it."""
    last, rest = divmod(size + sum(padding) - dilation * (kernel - 1) - 1, stride)
    one_more = ceil_mode and rest > 0 and (last + 1) * stride < size + padding[0]
    return last + 1 + one_more


def _clipped(size: int, kernel: int, stride: int, padding: Pair, ceil_mode: bool) -> Array:
    """Length of each window within the padded input: only a ceil_mode window is cut."""
    start = np.arange(_output_size(size, kernel, stride, padding, 1, ceil_mode)) * stride
    return np.minimum(start + kernel, size + sum(padding)) - start


def _adaptive_windows(x: Array, output_size: Pair) -> Iterator[tuple[int, int, slice, slice]]:
    (H, W), (P, Q) = x.shape[1:3], output_size
    for p in range(P):
        rows = slice(p * H // P, -((p + 1) * H // -P))
        for q in range(Q):
            yield p, q, rows, slice(q * W // Q, -((q + 1) * W // -Q))
