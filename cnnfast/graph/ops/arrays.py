"""Ops that move numbers about, or make them out of shapes. They are NumPy's."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.graph.ir import Node, Shape, Spec
from cnnfast.graph.table import Given, Ready, op, same
from cnnfast.ops.arrays import Array
from cnnfast.ops.options import Layouts
from cnnfast.ops.pool_plan import plan_pool2d


@op("identity", spec=same)
def identity(x: Array) -> Array:
    return x


def _ready_call(node: Node, inputs: Sequence[Given | None]) -> Ready:
    return Ready(node.attributes["run"], tuple(range(len(inputs))))


@op("call", spec=lambda *specs, run, spec: spec(*specs), into=True, plan=_ready_call)
def call(*arrays: Array, run: Any, spec: Any, out: Array | None = None) -> Array:
    """A run of a layer's, which knows its output's Spec: spec(*specs)."""
    result: Array = run(*arrays, out=out)
    return result


def target_shape(x: Shape, wanted: Any, keep_zeros: bool = False) -> Shape:
    """The shape that x is brought to: 0 keeps x's size there (unless keep_zeros), -1 is what is left.

    >>> target_shape((2, 3, 4), (0, -1))
    (2, 12)
    """
    sizes = [int(size) for size in np.asarray(wanted).reshape(-1)]
    if not keep_zeros:
        if any(size == 0 and i >= len(x) for i, size in enumerate(sizes)):
            raise ValueError(f"shape {tuple(sizes)} keeps sizes that {x} does not have")
        sizes = [x[i] if size == 0 else size for i, size in enumerate(sizes)]
    if sizes.count(-1) > 1 or any(size < -1 for size in sizes):
        raise ValueError(f"shape must hold sizes and one -1 at most, got {tuple(sizes)}")
    count = math.prod(x)
    if -1 in sizes:
        rest = math.prod(size for size in sizes if size != -1)
        if not rest and count:
            raise ValueError(f"shape {tuple(sizes)} does not hold the {count} elements of {x}")
        sizes[sizes.index(-1)] = count // rest if rest else 0
    if math.prod(sizes) != count:
        raise ValueError(f"shape {tuple(sizes)} does not hold the {count} elements of {x}")
    return tuple(sizes)


def _reshape_spec(x: Spec, *, shape: Any, keep_zeros: bool = False) -> Spec:
    return Spec(target_shape(x.shape, shape, keep_zeros), x.dtype)


@op("reshape", spec=_reshape_spec)
def reshape(x: Array, shape: Any, keep_zeros: bool = False) -> Array:
    """To a shape known beforehand; see `target_shape`."""
    return x.reshape(target_shape(x.shape, shape, keep_zeros))


def _flatten_spec(x: Spec, *, axis: int = 1) -> Spec:
    at = axis + len(x.shape) if axis < 0 else axis
    return Spec((math.prod(x.shape[:at]), math.prod(x.shape[at:])), x.dtype)


@op("flatten", spec=_flatten_spec)
def flatten(x: Array, axis: int = 1) -> Array:
    """To two dimensions: those before `axis`, and the rest."""
    return x.reshape(_flatten_spec(Spec.of(x), axis=axis).shape)


LAYOUTS = {(0, 2, 3, 1): Layouts("NCHW", "NHWC", "NHWC"), (0, 3, 1, 2): Layouts("NHWC", "NHWC", "NCHW")}
"""The transposes of pictures that the engine does itself, as pools of one pixel."""


def _planned_transpose(node: Node, inputs: Sequence[Given | None]) -> Ready | None:
    layouts, x = LAYOUTS.get(node.attributes["axes"]), inputs[0]
    assert x is not None
    if layouts is None or x.spec.dtype != np.float32 or 0 in x.spec.shape[1:]:
        return None
    return Ready(plan_pool2d("max_pool2d", x.spec.shape, 1, layout=layouts))  # type: ignore[arg-type]


@op(
    "transpose", spec=lambda x, axes: Spec(tuple(x.shape[i] for i in axes), x.dtype), into=True, plan=_planned_transpose
)
def transpose(x: Array, axes: tuple[int, ...], out: Array | None = None) -> Array:
    y = x.transpose(axes)
    if out is None:
        return y
    np.copyto(out, y)
    return out


def _concatenate_spec(*specs: Spec, axis: int) -> Spec:
    first = specs[0]
    at = axis + len(first.shape) if axis < 0 else axis
    for spec in specs[1:]:
        if len(spec.shape) != len(first.shape) or any(
            a != b for i, (a, b) in enumerate(zip(first.shape, spec.shape, strict=True)) if i != at
        ):
            raise ValueError(f"arrays must agree but along axis {at}, got shapes {first.shape} and {spec.shape}")
    shape = (*first.shape[:at], sum(spec.shape[at] for spec in specs), *first.shape[at + 1 :])
    return Spec(shape, np.result_type(*(spec.dtype for spec in specs)))


@op("concatenate", spec=_concatenate_spec, into=True)
def concatenate(*arrays: Array, axis: int, out: Array | None = None) -> Array:
    return np.concatenate(arrays, axis, out=out)


def _crop_spec(x: Spec, **bounds: Any) -> Spec:
    return Spec(crop(np.broadcast_to(np.zeros((), x.dtype), x.shape), **bounds).shape, x.dtype)


@op("slice", spec=_crop_spec, into=True)
def crop(x: Array, *, axes: tuple[int, ...], starts: tuple[int, ...], stops: tuple[int | None, ...],
         steps: tuple[int, ...], out: Array | None = None) -> Array:  # fmt: skip
    """Part of x along some axes, as Python slices it: a view, or in `out`."""
    index = [slice(None)] * x.ndim
    for axis, *bounds in zip(axes, starts, stops, steps, strict=True):
        index[axis] = slice(*bounds)
    y = x[tuple(index)]
    if out is None:
        return y
    np.copyto(out, y)
    return out
