"""Batch normalisation by the batch's own statistics, as in training."""

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import checks, norm, options, pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.options import Activation

ACTIVATIONS = (None, "relu", "relu6")
"""Those that batch_norm_train runs itself, and its gradient takes back."""


def batch_norm_train(
    x: ArrayLike, weight: ArrayLike | None = None, bias: ArrayLike | None = None, *, eps: float = 1e-5,
    layout: str = "NHWC", activation: Activation = None, out: Array | None = None,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """activation((x - mean) / sqrt(var + eps) * weight + bias), by x's own mean and var of each channel.

    y is `batch_norm`'s of the mean and var given back, to its bound.

    Parameters
    ----------
    x : (N, ..., C) with layout "NHWC", (N, C, ...) with "NCHW", of 2 to 5 dimensions; float32 or float64
    weight, bias : (C,), cast to x's dtype; by default 1 and 0
    eps : added to var
    layout : see `conv2d`
    activation : None, "relu" or "relu6"
    out : where to write y; it may not overlap an input

    Returns
    -------
    y : of x's shape and dtype
    mean, var : (C,), of x's dtype; var divides by the number of elements (biased), and an empty batch has zeros

    Raises
    ------
    As `batch_norm`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> y, mean, var = cnnfast.batch_norm_train(np.array([[1.0], [5.0]]), eps=0.0)
    >>> y.tolist(), mean.tolist(), var.tolist()
    ([[-1.0], [1.0]], [3.0], [4.0])

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", arXiv:1502.03167, algorithm 1.
    """
    order = options.layout(layout)
    check_activation(activation)
    checks.number("eps", eps)
    values = pointwise.as_floats("x", x)
    if not 2 <= values.ndim <= 5:
        raise ValueError(f"x must have 2 to 5 dimensions, got shape {values.shape}")
    mean, var = _statistics(values, order)
    y = norm.batch_norm(values, mean, var, weight, bias, eps=eps, layout=order, activation=activation, out=out)
    return y, mean, var


def check_activation(value: object) -> tuple[str | None, float]:
    """(name, 0.0) of an activation that batch normalisation runs itself."""
    found = options.activation("activation", value)
    if found[0] not in ACTIVATIONS:
        raise ValueError(f'activation must be None, "relu" or "relu6", got {value!r}')
    return found


def _statistics(x: Array, layout: str) -> tuple[Array, Array]:
    at = x.ndim - 1 if layout == "NHWC" else 1
    if x.size == 0:
        return np.zeros(x.shape[at], x.dtype), np.zeros(x.shape[at], x.dtype)
    over = tuple(axis for axis in range(x.ndim) if axis != at)
    with np.errstate(all="ignore"):
        mean = x.mean(axis=over, dtype=np.float64, keepdims=True)
        var = np.square(x - mean).mean(axis=over)
    return mean.ravel().astype(x.dtype), var.astype(x.dtype)
