"""Normalisation at inference: batch_norm, local_response_norm."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, options, pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.options import Activation
from cnnfast.ops.signatures import FLOATS


def batch_norm(
    x: ArrayLike, running_mean: ArrayLike, running_var: ArrayLike, weight: ArrayLike | None = None,
    bias: ArrayLike | None = None, *, eps: float = 1e-5, layout: str = "NHWC", activation: Activation = None,
    out: Array | None = None,
) -> Array:  # fmt: skip
    """activation((x - running_mean) / sqrt(running_var + eps) * weight + bias), each channel with its own numbers.

    |y - exact| <= 4u * (|(x - mean) * scale| + |bias|), u half an ulp of 1 and scale = weight / sqrt(var + eps); the
    activation comes on top.

    Parameters
    ----------
    x : (N, ..., C) with layout "NHWC", (N, C, ...) with "NCHW", of 2 to 5 dimensions; float32 or float64
    running_mean, running_var : (C,), cast to x's dtype
    weight, bias : (C,), cast to x's dtype; by default 1 and 0
    eps : added to running_var
    layout, activation : see `conv2d`
    out : where to write y; it may not overlap an input

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    ValueError : a value or shape is out of its range
    TypeError : an argument has the wrong type or dtype
    MemoryError : y or a copy cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.batch_norm(np.array([[3.0, 5.0]]), np.array([1.0, 1.0]), np.array([1.0, 4.0]), eps=0.0).tolist()
    [[2.0, 2.0]]

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", arXiv:1502.03167.
    """
    order = options.layout(layout)
    after = options.activation("activation", activation)
    vectors = ("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)
    given = arguments(x, vectors, eps, order)
    mean, var, scale, shift = given.vectors
    return pointwise.over_channels(
        lambda a, b, place: native.run_batch_norm(a, b, mean, var, scale, shift, *place, given.eps, *after),
        given.x, order, out, (("x", given.x), *vectors),
    )  # fmt: skip


class Arguments(NamedTuple):
    """What batch normalisation and its gradient take: x, what is C numbers or None, eps, and x as (outer, C, inner)."""

    x: Array
    vectors: tuple[Array | None, ...]
    eps: float
    place: tuple[int, int, int]


def arguments(x: object, vectors: Sequence[tuple[str, object]], eps: object, layout: str) -> Arguments:
    """Them checked. Of the vectors, those named weight and bias may be None."""
    small = check_eps(eps)
    values = pointwise.as_floats("x", x)
    check_dimensions(values.shape, 2)
    place = pointwise.around(values.shape, values.ndim - 1 if layout == "NHWC" else 1)
    found = tuple(
        None if vector is None and name in ("weight", "bias") else _channels(name, vector, values.dtype, place[1])
        for name, vector in vectors
    )
    return Arguments(values, found, small, place)


def local_response_norm(
    x: ArrayLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, *, layout: str = "NHWC",
    out: Array | None = None,
) -> Array:  # fmt: skip
    """x / (k + alpha * mean of x**2 over `size` neighbouring channels)**beta, as torch has it.

    Channel c's neighbours are c - size//2 to c + (size-1)//2; those that do not exist count as zeros in the mean.
    The paper and Keras-like code sum instead of averaging: their alpha is torch's alpha / size.

    Parameters
    ----------
    x : (N, ..., C) with layout "NHWC", (N, C, ...) with "NCHW", of 3 to 5 dimensions; float32 or float64
    size : channels in a window, >= 1
    alpha, beta, k : the formula's; k + alpha * mean must stay above 0 for the power to be a number
    layout : see `conv2d`
    out : where to write y; it may not overlap x

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `batch_norm`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([1.0, 2.0]).reshape(1, 1, 1, 2)
    >>> cnnfast.local_response_norm(x, 1, alpha=1.0, beta=1.0, k=0.0).ravel().tolist()
    [1.0, 0.5]

    References
    ----------
    Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", NIPS 2012, section 3.3.
    """
    order = options.layout(layout)
    window = checks.integer("size", size, minimum=1)
    numbers = checks.number("alpha", alpha), checks.number("beta", beta), checks.number("k", k)
    values = pointwise.as_floats("x", x)
    check_dimensions(values.shape, 3)
    return pointwise.over_channels(
        lambda a, b, place: native.run_local_response_norm(a, b, *place, window, *numbers), values, order, out,
        (("x", values),),
    )  # fmt: skip


def _channels(name: str, value: object, dtype: np.dtype[np.generic], channels: int) -> Array:
    if type(value) is np.ndarray and value.dtype == dtype and value.shape == (channels,):
        return value if value.flags.c_contiguous and value.flags.aligned else arrays.contiguous(name, value)
    array = arrays.as_weight(name, value, dtype, FLOATS)
    check_channels(name, array.shape, channels)
    return array


def check_eps(value: object) -> float:
    """What is added to a variance."""
    small = checks.number("eps", value)
    if small < 0:
        raise ValueError(f"eps must be >= 0, got {value!r}")
    return small


def check_dimensions(shape: tuple[int, ...], least: int) -> None:
    """x's shape: from so many dimensions up to 5."""
    if not least <= len(shape) <= 5:
        raise ValueError(f"x must have {least} to 5 dimensions, got shape {shape}")


def check_channels(name: str, shape: tuple[int, ...], channels: int) -> None:
    """The shape of one number a channel."""
    if shape != (channels,):
        raise ValueError(f"{name} must have shape ({channels},), one number for each channel, got {shape}")
