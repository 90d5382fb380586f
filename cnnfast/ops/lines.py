"""One dimension: conv1d, max_pool1d, avg_pool1d. A line is an image one pixel high, seen through a view."""

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import arrays, checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import SidesOrSame
from cnnfast.ops.conv import conv2d
from cnnfast.ops.options import Activation
from cnnfast.ops.pool import avg_pool2d, max_pool2d

Padding1d = int | tuple[int, int] | str
LAYOUTS = {"NLC": "NHWC", "NCL": "NCHW"}
AXES = {"NLC": "N, L, C", "NCL": "N, C, L"}
WEIGHTS = {"NLC": "S, C/groups, K", "NCL": "K, C/groups, S"}


def conv1d(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: int = 1, padding: Padding1d = 0,
    dilation: int = 1, groups: int = 1, layout: str = "NLC", padding_mode: str = "zeros",
    activation: Activation = None, residual: ArrayLike | None = None, algorithm: str = "auto",
    precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """1-D convolution: y = activation(conv(x, weight) + bias + residual).

    Parameters
    ----------
    x : (N, L, C), or (N, C, L) with layout "NCL"; dtypes as `conv2d`
    weight : (S, C/groups, K), or (K, C/groups, S) with "NCL"
    bias : (K,)
    stride, dilation : an integer
    padding : an integer, (before, after), "valid" or "same"
    layout : "NLC" or "NCL", of x, weight, residual and y
    groups, padding_mode, activation, residual, algorithm, precision, out : see `conv2d`

    Returns
    -------
    y : (N, Q, K), or (N, K, Q) with "NCL"

    Raises
    ------
    As `conv2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 4, 1)
    >>> cnnfast.conv1d(x, np.array([-1.0, 1.0]).reshape(2, 1, 1)).ravel().tolist()
    [1.0, 2.0, 4.0]
    """
    order = checks.choice("layout", layout, LAYOUTS)
    axis = 1 if order == "NLC" else 2
    kernels = lift("weight", weight, WEIGHTS[order], 0 if order == "NLC" else 2)
    y = conv2d(
        lift("x", x, AXES[order], axis), kernels, bias, stride=(1, checks.integer("stride", stride, 1)),
        padding=sides(padding), dilation=(1, checks.integer("dilation", dilation, 1)), groups=groups,
        layout=LAYOUTS[order], padding_mode=padding_mode, activation=activation,
        residual=None if residual is None else lift("residual", residual, AXES[order], axis),
        algorithm=algorithm, precision=precision, out=lift_out(out, AXES[order], axis),
    )  # fmt: skip
    return y.squeeze(axis) if out is None else out


def max_pool1d(
    x: ArrayLike, kernel_size: int, stride: int | None = None, *, padding: Padding1d = 0, dilation: int = 1,
    ceil_mode: bool = False, layout: str = "NLC", algorithm: str = "auto", out: Array | None = None,
) -> Array:  # fmt: skip
    """The largest value in each window of a line.

    Parameters
    ----------
    x : (N, L, C), or (N, C, L) with layout "NCL"; dtypes as `max_pool2d`
    kernel_size, stride, dilation : integers; the stride is by default kernel_size
    padding : an integer, (before, after), "valid" or "same"
    layout : "NLC" or "NCL"
    ceil_mode, algorithm, out : see `max_pool2d`

    Returns
    -------
    y : (N, Q, C), or (N, C, Q) with "NCL", of x's dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.max_pool1d(np.array([1, 3, 2, 0]).reshape(1, 4, 1), 2).ravel().tolist()
    [3, 2]
    """
    order = checks.choice("layout", layout, LAYOUTS)
    axis = 1 if order == "NLC" else 2
    y = max_pool2d(
        lift("x", x, AXES[order], axis), (1, checks.integer("kernel_size", kernel_size, 1)), _step(stride),
        padding=sides(padding), dilation=(1, checks.integer("dilation", dilation, 1)), ceil_mode=ceil_mode,
        layout=LAYOUTS[order], algorithm=algorithm, out=lift_out(out, AXES[order], axis),
    )  # fmt: skip
    return y.squeeze(axis) if out is None else out


def avg_pool1d(
    x: ArrayLike, kernel_size: int, stride: int | None = None, *, padding: Padding1d = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, layout: str = "NLC", algorithm: str = "auto", out: Array | None = None,
) -> Array:  # fmt: skip
    """The mean of each window of a line.

    Parameters
    ----------
    x : (N, L, C), or (N, C, L) with layout "NCL"; float32 or float64
    kernel_size, stride, padding, layout : see `max_pool1d`
    ceil_mode, count_include_pad, algorithm, out : see `avg_pool2d`

    Returns
    -------
    y : (N, Q, C), or (N, C, Q) with "NCL", of x's dtype

    Raises
    ------
    As `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.avg_pool1d(np.array([1.0, 3.0, 2.0, 0.0]).reshape(1, 4, 1), 2).ravel().tolist()
    [2.0, 1.0]
    """
    order = checks.choice("layout", layout, LAYOUTS)
    axis = 1 if order == "NLC" else 2
    y = avg_pool2d(
        lift("x", x, AXES[order], axis), (1, checks.integer("kernel_size", kernel_size, 1)), _step(stride),
        padding=sides(padding), ceil_mode=ceil_mode, count_include_pad=count_include_pad, layout=LAYOUTS[order],
        algorithm=algorithm, out=lift_out(out, AXES[order], axis),
    )  # fmt: skip
    return y.squeeze(axis) if out is None else out


def lift(name: str, value: object, axes: str, axis: int) -> Array:
    """A view of a 3-D array with a height of 1 at `axis`."""
    array = arrays.as_array(name, value)
    check_line(name, array.shape, axes)
    return np.expand_dims(array, axis)


def check_line(name: str, shape: tuple[int, ...], axes: str) -> None:
    """A line's shape, or its weight's."""
    if len(shape) != 3:
        raise ValueError(f"{name} must have 3 dimensions ({axes}), got shape {shape}")


def lift_out(out: object, axes: str, axis: int) -> Array | None:
    """A view of `out`, which the 2-D op then checks and writes."""
    if out is None:
        return None
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy.ndarray, got {type(out).__name__}")
    return lift("out", out, axes, axis)


def _step(stride: object) -> tuple[int, int] | None:
    return None if stride is None else (1, checks.integer("stride", stride, 1))


def sides(padding: object) -> SidesOrSame:
    """A line's padding as its image's."""
    if isinstance(padding, tuple | list):
        if len(padding) != 2:
            raise ValueError(f"padding must be an integer or (before, after), got {padding!r}")
        return (0, 0), (checks.integer("padding", padding[0], 0), checks.integer("padding", padding[1], 0))
    if isinstance(padding, str):
        return checks.sides("padding", padding)
    both = checks.integer("padding", padding, 0)
    return (0, 0), (both, both)
