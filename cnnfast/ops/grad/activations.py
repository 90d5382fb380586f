"""Gradients of the activations."""

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import options, pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.grad import arguments
from cnnfast.ops.options import Activation

FROM_OUTPUT = ("relu", "relu6", "leaky_relu", "sigmoid", "tanh", "elu", "selu", "hardsigmoid")
"""The activations whose gradient is worked out from their output y; that of the others from their input x."""


def activation(
    grad_output: ArrayLike, values: ArrayLike, activation: Activation, *, out: Array | None = None
) -> Array:  # fmt: skip
    """The gradient of an activation with respect to its input: grad_output * its derivative.

    At a kink the derivative is torch's: relu's is 0 at 0, leaky_relu's its slope. Worked out from y it is within 3u of
    itself, u half an ulp of 1 (elu and selu: of itself and |y|), from x within 8u * (1 + |itself|), since there it is a
    sum whose terms may cancel.

    Parameters
    ----------
    grad_output : of values' shape
    values : float32 or float64; the output y of relu, relu6, leaky_relu, sigmoid, tanh, elu, selu and hardsigmoid
        (`FROM_OUTPUT`), the input x of the others: gelu, gelu_tanh, silu, hardswish, mish and softplus
    activation : a name, or ("leaky_relu", slope) or ("elu", alpha): see `conv2d`; slope and alpha must be >= 0, for
        else y does not tell its x
    out : where to write grad_input; it may not overlap an input

    Returns
    -------
    grad_input : of values' shape and dtype

    Raises
    ------
    ValueError : a shape does not match, or a value is out of its range
    TypeError : an argument has the wrong type or dtype
    MemoryError : grad_input cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> y = cnnfast.relu(np.array([-1.0, 2.0]))
    >>> cnnfast.grad.activation(np.array([3.0, 3.0]), y, "relu").tolist()
    [0.0, 3.0]
    """
    name, alpha = check_activation(activation)
    given = pointwise.as_floats("values", values)
    g = arguments.like("grad_output", grad_output, given.shape, given.dtype)
    return pointwise.execute(
        lambda a, b: native.grad_activation(a, b, g, name, alpha), given, out,
        (("values", given), ("grad_output", grad_output)),
    )  # fmt: skip


def prelu(
    grad_output: ArrayLike, x: ArrayLike, weight: ArrayLike, *, out: Array | None = None
) -> tuple[Array, Array]:  # fmt: skip
    """The gradients of prelu with respect to x and weight.

    Parameters
    ----------
    grad_output : of x's shape
    x, weight : the op's
    out : where to write grad_input; it may not overlap an input

    Returns
    -------
    grad_input : of x's shape and dtype
    grad_weight : of weight's shape, and x's dtype

    Raises
    ------
    As `activation`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> x = np.array([[-1.0, 2.0], [-3.0, -4.0]])
    >>> [each.tolist() for each in cnnfast.grad.prelu(np.ones((2, 2)), x, np.array([0.5, 0.25]))]
    [[[0.5, 1.0], [0.5, 0.25]], [-4.0, -4.0]]
    """
    values = pointwise.as_floats("x", x)
    slopes = pointwise.as_floats("weight", weight)
    if slopes.shape != (1,) and slopes.shape != values.shape[-1:]:
        raise ValueError(f"weight must have shape (1,) or x's last axis {values.shape[-1:]}, got {slopes.shape}")
    g = arguments.like("grad_output", grad_output, values.shape, values.dtype)
    named = (("grad_output", grad_output), ("x", values), ("weight", slopes))
    to = pointwise.target(out, values.shape, values.dtype, named)
    with np.errstate(all="ignore"):
        np.multiply(g, np.where(values > 0, values.dtype.type(1), slopes.astype(values.dtype)), out=to)
        below = g * np.minimum(values, 0)
        over = tuple(range(below.ndim)) if slopes.shape == (1,) != values.shape[-1:] else tuple(range(below.ndim - 1))
        grad_weight = below.sum(axis=over, dtype=np.float64).astype(values.dtype).reshape(slopes.shape)
    return to, grad_weight


def check_activation(value: object) -> tuple[str, float]:
    """(name, alpha) of an activation whose gradient can be told."""
    name, alpha = options.activation("activation", value)
    if name is None:
        raise ValueError("activation must be a name, got None")
    if alpha < 0:
        raise ValueError(f"activation's {'slope' if name == 'leaky_relu' else 'alpha'} must be >= 0, got {alpha}")
    return name, alpha
