"""What every elementwise op shares: the fast way through the backend, and the careful way around it."""

from collections.abc import Iterable

import numpy as np

from cnnfast.backends import reference
from cnnfast.ops import arrays
from cnnfast.ops.arrays import Array
from cnnfast.ops.signatures import FLOATS

Named = Iterable[tuple[str, object]]


def activate(
    name: str | None, x: object, out: object, alpha: float = 0.0, beta: float = 0.0, inputs: Named = ()
) -> Array:
    """The activation `name` of every element of x, its parameters alpha and beta."""
    values = arrays.as_array("x", x)
    arrays.check_dtype("x", values.dtype, FLOATS)
    y = target(out, values.shape, values.dtype, (("x", values), *inputs))
    if name == "softplus":
        y[...] = reference.softplus(values, beta=alpha, threshold=beta)
    else:
        y[...] = reference.activate(values.astype(np.float64), (name, alpha))
    return y


def combine(
    kind: str, x: Array, other: Array, out: object, activation: tuple[str | None, float] = (None, 0.0),
    inputs: Named = (),
) -> Array:  # fmt: skip
    """activation(x + other), (x * other), or prelu(x, other): same shapes, or other repeated along the leading axes."""
    y = target(out, np.broadcast_shapes(x.shape, other.shape), x.dtype, inputs)
    a, b = x.astype(np.float64), other.astype(np.float64)
    z = a + b if kind == "add" else a * b if kind == "multiply" else np.where(a < 0, a * b, a)
    y[...] = reference.activate(z, activation)
    return y


def target(out: object, shape: tuple[int, ...], dtype: np.dtype[np.generic], inputs: Named) -> Array:
    """Where to write y: the caller's `out`, checked, or a new array."""
    if out is None:
        return arrays.allocate("the output", shape, dtype)
    y = arrays.check_out(out, shape, dtype)
    arrays.check_no_overlap(y, inputs)
    return y
