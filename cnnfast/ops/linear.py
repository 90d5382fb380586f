"""linear: a dense layer, y = activation(x @ weight.T + bias), and its plan."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, exchange, geometry, options, pointwise
from cnnfast.ops.arrays import Array
from cnnfast.ops.explanation import Explanation, explanation
from cnnfast.ops.options import Activation
from cnnfast.ops.signatures import FLOATS, NAMES

Shape = tuple[int, ...]


def linear(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, *, activation: Activation = None,
    out: Array | None = None,
) -> Array:  # fmt: skip
    """A dense layer: y[..., k] = activation(bias[k] + the sum over c of x[..., c] * weight[k, c]).

    Each output is one chain, as a convolution's: it starts at the bias and takes one FMA per c, ascending.

    Parameters
    ----------
    x : (..., C) of one dimension or more; float32 or float64
    weight : (K, C), cast to x's dtype
    bias : (K,), cast to x's dtype
    activation : see `conv2d`
    out : where to write y; it may not overlap an input

    Returns
    -------
    y : (..., K) of x's dtype

    Raises
    ------
    ValueError : shapes do not fit each other, or out does not fit
    TypeError : an argument has the wrong type or dtype
    MemoryError : y, a copy or the packed weights cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.linear(np.array([1.0, 2.0]), np.array([[1.0, 0.0], [3.0, 4.0], [0.0, -1.0]])).tolist()
    [1.0, 11.0, -2.0]
    """
    values = arrays.as_array("x", x)
    arrays.check_dtype("x", values.dtype, FLOATS)
    check_rows(values.shape)
    plan = prepare_linear(values.shape, values.dtype, weight, bias, options.activation("activation", activation))
    return plan.run(values, out, (("weight", weight), ("bias", bias)))


def plan_linear(
    input_shape: Shape, weight: ArrayLike, bias: ArrayLike | None = None, *, activation: Activation = None
) -> "LinearPlan":
    """Make a dense layer ready once, to run it many times: weights packed.

    Parameters
    ----------
    input_shape : (..., C), x's shape; the plan runs any number of rows
    weight : (K, C), whose dtype x must have; float32 or float64
    bias : (K,), cast to the weight's dtype
    activation : see `conv2d`

    Returns
    -------
    A plan: `plan(x, out=None)`, `plan.explain()`

    Raises
    ------
    As `linear`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> plan = cnnfast.plan_linear((1, 400), np.ones((120, 400), np.float32), activation="relu")
    >>> plan(np.ones((16, 400), np.float32)).shape
    (16, 120)
    """
    if not isinstance(input_shape, tuple | list):
        raise TypeError(f"input_shape must be (..., C), got {input_shape!r}")
    if not input_shape:
        raise ValueError(f"input_shape must be (..., C), got {input_shape!r}")
    shape = tuple(checks.integer("input_shape", size, minimum=0, limit=2**40) for size in input_shape)
    dtype = arrays.as_array("weight", weight).dtype
    arrays.check_dtype("weight", dtype, FLOATS)
    return prepare_linear(shape, dtype, weight, bias, options.activation("activation", activation))


class LinearPlan:
    """A dense layer made ready for rows of C numbers, any number of them; made by `plan_linear`.

    It owns a packed copy of its weights, is immutable, and may be called from any number of threads at once.

    Attributes
    ----------
    input_shape, dtype : the shape it was made for, and x's dtype
    output_dtype : y's dtype
    """

    __slots__ = ("_filters", "_native", "_run", "dtype", "input_shape", "output_dtype")

    def __init__(self, plan: native.Plan, input_shape: Shape, filters: int, dtype: np.dtype[Any]) -> None:
        self._native = plan
        self._run = plan.run_rows
        self._filters = filters
        self.input_shape = input_shape
        self.dtype = self.output_dtype = dtype

    def __call__(self, x: ArrayLike, out: Array | None = None) -> Array:
        """y = activation(x @ weight.T + bias).

        Parameters
        ----------
        x : (..., C) of the plan's dtype, with any leading dimensions
        out : where to write y: y's exact shape and dtype, writable, not overlapping x. Contiguous, aligned arrays and
            an `out` make the fastest call.

        Returns
        -------
        y, which is `out` where it was given

        Raises
        ------
        ValueError, TypeError : an argument does not fit; nothing has been written
        MemoryError : no memory for the output or a contiguous copy

        Examples
        --------
        >>> import numpy as np, cnnfast
        >>> plan = cnnfast.plan_linear((1, 2), np.array([[1.0, 1.0]]))
        >>> plan(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
        [[3.0], [7.0]]
        """
        if out is not None and self._run(x, out):
            return out
        if type(x) is np.ndarray and (out is None or type(out) is np.ndarray):
            return self.run(x, out)
        y: Array = exchange.call(self.__call__, "x", x, (), {"out": out})
        return y

    def run(self, x: object, out: object, inputs: pointwise.Named = ()) -> Array:
        """The careful way: check every argument, copy what is strided, run; `out` may not overlap `inputs` either."""
        values = arrays.as_array("x", x)
        if values.dtype != self.dtype:
            raise TypeError(f"x must have the plan's dtype {self.dtype}, got {values.dtype!r}")
        if values.ndim < 1 or values.shape[-1] != self.input_shape[-1]:
            raise ValueError(f"x must have shape (..., {self.input_shape[-1]}), got {values.shape}")
        shape = (*values.shape[:-1], self._filters)
        return pointwise.execute(self._run, values, out, (("x", values), *inputs), shape)

    def step(self, x_shape: Shape, out_shape: Shape) -> tuple[native.Plan, int] | None:
        """What a network's chain runs in a call's place, for how many rows; see `Plan.step`."""
        rows = math.prod(x_shape[:-1])
        fits = x_shape[-1:] == self.input_shape[-1:] and out_shape == (*x_shape[:-1], self._filters)
        return (self._native, rows) if rows and fits and self.dtype == np.float32 else None

    @property
    def native(self) -> native.Plan:
        """The backend's plan."""
        return self._native

    @property
    def algorithm(self) -> str:
        """The row of the op's table that was chosen."""
        return str(self._native.info()["algorithm"])

    def share(self, other: "LinearPlan") -> bool:
        """Use other's packed weights instead of this plan's own, if they are the same; see `Plan.share`.

        >>> import numpy as np, cnnfast
        >>> one, many = (cnnfast.plan_linear((n, 8), np.ones((3, 8), np.float32)) for n in (1, 64))
        >>> many.share(one)
        True
        """
        return self._native.share(other._native)

    def output_shape(self, n: int | None = None) -> Shape:
        """y's shape; with n, for n rows: (n, K).

        >>> import numpy as np, cnnfast
        >>> cnnfast.plan_linear((1, 8), np.ones((3, 8))).output_shape(5)
        (5, 3)
        """
        if n is None:
            return (*self.input_shape[:-1], self._filters)
        return checks.integer("n", n, minimum=0), self._filters

    def explain(self) -> Explanation:
        """What was chosen and what it costs; `print` it for a table."""
        return explanation("linear", self._native.info())

    def __repr__(self) -> str:
        return f"<cnnfast plan of linear: {self.input_shape} {self.dtype} -> {self.output_shape()}>"


def prepare_linear(
    x_shape: Shape, dtype: np.dtype[Any], weight: object, bias: object, activation: tuple[str | None, float]
) -> LinearPlan:
    """The plan behind `linear` and `plan_linear`."""
    packed = arrays.as_weight("weight", weight, dtype, FLOATS)
    filters, channels = check_weight(packed.shape, x_shape)
    added = geometry.as_bias("bias", bias, dtype, FLOATS, filters)
    rows = max(1, math.prod(x_shape[:-1]))
    plan = native.plan_linear(
        (rows, channels), packed, added, dtype=NAMES[dtype], activation=activation[0], alpha=activation[1]
    )
    return LinearPlan(plan, x_shape, filters, dtype)


def check_rows(x_shape: Shape) -> None:
    """x's shape: rows of C numbers."""
    if not x_shape:
        raise ValueError(f"x must have 1 dimension or more (..., C), got shape {x_shape}")


def check_weight(shape: Shape, x_shape: Shape) -> tuple[int, int]:
    """(K, C) of a weight for x of this shape."""
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"weight must have 2 dimensions (K, C), neither 0, got shape {shape}")
    if x_shape[-1] != shape[1]:
        raise ValueError(f"weight must have x's C {x_shape[-1]} as (K, C), got shape {shape}")
    return shape[0], shape[1]
