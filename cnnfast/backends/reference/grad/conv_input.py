"""Gradients of convolutions with respect to their input: what each tap read gets back what it gave."""

from itertools import product
from typing import Any

import numpy as np

from ..conv import PAD_MODES
from ..layout import Array, Pair, Sides, exact, from_nhwc, to_hwio, to_nhwc

Triple = tuple[int, int, int]
_IMAGES = {"NLC": "NHWC", "NCL": "NCHW"}


def conv2d_input(
    grad_output: Array, weight: Array, *, input_shape: tuple[int, int, int, int], stride: Pair = (1, 1),
    padding: Sides = ((0, 0), (0, 0)), dilation: Pair = (1, 1), groups: int = 1, layout: str = "NHWC",
    padding_mode: str = "zeros",
) -> Array:  # fmt: skip
    """grad_padded[n,h,w,c] = the sum over p, q, r, s, k with h = p*stride + r*dilation (w alike) of
    grad_output[n,p,q,k] * weight[r,s,c,k]; then what padding copied goes back to where it was copied from."""
    N, H, W, C = input_shape if layout == "NHWC" else (input_shape[0], *input_shape[2:], input_shape[1])
    grad = _scatter(
        to_nhwc(grad_output, layout)[:, np.newaxis], to_hwio(weight, layout)[np.newaxis], (N, 1, H, W, C),
        (1, *stride), ((0, 0), *padding), (1, *dilation), groups, padding_mode,
    )  # fmt: skip
    return from_nhwc(grad[:, 0], layout)


def depthwise_conv2d_input(
    grad_output: Array, weight: Array, *, input_shape: tuple[int, int, int, int], stride: Pair = (1, 1),
    padding: Sides = ((0, 0), (0, 0)), dilation: Pair = (1, 1), layout: str = "NHWC", padding_mode: str = "zeros",
) -> Array:  # fmt: skip
    """conv2d_input of as many groups as channels."""
    if layout == "NHWC":
        R, S, C, multiplier = weight.shape
        weight = weight.reshape(R, S, 1, C * multiplier)
    return conv2d_input(
        grad_output, weight, input_shape=input_shape, stride=stride, padding=padding, dilation=dilation,
        groups=input_shape[3 if layout == "NHWC" else 1], layout=layout, padding_mode=padding_mode,
    )  # fmt: skip


def conv_transpose2d_input(
    grad_output: Array, weight: Array, *, stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)),
    output_padding: Pair = (0, 0), dilation: Pair = (1, 1), groups: int = 1, layout: str = "NHWC",
) -> Array:  # fmt: skip
    """Each x[n,h,w] gets, from every output it was added to, that output's gradient times the weight between."""
    grad, weight = to_nhwc(grad_output, layout), to_hwio(weight, layout)
    R, S, group_filters, C = weight.shape
    full = np.pad(grad, ((0, 0), *padding, (0, 0)))  # what was cropped had no part in the result
    sizes = zip(full.shape[1:3], (R, S), stride, dilation, output_padding, strict=True)
    H, W = ((size - extra - (k - 1) * gap - 1) // step + 1 for size, k, step, gap, extra in sizes)
    x = np.zeros((grad.shape[0], H, W, C))
    with np.errstate(all="ignore"):
        for g, r, s in product(range(groups), range(R), range(S)):
            channels = slice(g * C // groups, (g + 1) * C // groups)
            filters = slice(g * group_filters, (g + 1) * group_filters)
            h, w = r * dilation[0], s * dilation[1]
            met = full[:, h : h + (H - 1) * stride[0] + 1 : stride[0], w : w + (W - 1) * stride[1] + 1 : stride[1]]
            x[..., channels] += met[..., filters] @ weight[r, s, :, channels]
    return from_nhwc(x, layout)


def conv1d_input(
    grad_output: Array, weight: Array, *, input_shape: Triple, stride: int = 1, padding: Pair = (0, 0),
    dilation: int = 1, groups: int = 1, layout: str = "NLC", padding_mode: str = "zeros",
) -> Array:  # fmt: skip
    """conv2d_input of height 1."""
    axis = 1 if layout == "NLC" else 2
    lifted: Any = (*input_shape[:axis], 1, *input_shape[axis:])
    grad = conv2d_input(
        np.expand_dims(grad_output, axis), np.expand_dims(weight, 0 if layout == "NLC" else 2), input_shape=lifted,
        stride=(1, stride), padding=((0, 0), padding), dilation=(1, dilation), groups=groups, layout=_IMAGES[layout],
        padding_mode=padding_mode,
    )  # fmt: skip
    return grad.squeeze(axis)


def conv3d_input(
    grad_output: Array, weight: Array, *, input_shape: tuple[int, ...], stride: Triple = (1, 1, 1),
    padding: tuple[Pair, Pair, Pair] = ((0, 0), (0, 0), (0, 0)), dilation: Triple = (1, 1, 1), groups: int = 1,
    layout: str = "NDHWC", padding_mode: str = "zeros",
) -> Array:  # fmt: skip
    """conv2d_input with one axis more."""
    if layout == "NDHWC":
        return _scatter(exact(grad_output), exact(weight), input_shape, stride, padding, dilation, groups, padding_mode)
    N, C, D, H, W = input_shape
    grad = _scatter(
        np.moveaxis(exact(grad_output), 1, -1), np.transpose(exact(weight), (2, 3, 4, 1, 0)), (N, D, H, W, C), stride,
        padding, dilation, groups, padding_mode,
    )  # fmt: skip
    return np.moveaxis(grad, -1, 1)


def _scatter(
    grad_output: Array, weight: Array, shape: tuple[int, ...], stride: Triple, padding: tuple[Pair, ...],
    dilation: Triple, groups: int, padding_mode: str,
) -> Array:  # fmt: skip
    """Of a volume's convolution, channels last; weight (T, R, S, C/groups, K)."""
    inner, K = weight.shape[3:]
    size = grad_output.shape[1:4]
    padded = np.zeros((shape[0], *(n + sum(sides) for n, sides in zip(shape[1:4], padding, strict=True)), shape[4]))
    with np.errstate(all="ignore"):
        for tap in product(*map(range, weight.shape[:3])):
            met: tuple[Any, ...] = tuple(
                slice(tap[i] * dilation[i], tap[i] * dilation[i] + (size[i] - 1) * stride[i] + 1, stride[i])
                for i in range(3)
            )
            for g in range(groups):
                filters = slice(g * K // groups, (g + 1) * K // groups)
                read = padded[(slice(None), *met)][..., g * inner : (g + 1) * inner]
                read += grad_output[..., filters] @ weight[tap][:, filters].T
        for axis, sides in enumerate(padding, start=1):
            padded = _unpad(padded, axis, shape[axis], sides, padding_mode)
    return padded


def _unpad(padded: Array, axis: int, size: int, sides: Pair, mode: str) -> Array:
    """The gradient of np.pad along an axis."""
    source = np.pad(np.arange(size), sides, mode=PAD_MODES[mode])
    padded = np.moveaxis(padded, axis, 0)
    if mode == "zeros":
        return np.moveaxis(padded[sides[0] : sides[0] + size], 0, axis)
    grad = np.zeros((size, *padded.shape[1:]))
    np.add.at(grad, source, padded)
    return np.moveaxis(grad, 0, axis)
