"""One and three dimensions: a line is an image one pixel high, a volume is summed tap by tap."""

from itertools import product
from typing import Any

import numpy as np

from . import conv, pool
from .activations import NO_ACTIVATION, Activation, activate
from .layout import Array, Pair, exact

Triple = tuple[int, int, int]
_IMAGES = {"NLC": "NHWC", "NCL": "NCHW"}


def conv1d(
    x: Array, weight: Array, bias: Array | None = None, residual: Array | None = None, *, stride: int = 1,
    padding: Pair = (0, 0), dilation: int = 1, groups: int = 1, layout: str = "NLC", padding_mode: str = "zeros",
    activation: Activation = NO_ACTIVATION,
) -> Array:  # fmt: skip
    """conv2d of height 1; weight (S, C/groups, K) in NLC and (K, C/groups, S) in NCL."""
    axis = 1 if layout == "NLC" else 2
    y = conv.conv2d(
        np.expand_dims(x, axis), np.expand_dims(weight, 0 if layout == "NLC" else 2), bias,
        None if residual is None else np.expand_dims(residual, axis), stride=(1, stride), padding=((0, 0), padding),
        dilation=(1, dilation), groups=groups, layout=_IMAGES[layout], padding_mode=padding_mode, activation=activation,
    )  # fmt: skip
    return y.squeeze(axis)


def max_pool1d(
    x: Array, *, kernel_size: int, stride: int, padding: Pair = (0, 0), dilation: int = 1, ceil_mode: bool = False,
    layout: str = "NLC",
) -> Array:  # fmt: skip
    """max_pool2d of height 1."""
    axis = 1 if layout == "NLC" else 2
    y = pool.max_pool2d(
        np.expand_dims(x, axis), kernel_size=(1, kernel_size), stride=(1, stride), padding=((0, 0), padding),
        dilation=(1, dilation), ceil_mode=ceil_mode, layout=_IMAGES[layout],
    )  # fmt: skip
    return np.squeeze(np.asarray(y), axis)


def avg_pool1d(
    x: Array, *, kernel_size: int, stride: int, padding: Pair = (0, 0), ceil_mode: bool = False,
    count_include_pad: bool = True, layout: str = "NLC",
) -> Array:  # fmt: skip
    """avg_pool2d of height 1."""
    axis = 1 if layout == "NLC" else 2
    y = pool.avg_pool2d(
        np.expand_dims(x, axis), kernel_size=(1, kernel_size), stride=(1, stride), padding=((0, 0), padding),
        ceil_mode=ceil_mode, count_include_pad=count_include_pad, layout=_IMAGES[layout],
    )  # fmt: skip
    return y.squeeze(axis)


def conv3d(
    x: Array, weight: Array, bias: Array | None = None, residual: Array | None = None, *, stride: Triple = (1, 1, 1),
    padding: tuple[Pair, Pair, Pair] = ((0, 0), (0, 0), (0, 0)), dilation: Triple = (1, 1, 1), groups: int = 1,
    layout: str = "NDHWC", padding_mode: str = "zeros", activation: Activation = NO_ACTIVATION,
) -> Array:  # fmt: skip
    """The sum over (t, r, s, c); weight (T, R, S, C/groups, K), or (K, C/groups, T, R, S) in NCDHW."""
    x, weight = _last(x, layout), exact(weight)
    if layout == "NCDHW":
        weight = np.transpose(weight, (2, 3, 4, 1, 0))
    x = np.pad(x, ((0, 0), *padding, (0, 0)), mode=conv.PAD_MODES[padding_mode])
    kernel, inner, K = weight.shape[:3], weight.shape[3], weight.shape[4]
    size = [(x.shape[1 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(3)]
    y = np.zeros((x.shape[0], *size, K))
    with np.errstate(all="ignore"):
        for tap in product(*map(range, kernel)):
            cut: tuple[Any, ...] = tuple(
                slice(tap[i] * dilation[i], tap[i] * dilation[i] + (size[i] - 1) * stride[i] + 1, stride[i])
                for i in range(3)
            )
            for g in range(groups):
                filters = slice(g * K // groups, (g + 1) * K // groups)
                taps = x[(slice(None), *cut)][..., g * inner : (g + 1) * inner]
                y[..., filters] += taps @ weight[tap][:, filters]
        y = y if bias is None else y + exact(bias)
        y = y if residual is None else y + _last(residual, layout)
    return _back(activate(y, activation), layout)


def max_pool3d(
    x: Array, *, kernel_size: Triple, stride: Triple, padding: tuple[Pair, Pair, Pair] = ((0, 0), (0, 0), (0, 0)),
    dilation: Triple = (1, 1, 1), ceil_mode: bool = False, layout: str = "NDHWC",
) -> Array:  # fmt: skip
    """The largest voxel of each window."""
    pixels, inside = _windows(_last(x, layout), kernel_size, stride, padding, dilation, ceil_mode)
    lowest = -np.inf if pixels.dtype.kind == "f" else np.iinfo(np.int64).min
    return _back(np.where(inside, pixels, lowest).max(axis=0), layout)


def avg_pool3d(
    x: Array, *, kernel_size: Triple, stride: Triple, padding: tuple[Pair, Pair, Pair] = ((0, 0), (0, 0), (0, 0)),
    ceil_mode: bool = False, count_include_pad: bool = True, layout: str = "NDHWC",
) -> Array:  # fmt: skip
    """The window's sum over its size: within the padded input with `count_include_pad`, else within the input."""
    x = _last(x, layout)
    pixels, inside = _windows(x, kernel_size, stride, padding, (1, 1, 1), ceil_mode)
    with np.errstate(all="ignore"):
        total = np.where(inside, pixels, 0).sum(axis=0)
        if count_include_pad:
            padded = np.pad(np.ones(x.shape[1:4]), padding, constant_values=1)[np.newaxis, ..., np.newaxis]
            _, inside = _windows(padded, kernel_size, stride, ((0, 0),) * 3, (1, 1, 1), ceil_mode, total.shape[1:4])
        return _back(total / inside.sum(axis=0), layout)


def _windows(
    x: Array, kernel: Triple, stride: Triple, padding: tuple[Pair, ...], dilation: Triple, ceil_mode: bool,
    size: tuple[int, ...] | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """For each tap of the window, stacked: the voxels it meets, and whether they are inside the input."""
    shape = x.shape[1:4]
    if size is None:
        size = tuple(_count(shape[i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode) for i in range(3))
    pixels, inside = [], []
    for tap in product(*map(range, kernel)):
        at = [np.arange(size[i]) * stride[i] - padding[i][0] + tap[i] * dilation[i] for i in range(3)]
        met = [(at[i] >= 0) & (at[i] < shape[i]) for i in range(3)]
        d, h, w = (at[i].clip(0, shape[i] - 1) for i in range(3))
        pixels.append(x[:, d][:, :, h][:, :, :, w])
        inside.append((met[0][:, None, None] & met[1][:, None] & met[2])[np.newaxis, ..., np.newaxis])
    return np.stack(pixels), np.stack(inside)


def _count(size: int, kernel: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> int:
    last, rest = divmod(size + sum(padding) - dilation * (kernel - 1) - 1, stride)
    one_more = ceil_mode and rest > 0 and (last + 1) * stride < size + padding[0]
    return last + 1 + one_more


def _last(x: Array, layout: str) -> Array:
    return exact(x) if layout == "NDHWC" else np.moveaxis(exact(x), 1, -1)


def _back(y: Array, layout: str) -> Array:
    return y if layout == "NDHWC" else np.moveaxis(y, -1, 1)
