"""softmax and log_softmax along an axis."""

import math

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.elementwise import check_axis


def softmax(x: ArrayLike, axis: int = -1, *, out: Array | None = None) -> Array:
    """exp(x) / the sum of exp(x) along an axis; the largest x is taken off first, so that nothing overflows.

    |y - exact| <= 4 ulp + gamma(68)*|y|: the sum is a fixed tree (chains of 64 terms), whose errors are far below that
    bound but for adversarial x. A NaN or +inf makes its whole slice NaN, and so does a slice of -inf alone.

    Parameters
    ----------
    x : any shape but a scalar; float32 or float64
    axis : along which y sums to 1
    out : where to write y; it may not overlap x

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    ValueError : axis is not one of x's, or out does not fit
    TypeError : an argument has the wrong type or dtype
    MemoryError : y cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.softmax(np.array([[0.0, 0.0, 1e3, 1e3]])).tolist()
    [[0.0, 0.0, 0.5, 0.5]]
    """
    return _softmax(False, x, axis, out)


def log_softmax(x: ArrayLike, axis: int = -1, *, out: Array | None = None) -> Array:
    """x - log of the sum of exp(x) along an axis: softmax's logarithm, without its underflow.

    |y - exact| <= gamma(72) * (1 + |y|), u half an ulp of 1.

    Parameters
    ----------
    x, axis, out : see `softmax`

    Returns
    -------
    y : of x's shape and dtype

    Raises
    ------
    As `softmax`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.log_softmax(np.array([[0.0, 1e3]])).tolist()
    [[-1000.0, 0.0]]
    """
    return _softmax(True, x, axis, out)


class SoftmaxPlan:
    """softmax along the last axis, for networks: as a call the op itself, and a step of a chain.

    >>> SoftmaxPlan((1, 10)).step((4, 10), (4, 10))[1]
    4
    """

    def __init__(self, input_shape: tuple[int, ...], log: bool = False) -> None:
        self._log, self._n = log, input_shape[-1]
        self._native = native.plan_softmax(max(1, math.prod(input_shape[:-1])), self._n, log, dtype="float32")

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        return _softmax(self._log, x, -1, out)

    def step(self, x_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> tuple[native.Plan, int] | None:
        """See `Plan.step`."""
        rows = math.prod(x_shape[:-1])
        return (self._native, rows) if rows and x_shape == out_shape and x_shape[-1] == self._n else None


def _softmax(log: bool, x: object, axis: object, out: object) -> Array:
    if type(x) is np.ndarray and type(out) is np.ndarray:  # where both fit, a call costs what the backend's does
        place = pointwise.around(x.shape, check_axis("axis", axis, x.ndim))
        if native.run_softmax(x, out, *place, log):
            return out
    values = pointwise.as_floats("x", x)
    place = pointwise.around(values.shape, check_axis("axis", axis, values.ndim))
    return pointwise.execute(lambda a, b: native.run_softmax(a, b, *place, log), values, out, (("x", values),))
