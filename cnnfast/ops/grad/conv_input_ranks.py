"""Gradients of conv1d and conv3d with respect to their input, by the two-dimensional ones."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import arrays, checks, lines, options, pointwise, shapes, volumes
from cnnfast.ops.arrays import Array
from cnnfast.ops.grad.conv_input import conv2d_input, unpad
from cnnfast.ops.lines import Padding1d
from cnnfast.ops.signatures import FLOATS
from cnnfast.ops.volumes import Padding3d, Triple


def conv1d_input(
    grad_output: ArrayLike, weight: ArrayLike, input_shape: tuple[int, int, int], *, stride: int = 1,
    padding: Padding1d = 0, dilation: int = 1, groups: int = 1, layout: str = "NLC", padding_mode: str = "zeros",
    precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of `cnnfast.conv1d` with respect to x.

    Parameters
    ----------
    grad_output : of conv1d's y's shape, (N, Q, K), or (N, K, Q) with layout "NCL"; float32 or float64
    weight : conv1d's, (S, C/groups, K), or (K, C/groups, S) with "NCL"
    input_shape : of conv1d's x, in the layout's order
    stride, padding, dilation, groups, layout, padding_mode : as they were given to conv1d
    precision, out : see `conv2d_input`

    Returns
    -------
    grad_input : of input_shape, in grad_output's dtype

    Raises
    ------
    As `conv2d_input`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> weight = np.array([1.0, 10.0]).reshape(2, 1, 1)
    >>> cnnfast.grad.conv1d_input(np.ones((1, 2, 1)), weight, (1, 3, 1)).ravel().tolist()
    [1.0, 11.0, 10.0]
    """
    order = checks.choice("layout", layout, lines.LAYOUTS)
    axis = 1 if order == "NLC" else 2
    N, first, second = _sizes(input_shape, 3, lines.AXES[order])
    grad = conv2d_input(
        lines.lift("grad_output", grad_output, lines.AXES[order], axis),
        lines.lift("weight", weight, lines.WEIGHTS[order], 0 if order == "NLC" else 2),
        (N, 1, first, second) if order == "NLC" else (N, first, 1, second),
        stride=(1, checks.integer("stride", stride, 1)), padding=lines.sides(padding),
        dilation=(1, checks.integer("dilation", dilation, 1)), groups=groups, layout=lines.LAYOUTS[order],
        padding_mode=padding_mode, precision=precision, out=lines.lift_out(out, lines.AXES[order], axis),
    )  # fmt: skip
    return grad.squeeze(axis) if out is None else out


def conv3d_input(
    grad_output: ArrayLike, weight: ArrayLike, input_shape: tuple[int, int, int, int, int], *, stride: Triple = 1,
    padding: Padding3d = 0, dilation: Triple = 1, groups: int = 1, layout: str = "NDHWC", padding_mode: str = "zeros",
    precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of `cnnfast.conv3d` with respect to x: the sum over the depth taps of 2-D ones.

    Parameters
    ----------
    grad_output : of conv3d's y's shape, (N, O, P, Q, K), or (N, K, O, P, Q) with layout "NCDHW"; float32 or float64
    weight : conv3d's, (T, R, S, C/groups, K), or (K, C/groups, T, R, S) with "NCDHW"; cast to grad_output's dtype
    input_shape : of conv3d's x, in the layout's order
    stride, padding, dilation, groups, layout, padding_mode : as they were given to conv3d
    precision, out : see `conv2d_input`

    Returns
    -------
    grad_input : of input_shape, in grad_output's dtype

    Raises
    ------
    As `conv2d_input`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> weight = np.array([1.0, 10.0]).reshape(2, 1, 1, 1, 1)
    >>> cnnfast.grad.conv3d_input(np.ones((1, 2, 1, 1, 1)), weight, (1, 3, 1, 1, 1)).ravel().tolist()
    [1.0, 11.0, 10.0]
    """
    order = checks.choice("layout", layout, volumes.LAYOUTS)
    step, gap = volumes.triple("stride", stride), volumes.triple("dilation", dilation)
    mode = checks.choice("padding_mode", padding_mode, options.PADDING_MODES)
    gradient = arrays.as_array("grad_output", grad_output)
    arrays.check_dtype("grad_output", gradient.dtype, FLOATS)
    kernels = volumes.weight_of(weight, gradient.dtype, order)
    asked = _sizes(input_shape, 5, volumes.AXES[order])
    N, D, H, W, C = asked if order == "NDHWC" else (asked[0], *asked[2:], asked[1])
    sides = volumes.resolve(volumes.sides_of(padding), (D, H, W), kernels.shape[:3], step, gap)
    most = {"reflect": D - 1, "circular": D}.get(mode, max(sides[0]))
    if max(sides[0]) > most:
        raise ValueError(f'padding must be <= {most} for padding_mode "{mode}" with depth {D}, got {max(sides[0])}')
    depth, P, Q = (
        shapes.conv_size((D, H, W)[i], kernels.shape[i], step[i], sides[i], gap[i], volumes.NAMES[i]) for i in range(3)
    )
    expected = volumes.ordered((N, depth, P, Q, kernels.shape[-1]), order)
    if gradient.shape != expected:
        raise ValueError(
            f"grad_output must have the output's shape {expected} (of an input {asked}), got {gradient.shape}"
        )
    target = pointwise.target(out, asked, gradient.dtype, (("grad_output", gradient), ("weight", weight)))
    planes = arrays.contiguous("grad_output", gradient if order == "NDHWC" else np.moveaxis(gradient, 1, -1))
    how: dict[str, Any] = {
        "stride": step[1:], "padding": sides[1:], "dilation": gap[1:], "groups": groups, "padding_mode": mode,
        "precision": precision,
    }  # fmt: skip
    padded = np.zeros((N, D + sum(sides[0]), H, W, C), gradient.dtype)
    for t, kernel in enumerate(kernels):
        part = conv2d_input(planes.reshape(N * depth, P, Q, kernels.shape[-1]), kernel, (N * depth, H, W, C), **how)
        padded[:, t * gap[0] : t * gap[0] + (depth - 1) * step[0] + 1 : step[0]] += part.reshape(N, depth, H, W, C)
    grad = unpad(padded, 1, sides[0], mode)
    target[...] = grad if order == "NDHWC" else np.moveaxis(grad, -1, 1)
    return target


def _sizes(value: object, count: int, axes: str) -> tuple[int, ...]:
    """An input_shape of so many sizes, none but N 0."""
    if not isinstance(value, tuple | list):
        raise TypeError(f"input_shape must be ({axes}), got {value!r}")
    if len(value) != count:
        raise ValueError(f"input_shape must be ({axes}), got {value!r}")
    sizes = tuple(checks.integer("input_shape", size, minimum=0) for size in value)
    if 0 in sizes[1:]:
        raise ValueError(f"input_shape must have no empty dimension but N ({axes}), got {sizes}")
    return sizes
