"""Arguments on a device, checked at the door, and the arrays that results are written to.

A device array is known by its shape, strides, dtype's name and address. Nothing here reads what it holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from inspect import isfunction
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from cnnfast.ops import arrays, exchange
from cnnfast.ops.device.found import FORWARD, Refused, backend, function, takes, told

if TYPE_CHECKING:
    from cnnfast.backends.cuda.arrays import DeviceArray

FLOATS: Final = ("float32", "float64", "float16", "bfloat16")
"""What the kernels compute with; halves are summed in float32."""
INDICES: Final = ("int64",)
LAST: Final = (0, 2, 3, 1)
"""The axes of an NCHW array whose channels are last in memory, the slowest first."""

Inputs = Mapping[str, "DeviceArray | None"]


def read(name: str, value: Any, dtypes: Sequence[str] = FLOATS) -> "DeviceArray":
    """An array on a device, of one of the dtypes; or one that has been read, and is now seen otherwise."""
    if type(value).__name__ == "DeviceArray":
        known: DeviceArray = value
        arrays.check_dtype(name, known.dtype, dtypes)
        return known
    if not exchange.on_device(value):
        kind = type(value)
        raise TypeError(
            f"{name} must lie on the CUDA device as the first array does, got a {kind.__module__.partition('.')[0]}."
            f"{kind.__qualname__} in the CPU's memory: copy it there first"
        )
    if hasattr(value, "requires_grad"):
        exchange.refuse_gradient(name, value)
    found: DeviceArray = backend("arrays").read(name, value)
    arrays.check_dtype(name, found.dtype, dtypes)
    if min(found.strides, default=0) < 0:
        raise ValueError(f"{name} must not run backwards on a CUDA device, got strides {found.strides}: copy it first")
    return found


def images(name: str, value: Any, layout: str) -> "DeviceArray":
    """As `arrays.as_input` of the CPU's."""
    found = read(name, value)
    arrays.check_input(name, found.shape, found.dtype, FLOATS, layout)
    return found


def beside(name: str, value: Any, x: "DeviceArray", dtype: str | None = None) -> "DeviceArray":
    """Another argument: on x's device, and of x's dtype unless another is said."""
    found = read(name, value, (*FLOATS, *INDICES))
    if found.device != x.device:
        raise TypeError(f"{name} must lie on CUDA device {x.device} as the first array does, got one on {found.device}")
    wanted = dtype or x.dtype
    if found.dtype != wanted:
        raise TypeError(f"{name} must have dtype {wanted} on a CUDA device, where nothing is cast, got {found.dtype}")
    return found


def maybe(name: str, value: Any, x: "DeviceArray") -> "DeviceArray | None":
    """`beside` of an argument that may be None."""
    return None if value is None else beside(name, value, x)


class Target(NamedTuple):
    """Where to write y: the caller's `out`, or else a new array of x's kind with its axes in this order."""

    x: "DeviceArray"
    shape: tuple[int, ...]
    dtype: str
    order: Sequence[int] | None
    out: "DeviceArray | None"

    def array(self) -> "DeviceArray":
        """It."""
        if self.out is not None:
            return self.out
        made: DeviceArray = backend("arrays").empty(self.x, self.shape, self.dtype, self.order)
        return made


def target(
    out: Any, x: "DeviceArray", shape: Sequence[int], inputs: Inputs, *, dtype: str | None = None,
    order: Sequence[int] | None = None,
) -> Target:  # fmt: skip
    """`out` checked, as `pointwise.target` of the CPU's; or what makes a new array."""
    to = Target(x, tuple(shape), dtype or x.dtype, order, None)
    if out is None:
        return to
    if isfunction(out):
        return to._replace(out=out(to))
    y = read("out", out, (*FLOATS, *INDICES))
    if y.device != x.device:
        raise TypeError(f"out must lie on CUDA device {x.device} as the first array does, got one on {y.device}")
    if y.dtype != to.dtype:
        raise TypeError(f"out must have dtype {to.dtype}, got {y.dtype}")
    place = _place(y)
    arrays.check_out(place, to.shape, place.dtype)
    arrays.check_no_overlap(place, [(name, _place(each)) for name, each in inputs.items() if each is not None])
    return to._replace(out=y)


def _place(array: "DeviceArray") -> Any:
    """A NumPy array of the device array's addresses, for questions that are answered by these alone. Never read it."""
    size = 8 if array.dtype in ("float64", "int64") else 4 if array.dtype == "float32" else 2
    strides = tuple(step * size for step in array.strides)
    told = {
        "version": 3, "shape": array.shape, "strides": strides, "typestr": np.dtype(f"u{size}").str,
        "data": (array.address, not array.writable),
    }  # fmt: skip
    return np.asarray(type("Place", (), {"__array_interface__": told})())


def channels_last(x: "DeviceArray", layout: str) -> tuple[int, ...] | None:
    """The order of a new array's axes: channels last in memory where x has them there though its layout is NCHW."""
    order = lying(x)
    if layout != "NCHW" or order is None:
        return None
    return LAST if [axis for axis in order if x.shape[axis] > 1] == [i for i in LAST if x.shape[i] > 1] else None


