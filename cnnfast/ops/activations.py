"""Activations made of straight lines, and elu: relu, relu6, leaky_relu, prelu, elu, selu, hardsigmoid, hardswish."""

from numpy.typing import ArrayLike

from cnnfast.ops import arrays, checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.pointwise import activate, as_floats, combine
from cnnfast.ops.signatures import FLOATS


def relu(x: ArrayLike, *, out: Array | None = None) -> Array:
    """max(x, 0). NaN stays NaN.

    Parameters
    ----------
    x : any shape; float32 or float64
    out : where to write y; it may not overlap x

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    ValueError : out does not fit
    TypeError : an argument has the wrong type or dtype
    MemoryError : y cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.relu(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return activate("relu", x, out)


def relu6(x: ArrayLike, *, out: Array | None = None) -> Array:
    """min(max(x, 0), 6).

    Parameters
    ----------
    x, out : see `relu`

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.relu6(np.array([-1.0, 2.0, 9.0])).tolist()
    [0.0, 2.0, 6.0]

    References
    ----------
    Howard et al., "MobileNets", arXiv:1704.04861.
    """
    return activate("relu6", x, out)


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01, *, out: Array | None = None) -> Array:
    """x where x >= 0, negative_slope * x below.

    Parameters
    ----------
    x, out : see `relu`
    negative_slope : what x is multiplied by below 0

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`; negative_slope must be finite.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.leaky_relu(np.array([-1.0, 2.0]), 0.5).tolist()
    [-0.5, 2.0]
    """
    return activate("leaky_relu", x, out, checks.number("negative_slope", negative_slope))


def prelu(x: ArrayLike, weight: ArrayLike, *, out: Array | None = None) -> Array:
    """x where x >= 0, weight * x below: leaky_relu with a learned slope, one for all or one a channel.

    Parameters
    ----------
    x, out : see `relu`
    weight : (1,), or (C,) for the last axis of x

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`; a weight that is neither (1,) nor (C,) is a ValueError.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.prelu(np.array([[-1.0, -1.0]]), np.array([0.5, 0.25])).tolist()
    [[-0.5, -0.25]]

    References
    ----------
    He et al., "Delving deep into rectifiers", arXiv:1502.01852.
    """
    values = as_floats("x", x)
    slopes = arrays.as_weight("weight", weight, values.dtype, FLOATS)
    check_slopes(slopes.shape, values.shape)
    inputs = ("x", values), ("weight", weight)
    if slopes.shape == (1,):
        return activate("leaky_relu", values, out, float(slopes[0]), inputs=inputs)
    return combine("prelu", values, slopes, out, inputs=inputs)


def elu(x: ArrayLike, alpha: float = 1.0, *, out: Array | None = None) -> Array:
    """x where x > 0, alpha * (exp(x) - 1) below.

    Parameters
    ----------
    x, out : see `relu`
    alpha : minus the limit at -inf

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`; alpha must be finite.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.elu(np.array([-np.inf, 2.0])).tolist()
    [-1.0, 2.0]

    References
    ----------
    Clevert et al., arXiv:1511.07289.
    """
    return activate("elu", x, out, checks.number("alpha", alpha))


def selu(x: ArrayLike, *, out: Array | None = None) -> Array:
    """scale * elu(x, alpha) with the alpha 1.6733 and scale 1.0507 that keep mean 0 and variance 1.

    Parameters
    ----------
    x, out : see `relu`

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.selu(np.array([0.0, 1.0])).round(4).tolist()
    [0.0, 1.0507]

    References
    ----------
    Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515.
    """
    return activate("selu", x, out)


def hardsigmoid(x: ArrayLike, *, out: Array | None = None) -> Array:
    """relu6(x + 3) / 6, as torch has it.

    Parameters
    ----------
    x, out : see `relu`

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.hardsigmoid(np.array([-3.0, 0.0, 3.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return activate("hardsigmoid", x, out)


def hardswish(x: ArrayLike, *, out: Array | None = None) -> Array:
    """x * relu6(x + 3) / 6.

    Parameters
    ----------
    x, out : see `relu`

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `relu`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.hardswish(np.array([-3.0, 0.0, 3.0])).tolist()
    [-0.0, 0.0, 3.0]

    References
    ----------
    Howard et al., "Searching for MobileNetV3", arXiv:1905.02244.
    """
    return activate("hardswish", x, out)


def check_slopes(shape: tuple[int, ...], x_shape: tuple[int, ...]) -> None:
    """The shape of prelu's weight: one slope for all, or one for each of x's last axis."""
    if shape != (1,) and (not x_shape or shape != x_shape[-1:]):
        raise ValueError(f"weight must have shape (1,) or x's last axis, got {shape} for x {x_shape}")
