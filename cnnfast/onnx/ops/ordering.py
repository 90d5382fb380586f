"""The largest and smallest and where they are; what is there once; sums of products by a formula."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.graph.ir import Spec
from cnnfast.onnx.ops.floats import in_floats, widened
from cnnfast.onnx.ops.reductions import axes_of
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array

INT64 = np.dtype(np.int64)


def _arg_spec(x: Spec, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Spec:
    (at,) = axes_of([axis], len(x.shape))
    return Spec((*x.shape[:at], *((1,) if keepdims else ()), *x.shape[at + 1 :]), INT64)


def _arg(name: str, function: Callable[..., Any]) -> None:
    @onnx_op(f"Arg{name}", spec=_arg_spec)
    def run(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
        (at,) = axes_of([axis], x.ndim)
        found = function(np.flip(x, at) if select_last_index else x, axis=at, keepdims=bool(keepdims))
        return np.asarray(x.shape[at] - 1 - found if select_last_index else found, INT64)


_arg("Max", np.argmax)
_arg("Min", np.argmin)


def _top_spec(x: Spec, given: Array | None = None, *, k: int | None = None, axis: int = -1, **rest: Any) -> list[Spec]:
    (at,) = axes_of([axis], len(x.shape))
    count = int(given.reshape(())) if given is not None else int(k or 0)
    if not 0 <= count <= x.shape[at]:
        raise ValueError(f"k must be in [0, {x.shape[at]}], the size of axis {at}, got {count}")
    shape = (*x.shape[:at], count, *x.shape[at + 1 :])
    return [Spec(shape, x.dtype), Spec(shape, INT64)]


def _top(x: Array, count: int, axis: int, largest: bool) -> tuple[Array, Array]:
    """In order; of equals the one with the lower index first. NaN counts as the largest."""
    (at,) = axes_of([axis], x.ndim)
    if largest:
        order = x.shape[at] - 1 - np.flip(np.argsort(np.flip(x, at), at, kind="stable"), at)
    else:
        order = np.argsort(x, at, kind="stable")
    chosen = np.take(order, np.arange(count), at)
    return np.take_along_axis(x, chosen, at), chosen.astype(INT64, copy=False)


@onnx_op("TopK", spec=_top_spec)
def top_k_1(x: Array, *, k: int, axis: int = -1) -> tuple[Array, Array]:
    _top_spec(Spec.of(x), k=k, axis=axis)
    return _top(x, k, axis, True)


@onnx_op("TopK", since=10, needs=(1,), spec=_top_spec)
def top_k(x: Array, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Array, Array]:
    _top_spec(Spec.of(x), k, axis=axis)
    return _top(x, int(k.reshape(())), axis, bool(largest))


@onnx_op("Unique", since=11, values=True)
def unique(x: Array, *, axis: int | None = None, sorted: int = 1) -> tuple[Array, ...]:
    """(what is there, the index of each's first, where each of x went, how often each is there)"""
    at = None if axis is None else axes_of([axis], x.ndim)[0]
    y, first, places, counts = np.unique(x, True, True, True, at)
    places = places.reshape(-1)
    if not sorted:
        order = np.argsort(first)
        y, first, counts = np.take(y, order, at or 0), first[order], counts[order]
        places = np.argsort(order)[places]
    return y, first.astype(INT64), places.astype(INT64), counts.astype(INT64)


@onnx_op("Einsum", since=12)
def einsum(*arrays: Array, equation: str) -> Array:
    """Narrow floats are summed as float32."""
    dtype = arrays[0].dtype
    given = arrays if dtype.kind in "iub" else [widened(x) for x in arrays]
    result: Array = np.asarray(np.einsum(equation, *given))
    return result.astype(dtype, copy=False)


@onnx_op("Det", since=11, spec=lambda x: Spec(x.shape[:-2], x.dtype))
@in_floats
def det(x: Array) -> Array:
    result: Array = np.linalg.det(x)
    return result
