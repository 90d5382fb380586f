"""Gradients of batch_norm and local_response_norm."""

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import checks, norm, options, pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.grad.arguments import like
from cnnfast.ops.norm_train import check_activation
from cnnfast.ops.options import Activation


def batch_norm(
    grad_output: ArrayLike, x: ArrayLike, mean: ArrayLike, var: ArrayLike, weight: ArrayLike | None = None,
    bias: ArrayLike | None = None, *, eps: float = 1e-5, training: bool, layout: str = "NHWC",
    activation: Activation = None, out: Array | None = None,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """The gradients of batch_norm_train (training) or batch_norm with respect to x, weight and bias.

    Sums over a channel are taken as `batch_norm_train` takes its own: |grad_bias - exact| <= 130u * the sum of |g|, g
    grad_output where the activation rises and u half an ulp of 1, |grad_weight - exact| the same of |g * n|, n the
    normalised x; grad_input errs by that, divided by their number, and 8u of its terms.

    Parameters
    ----------
    grad_output : of x's shape
    x, weight, bias, eps, layout : the op's
    mean, var : (C,): what `batch_norm_train` gave back, or `batch_norm`'s running_mean and running_var
    training : whether mean and var are x's own, so that the gradient goes through them too
    activation : the op's own; None, "relu" or "relu6"
    out : where to write grad_input; it may not overlap an input

    Returns
    -------
    grad_input : of x's shape and dtype
    grad_weight, grad_bias : (C,), of x's dtype

    Raises
    ------
    ValueError : a shape does not match, or a value is out of its range
    TypeError : an argument has the wrong type or dtype
    MemoryError : grad_input or a copy cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> x, g = np.array([[1.0], [5.0]]), np.array([[1.0], [0.0]])
    >>> grads = cnnfast.grad.batch_norm(g, x, np.array([3.0]), np.array([4.0]), eps=0.0, training=True)
    >>> [each.ravel().tolist() for each in grads]
    [[0.0, 0.0], [-1.0], [1.0]]
    """
    own = checks.boolean("training", training)
    order = options.layout(layout)
    name = check_activation(activation)[0]
    vectors = ("mean", mean), ("var", var), ("weight", weight), ("bias", bias)
    given = norm.arguments(x, vectors, eps, order)
    dtype, channels = given.x.dtype, given.place[1]
    center, spread, scale, shift = given.vectors
    g = like("grad_output", grad_output, given.x.shape, dtype)
    grad_weight, grad_bias = np.zeros(channels, dtype), np.zeros(channels, dtype)
    grad_input = pointwise.execute(
        lambda a, b: native.grad_batch_norm(
            a, b, g, center, spread, scale, shift, grad_weight, grad_bias, *given.place, given.eps, own, name
        ),
        given.x, out, (("x", given.x), ("grad_output", grad_output), *vectors),
    )  # fmt: skip
    return grad_input, grad_weight, grad_bias


def local_response_norm(
    grad_output: ArrayLike, x: ArrayLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, *,
    layout: str = "NHWC", out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of local_response_norm with respect to x.

    Parameters
    ----------
    grad_output : of x's shape
    x, size, alpha, beta, k, layout : the op's
    out : where to write grad_input; it may not overlap an input

    Returns
    -------
    grad_input : of x's shape and dtype

    Raises
    ------
    As `batch_norm`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> x = np.array([1.0, 2.0]).reshape(1, 1, 1, 2)
    >>> cnnfast.grad.local_response_norm(np.ones_like(x), x, 1, alpha=1.0, beta=0.5, k=0.0).ravel().tolist()
    [0.0, 0.0]
    """
    order = options.layout(layout)
    window = checks.integer("size", size, minimum=1)
    rate, power, add = checks.number("alpha", alpha), checks.number("beta", beta), checks.number("k", k)
    values = pointwise.as_floats("x", x)
    if not 3 <= values.ndim <= 5:
        raise ValueError(f"x must have 3 to 5 dimensions, got shape {values.shape}")
    g = like("grad_output", grad_output, values.shape, values.dtype)
    to = pointwise.target(out, values.shape, values.dtype, (("grad_output", grad_output), ("x", values)))
    last, gl, tl = (each if order == "NHWC" else np.moveaxis(each, 1, -1) for each in (values, g, to))
    before, after = window // 2, (window - 1) // 2
    with np.errstate(all="ignore"):
        scale = add + rate / window * _window_sum(np.square(last), before, after)
        down = scale**-power
        mixed = _window_sum(gl * last * down / scale, after, before)
        tl[...] = gl * down - 2 * rate * power / window * last * mixed
    return to


def _window_sum(values: Array, before: int, after: int) -> Array:
    """The sums over the last axis from `before` elements before to `after` after each, in float64."""
    C = values.shape[-1]
    sums = np.empty(values.shape, np.float64)
    for c in range(C):
        values[..., max(0, c - before) : c + after + 1].sum(axis=-1, dtype=np.float64, out=sums[..., c])
    return sums
