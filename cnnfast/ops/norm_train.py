"""Batch normalisation by the batch's own statistics, as in training."""

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import norm, options, pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.options import Activation

ACTIVATIONS = (None, "relu", "relu6")
"""Those that batch_norm_train runs itself, and its gradient takes back."""


def batch_norm_train(
    x: ArrayLike, weight: ArrayLike | None = None, bias: ArrayLike | None = None, *, eps: float = 1e-5,
    layout: str = "NHWC", activation: Activation = None, out: Array | None = None,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """activation((x - mean) / sqrt(var + eps) * weight + bias), by x's own mean and var of each channel.

    y is `batch_norm`'s of the mean and var given back, to the bit. Sums are of differences from a number of their own
    chunk, in chains of at most 128 in x's dtype and beyond that in double. So |mean - exact| <= u*|mean| + 130u * the
    mean of those differences and |var - exact| <= 130u * (1 + k) * var, u half an ulp of 1 and k the square of that
    number's distance from its chunk's mean in standard deviations: about 1, and at most 128 on any data. Bits are the
    same for any number of threads and ISAs with FMA; they differ between layouts.

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
    after = check_activation(activation)[0]
    given = norm.arguments(x, (("weight", weight), ("bias", bias)), eps, order)
    channels, dtype = given.place[1], given.x.dtype
    scale, shift = given.vectors
    mean, var = np.zeros(channels, dtype), np.zeros(channels, dtype)
    y = pointwise.execute(
        lambda a, b: native.train_batch_norm(a, b, mean, var, scale, shift, *given.place, given.eps, after),
        given.x, out, (("x", given.x), ("weight", weight), ("bias", bias)),
    )  # fmt: skip
    return y, mean, var


def check_activation(value: object) -> tuple[str | None, float]:
    """(name, 0.0) of an activation that batch normalisation runs itself."""
    found = options.activation("activation", value)
    if found[0] not in ACTIVATIONS:
        raise ValueError(f'activation must be None, "relu" or "relu6", got {value!r}')
    return found

