"""Gradients with respect to convolutions' weights: what each weight was multiplied by, times the gradient of the sum it
went into, over all pixels."""

from itertools import product
from typing import Any

import numpy as np

from ..conv import PAD_MODES, pad, pixels_at
from ..layout import Array, Pair, Sides, exact, to_nhwc

Triple = tuple[int, int, int]
_IMAGES = {"NLC": "NHWC", "NCL": "NCHW"}


def conv2d_weight(
    grad_output: Array, x: Array, *, kernel_size: Pair, stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1), groups: int = 1, layout: str = "NHWC", padding_mode: str = "zeros",
) -> Array:  # fmt: skip
    """grad_weight[r,s,c,k] = the sum over n, p, q of x[n,h,w,c] * grad_output[n,p,q,k], with conv2d's h and w."""
    x, gradient = pad(to_nhwc(x, layout), padding, padding_mode), to_nhwc(grad_output, layout)
    (P, Q, K), C = gradient.shape[1:], x.shape[3]
    weight = np.zeros((*kernel_size, C // groups, K))
    for r, s, g in product(range(kernel_size[0]), range(kernel_size[1]), range(groups)):
        channels = slice(g * C // groups, (g + 1) * C // groups)
        filters = slice(g * K // groups, (g + 1) * K // groups)
        met = pixels_at(x, r, s, (P, Q), stride, dilation)[..., channels]
        with np.errstate(all="ignore"):
            weight[r, s, :, filters] = np.einsum("npqc,npqk->ck", met, gradient[..., filters])
    return weight if layout == "NHWC" else np.transpose(weight, (3, 2, 0, 1))


def depthwise_conv2d_weight(
    grad_output: Array, x: Array, *, kernel_size: Pair, stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1), layout: str = "NHWC", padding_mode: str = "zeros",
) -> Array:  # fmt: skip
    """conv2d's with a group a channel; (R, S, C, multiplier) in NHWC and (C*multiplier, 1, R, S) in NCHW."""
    C = to_nhwc(x, layout).shape[3]
    weight = conv2d_weight(
        grad_output, x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, groups=C,
        layout=layout, padding_mode=padding_mode,
    )  # fmt: skip
    return weight.reshape(*kernel_size, C, -1) if layout == "NHWC" else weight


def conv_transpose2d_weight(
    grad_output: Array, x: Array, *, kernel_size: Pair, stride: Pair = (1, 1), padding: Sides = ((0, 0), (0, 0)),
    output_padding: Pair = (0, 0), dilation: Pair = (1, 1), groups: int = 1, layout: str = "NHWC",
) -> Array:  # fmt: skip
    """grad_weight[r,s,k,c] = the sum over n, h, w of x[n,h,w,c] * grad_output at what x[n,h,w] was added to.

    `output_padding` adds outputs that no weight reaches, or that the padded gradient has already.
    """
    x, gradient = to_nhwc(x, layout), pad(to_nhwc(grad_output, layout), padding, "zeros")
    (H, W, C), K = x.shape[1:], gradient.shape[3]
    weight = np.zeros((*kernel_size, K // groups, C))
    for r, s, g in product(range(kernel_size[0]), range(kernel_size[1]), range(groups)):
        channels = slice(g * C // groups, (g + 1) * C // groups)
        filters = slice(g * K // groups, (g + 1) * K // groups)
        targets = pixels_at(gradient, r, s, (H, W), stride, dilation)[..., filters]
        with np.errstate(all="ignore"):
            weight[r, s, :, channels] = np.einsum("nhwk,nhwc->kc", targets, x[..., channels])
    return weight if layout == "NHWC" else np.transpose(weight, (3, 2, 0, 1))


def conv1d_weight(
    grad_output: Array, x: Array, *, kernel_size: int, stride: int = 1, padding: Pair = (0, 0), dilation: int = 1,
    groups: int = 1, layout: str = "NLC", padding_mode: str = "zeros",
) -> Array:  # fmt: skip
    """conv2d's of height 1; (S, C/groups, K) in NLC and (K, C/groups, S) in NCL."""
    axis = 1 if layout == "NLC" else 2
    weight = conv2d_weight(
        np.expand_dims(grad_output, axis), np.expand_dims(x, axis), kernel_size=(1, kernel_size), stride=(1, stride),
        padding=((0, 0), padding), dilation=(1, dilation), groups=groups, layout=_IMAGES[layout],
        padding_mode=padding_mode,
    )  # fmt: skip
    return weight.squeeze(0 if layout == "NLC" else 2)


def conv3d_weight(
    grad_output: Array, x: Array, *, kernel_size: Triple, stride: Triple = (1, 1, 1),
    padding: tuple[Pair, Pair, Pair] = ((0, 0), (0, 0), (0, 0)), dilation: Triple = (1, 1, 1), groups: int = 1,
    layout: str = "NDHWC", padding_mode: str = "zeros",
) -> Array:  # fmt: skip
    """The sum over n, o, p, q; (T, R, S, C/groups, K), or (K, C/groups, T, R, S) in NCDHW."""
    x, gradient = exact(x), exact(grad_output)
    if layout == "NCDHW":
        x, gradient = np.moveaxis(x, 1, -1), np.moveaxis(gradient, 1, -1)
    x = np.pad(x, ((0, 0), *padding, (0, 0)), mode=PAD_MODES[padding_mode])
    size, K, C = gradient.shape[1:4], gradient.shape[4], x.shape[4]
    weight = np.zeros((*kernel_size, C // groups, K))
    for tap in product(*map(range, kernel_size)):
        cut: tuple[Any, ...] = tuple(
            slice(tap[i] * dilation[i], tap[i] * dilation[i] + (size[i] - 1) * stride[i] + 1, stride[i])
            for i in range(3)
        )
        met = x[(slice(None), *cut)]
        for g in range(groups):
            channels = slice(g * C // groups, (g + 1) * C // groups)
            filters = slice(g * K // groups, (g + 1) * K // groups)
            with np.errstate(all="ignore"):
                weight[tap][:, filters] = np.einsum("nopqc,nopqk->ck", met[..., channels], gradient[..., filters])
    return weight if layout == "NDHWC" else np.transpose(weight, (4, 3, 0, 1, 2))
