"""What every op that keeps x's shape shares: the fast way through the backend, and the careful way around it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnfast.backends import native
from cnnfast.ops import arrays
from cnnfast.ops.arrays import Array
from cnnfast.ops.signatures import FLOATS

Named = Sequence[tuple[str, object]]
"""The arrays that an output may not overlap, by argument name."""
Run = Callable[[Array, Array], bool]
"""run(x, y) of the backend: whether the arrays fitted, and it ran."""


def activate(
    name: str | None, x: object, out: object, alpha: float = 0.0, beta: float = 0.0, inputs: Named = ()
) -> Array:
    """The activation `name` of every element of x, its parameters alpha and beta."""
    if type(x) is np.ndarray and not inputs:  # nothing may stand before this: a small array costs what this does
        if out is None:
            y = arrays.allocate("the output", x.shape, x.dtype)
            if native.run_elementwise("map", x, None, y, name, alpha, beta):
                return y
        elif type(out) is np.ndarray and native.run_elementwise("map", x, None, out, name, alpha, beta):
            return out
    values = as_floats("x", x)
    return execute(
        lambda a, b: native.run_elementwise("map", a, None, b, name, alpha, beta), values, out, (("x", values), *inputs)
    )


def combine(
    kind: str, x: Array, other: Array, out: object, activation: tuple[str | None, float] = (None, 0.0),
    inputs: Named = (),
) -> Array:  # fmt: skip
    """activation(x + other) or (x * other), broadcast, or prelu(x, other), other a vector for x's last axis."""
    name, alpha = activation
    if other.shape == x.shape or (x.ndim and other.shape == x.shape[-1:]):
        vector = arrays.contiguous("y", other)
        return execute(lambda a, b: native.run_elementwise(kind, a, vector, b, name, alpha), x, out, inputs)
    z = target(out, np.broadcast_shapes(x.shape, other.shape), x.dtype, inputs)
    with np.errstate(all="ignore"):  # NumPy broadcasts at memory's speed, and rounds as everybody does
        (np.add if kind == "add" else np.multiply)(x, other, out=z)
    return z if name is None else _in_place(name, alpha, z)


def _in_place(name: str, alpha: float, z: Array) -> Array:
    parameters = (1.0, 20.0) if name == "softplus" else (alpha, 0.0)
    np.copyto(z, activate(name, z, None, *parameters))
    return z


def execute(run: Run, x: Array, out: object, inputs: Named, shape: tuple[int, ...] | None = None) -> Array:
    """run(x, y) with a checked x, into `out` where it is given, through contiguous copies where they are needed."""
    shape = x.shape if shape is None else shape
    if type(out) is np.ndarray and out.shape == shape and len(inputs) == 1 and run(x, out):
        return out  # the backend looked at all there is to check, where x is the only input
    y = target(out, shape, x.dtype, inputs)
    if y.size == 0:
        return y
    direct = y.flags.c_contiguous and y.flags.aligned
    written = y if direct else arrays.allocate("a contiguous copy of out", y.shape, y.dtype)
    if not run(arrays.contiguous("x", x), written):
        raise RuntimeError(f"the backend refused arrays that were checked: x {x.shape} {x.dtype}, y {y.shape}")
    if not direct:
        np.copyto(y, written)
    return y


def target(out: object, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: Named) -> Array:
    """Where to write y: the caller's `out`, checked, or a new array."""
    if out is None:
        return arrays.allocate("the output", shape, dtype)
    y = arrays.check_out(out, shape, dtype)
    arrays.check_no_overlap(y, inputs)
    return y


def as_floats(name: str, value: object) -> Array:
    """value as an array of float32 or float64."""
    array = arrays.as_array(name, value)
    arrays.check_dtype(name, array.dtype, FLOATS)
    return array


def around(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """(outer, n, inner): the elements before an axis, along it and after it, as memory has them.

    >>> around((2, 3, 4, 5), 2)
    (6, 4, 5)
    """
    outer = inner = 1
    for size in shape[:axis]:
        outer *= size
    for size in shape[axis + 1 :]:
        inner *= size
    return outer, shape[axis], inner
