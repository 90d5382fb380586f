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
    return _anywhere(
        lambda a, b: native.run_elementwise("map", a, None, b, name, alpha, beta), values, out, (("x", values), *inputs)
    )


def combine(
    kind: str, x: Array, other: Array, out: object, activation: tuple[str | None, float] = (None, 0.0),
    inputs: Named = (),
) -> Array:  # fmt: skip
    """activation(x + other) or (x * other), broadcast, or prelu(x, other), other a vector for x's last axis."""
    name, alpha = activation
    if other.shape == x.shape or (x.ndim and other.shape == x.shape[-1:]):
        if not x.flags.c_contiguous and x.shape == other.shape and x.strides == other.strides:
            return _anywhere(lambda a, c, b: native.run_elementwise(kind, a, c, b, name, alpha), x, out, inputs, other)
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


def _anywhere(run: Callable[..., bool], x: Array, out: object, inputs: Named, *others: Array) -> Array:
    """`execute` of run(x, *others, y), which does not ask where an element stands: arrays that are dense in another
    order of their axes, as channels_last ones are, are run as they lie, and so lies y. The others lie as x does."""
    order = None if x.flags.c_contiguous else sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    if order is None or not x.transpose(order).flags.c_contiguous:
        dense = [arrays.contiguous("y", each) for each in others]
        return execute(lambda a, b: run(a, *dense, b), x, out, inputs)
    y = None if out is None else target(out, x.shape, x.dtype, inputs).transpose(order)
    z = execute(lambda a, b: run(a, *(each.transpose(order) for each in others), b), x.transpose(order), y, ())
    return z.transpose(np.argsort(order)) if out is None else out  # type: ignore[return-value]


def over_channels(
    run: Callable[[Array, Array, tuple[int, int, int]], bool], x: Array, layout: str, out: object, inputs: Named
) -> Array:
    """`execute` of run(x, y, x as (outer, C, inner)), an op that goes along the channels; where NCHW was said and they
    lie last, as they lie."""
    if layout == "NCHW" and arrays.channels_last(x):
        y = None if out is None else target(out, x.shape, x.dtype, inputs)
        if y is None or arrays.channels_last(y):
            lying, last = (0, 2, 3, 1), around((x.shape[0], *x.shape[2:], x.shape[1]), 3)
            z = execute(lambda a, b: run(a, b, last), x.transpose(lying), None if y is None else y.transpose(lying), ())
            return z.transpose(0, 3, 1, 2) if y is None else y
    place = around(x.shape, x.ndim - 1 if layout == "NHWC" else 1)
    return execute(lambda a, b: run(a, b, place), x, out, inputs)


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


def target(
    out: object, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: Named, like: Array | None = None
) -> Array:
    """Where to write y: the caller's `out`, checked, or a new array, with channels last where `like` has them."""
    if out is None:
        return arrays.allocate_as(like, "the output", shape, dtype)
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