def lying(x: "DeviceArray") -> tuple[int, ...] | None:
    """The order of x's axes in memory where it is dense, and no plain one."""
    order: tuple[int, ...] | None = backend("arrays").dense_order(x.shape, x.strides)
    return None if order is None or order == tuple(range(len(order))) else order


def compute(
    op: str, inputs: Inputs, to: Target, *, files: tuple[str, ...] = FORWARD,
    also: Iterable[tuple[Sequence[int], str]] = (), **keywords: Any,
) -> Any:  # fmt: skip
    """The backend's function of the op on checked arrays: arrays of the caller's kind, y where `to` says.

    also: shapes and dtypes of what is returned beside y, which are zeros where there is nothing to compute.
    """
    called = function(op, files)
    if not prod(to.shape) or not prod(to.x.shape):
        return _nothing(to, also)
    given = {
        name: value for name, value in keywords.items() if takes(called, name) or not _spare(op, name, value, files)
    }
    writes = takes(called, "out")
    if writes:
        given["out"] = to.array()
    found = called(*inputs.values(), **given)
    y, *rest = found if type(found) is tuple else (found,)
    owner = y.owner if writes or to.out is None else copied_to(y, to.out)
    return (owner, *(each.owner for each in rest)) if rest else owner


def _spare(op: str, name: str, value: object, files: tuple[str, ...]) -> bool:
    """Whether a keyword that the function does not have says nothing; Refused: it says what there is no kernel for."""
    if name in ("algorithm", "precision"):
        return True  # it has one way, which is as exact as any
    if name == "padding_mode":
        if value != "zeros":
            raise Refused(f"{told(op, files)} with padding_mode {value!r}")
        return True
    return False


def _nothing(to: Target, also: Iterable[tuple[Sequence[int], str]]) -> Any:
    files = backend("arrays")
    y = to.array()
    first = y if dense(y) else to._replace(out=None).array()  # zeros go over memory without a gap
    made = [first, *(files.empty(to.x, shape, dtype) for shape, dtype in also)]
    for each in made:
        backend("run").zero(each)
    if first is not y:
        copied_to(first, y)
        made[0] = y
    owners = tuple(each.owner for each in made)
    return owners if len(owners) > 1 else owners[0]


def copied_to(x: "DeviceArray", y: "DeviceArray") -> Any:
    """x's elements in y: the caller's array."""
    if len(x.shape) > 5:
        raise Refused("a copy of strided arrays of more than 5 dimensions")
    return backend("copy").copy(x, y).owner


def alike(name: str, value: Any, y: "DeviceArray") -> "DeviceArray | None":
    """An argument of y's shape that the kernels want to lie as y does: a copy where it does not."""
    if value is None:
        return None
    found = beside(name, value, y)
    if found.shape != y.shape:
        raise ValueError(f"{name} must have y's shape {y.shape}, got {found.shape}")
    return found if found.strides == y.strides else copied(found, y)


def copied(x: "DeviceArray", y: "DeviceArray") -> "DeviceArray":
    """A copy of x that lies as y does."""
    return laid(x, backend("arrays").dense_order(y.shape, y.strides))


def laid(x: "DeviceArray", order: Sequence[int] | None) -> "DeviceArray":
    """x itself where it lies densely with its axes in this order (None: C-contiguous), else such a copy."""
    if _lies(x, order or range(len(x.shape))):
        return x
    made: DeviceArray = backend("arrays").empty(x, x.shape, order=order)
    copied_to(x, made)
    return made


def _lies(x: "DeviceArray", order: Sequence[int]) -> bool:
    steps = backend("arrays").contiguous_strides([x.shape[i] for i in order])
    return all(x.shape[i] == 1 or x.strides[i] == step for i, step in zip(order, steps, strict=True))


def even_pixels(x: "DeviceArray") -> "DeviceArray":
    """x itself where all its pixels follow each other, channels last or before them: sums walk so; else a copy."""
    rank = len(x.shape)
    orders = range(rank), (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
    return x if any(_lies(x, order) for order in orders) else contiguous(x)


def contiguous(x: "DeviceArray") -> "DeviceArray":
    """x itself where it is C-contiguous, else such a copy."""
    files = backend("arrays")
    if x.strides == files.contiguous_strides(x.shape):
        return x
    made: DeviceArray = files.empty(x, x.shape)
    copied_to(x, made)
    return made


def rows(x: "DeviceArray") -> "DeviceArray":
    """x with its rows, along the last axis, equally far apart: a copy where they are not."""
    return x if even(x) else contiguous(x)


def even(x: "DeviceArray") -> bool:
    """Whether the axes but the last step as one."""
    steps = [(size, step) for size, step in zip(x.shape[:-1], x.strides[:-1], strict=True) if size > 1]
    return all(a[1] == b[0] * b[1] for a, b in pairwise(steps))


def dense(y: "DeviceArray") -> bool:
    """Whether y fills its memory without a gap."""
    return backend("arrays").dense_order(y.shape, y.strides) is not None
