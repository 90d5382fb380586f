"""Gradients with respect to the weights of conv1d and conv3d, by conv2d's."""

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import arrays, checks, lines, options, pointwise, shapes, volumes
from cnnfast.ops.arrays import Array
from cnnfast.ops.grad.conv_weight import conv2d_weight
from cnnfast.ops.lines import Padding1d
from cnnfast.ops.signatures import FLOATS
from cnnfast.ops.volumes import Padding3d, Triple


def conv1d_weight(
    grad_output: ArrayLike, x: ArrayLike, kernel_size: int, *, stride: int = 1, padding: Padding1d = 0,
    dilation: int = 1, groups: int = 1, layout: str = "NLC", padding_mode: str = "zeros", out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of conv1d with respect to its weight.

    Parameters
    ----------
    grad_output : (N, Q, K), or (N, K, Q) with layout "NCL": y's gradient
    x : (N, L, C), or (N, C, L): conv1d's; float32 or float64
    kernel_size : an integer
    stride, padding, dilation, groups, layout, padding_mode : conv1d's
    out : where to write; it may not overlap an input

    Returns
    -------
    grad_weight : (S, C/groups, K), or (K, C/groups, S) with "NCL", of x's dtype

    Raises
    ------
    As `conv2d_weight`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> cnnfast.grad.conv1d_weight(np.ones((1, 2, 1)), np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1), 2).ravel().tolist()
    [3.0, 6.0]
    """
    order = checks.choice("layout", layout, lines.LAYOUTS)
    axis = 1 if order == "NLC" else 2
    weight_axis = 0 if order == "NLC" else 2
    axes = lines.AXES[order]
    weight = conv2d_weight(
        lines.lift("grad_output", grad_output, axes, axis), lines.lift("x", x, axes, axis),
        (1, checks.integer("kernel_size", kernel_size, 1)), stride=(1, checks.integer("stride", stride, 1)),
        padding=lines.sides(padding), dilation=(1, checks.integer("dilation", dilation, 1)), groups=groups,
        layout=lines.LAYOUTS[order], padding_mode=padding_mode, out=lines.lift_out(out, axes, weight_axis),
    )  # fmt: skip
    return weight.squeeze(weight_axis) if out is None else out


def conv3d_weight(
    grad_output: ArrayLike, x: ArrayLike, kernel_size: Triple, *, stride: Triple = 1, padding: Padding3d = 0,
    dilation: Triple = 1, groups: int = 1, layout: str = "NDHWC", padding_mode: str = "zeros",
    out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of conv3d with respect to its weight: conv2d_weight of the planes that each depth tap meets.

    Parameters
    ----------
    grad_output : (N, O, P, Q, K), or (N, K, O, P, Q) with layout "NCDHW": y's gradient
    x : (N, D, H, W, C), or (N, C, D, H, W): conv3d's; float32 or float64
    kernel_size : an integer, or (depth, height, width)
    stride, padding, dilation, groups, layout, padding_mode : conv3d's
    out : where to write; it may not overlap an input

    Returns
    -------
    grad_weight : (T, R, S, C/groups, K), or (K, C/groups, T, R, S) with "NCDHW", of x's dtype

    Raises
    ------
    As `conv2d_weight`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> x = np.arange(4.0).reshape(1, 4, 1, 1, 1)
    >>> cnnfast.grad.conv3d_weight(np.ones((1, 3, 1, 1, 1)), x, (2, 1, 1)).ravel().tolist()
    [3.0, 6.0]
    """
    order = checks.choice("layout", layout, volumes.LAYOUTS)
    kernel, step, gap = (
        volumes.triple(name, value)
        for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
    )
    mode = checks.choice("padding_mode", padding_mode, options.PADDING_MODES)
    count = checks.integer("groups", groups, minimum=1)
    images = volumes.volumes("x", x, FLOATS, order)
    N, D, H, W, C = images.shape
    gradient = volumes.volumes("grad_output", grad_output, FLOATS, order)
    gradient = arrays.contiguous("grad_output", gradient, images.dtype)
    K = gradient.shape[4]
    sides = volumes.resolve(volumes.sides_of(padding), (D, H, W), kernel, step, gap)
    depth, P, Q = (
        shapes.conv_size((D, H, W)[i], kernel[i], step[i], sides[i], gap[i], volumes.NAMES[i], "kernel_size")
        for i in range(3)
    )
    expected = (N, depth, P, Q, K)
    if gradient.shape != expected:
        raise ValueError(
            f"grad_output must have the output's shape {volumes.ordered(expected, order)}, "
            f"got {volumes.ordered(gradient.shape, order)}"
        )
    if C % count or K % count:
        raise ValueError(f"groups must divide C {C} and K {K}, got {count}")
    shape = (*kernel, C // count, K)
    last = order == "NDHWC"
    weight = pointwise.target(
        out, shape if last else (K, C // count, *kernel), images.dtype, (("grad_output", grad_output), ("x", x))
    )
    padded = volumes.pad_depth(images, sides[0], mode)
    parts = []  # nothing is written before all are there
    for t in range(kernel[0]):
        planes = padded[:, t * gap[0] : t * gap[0] + (depth - 1) * step[0] + 1 : step[0]]
        parts.append(conv2d_weight(
            gradient.reshape(N * depth, P, Q, K), planes.reshape(N * depth, H, W, C), kernel[1:], stride=step[1:],
            padding=sides[1:], dilation=gap[1:], groups=count, padding_mode=mode,
        ))  # fmt: skip
    for t, part in enumerate(parts):
        if last:
            weight[t] = part
        else:
            weight[:, :, t] = np.transpose(part, (3, 2, 0, 1))
    return weight
