"""Reading and writing at indices. Those of a file are checked: in [-n, n - 1] along an axis of n."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.graph.ir import Spec
from cnnfast.onnx.ops.reductions import axes_of
from cnnfast.onnx.registry import one_of, onnx_op
from cnnfast.ops.arrays import Array

UPDATES: dict[str, Any] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def checked(indices: Array, size: int, what: str = "indices") -> Array:
    """Indices from 0 along an axis of `size`."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{what} must be integers, got {indices.dtype}")
    bad = (indices < -size) | (indices >= size)
    if bad.any():
        raise ValueError(f"{what} must be in [{-size}, {size - 1}], got {indices[bad].reshape(-1)[0]}")
    wide = indices.astype(np.int64, copy=False)
    return np.where(wide < 0, wide + size, wide)


def _axis(axis: int, rank: int) -> int:
    return axes_of([axis], rank)[0]


def _gather_spec(x: Spec, indices: Spec, axis: int = 0) -> Spec:
    at = _axis(axis, len(x.shape))
    return Spec((*x.shape[:at], *indices.shape, *x.shape[at + 1 :]), x.dtype)


@onnx_op("Gather", spec=_gather_spec)
def gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    at = _axis(axis, x.ndim)
    return np.asarray(np.take(x, checked(indices, x.shape[at]), at))


def _places(shape: tuple[int, ...], indices: Array, axis: int) -> tuple[Array, ...]:
    """What to index with: `indices` along the axis, every other index as it is."""
    at = _axis(axis, len(shape))
    fits = len(indices.shape) == len(shape) and all(
        n <= size for i, (n, size) in enumerate(zip(indices.shape, shape, strict=True)) if i != at
    )
    if not fits:
        raise ValueError(f"indices must have {len(shape)} axes within data's shape {shape}, got shape {indices.shape}")
    grid: list[Array] = list(np.indices(indices.shape, sparse=True))
    grid[at] = checked(indices, shape[at])
    return tuple(grid)


@onnx_op("GatherElements", since=11, spec=lambda x, indices, axis=0: Spec(indices.shape, x.dtype))
def gather_elements(x: Array, indices: Array, *, axis: int = 0) -> Array:
    return x[_places(x.shape, indices, axis)]


def _tuples(shape: tuple[int, ...], indices: Array, batch_dims: int = 0) -> tuple[Array, ...]:
    """What to index with, of indices whose last axis is an index into the axes after the batch's."""
    depth = indices.shape[-1] if indices.ndim else 0
    if not indices.ndim or not 0 <= batch_dims < indices.ndim or depth + batch_dims > len(shape):
        raise ValueError(f"indices must hold tuples of up to {len(shape) - batch_dims}, got shape {indices.shape}")
    if indices.shape[:batch_dims] != shape[:batch_dims]:
        raise ValueError(f"indices must start with data's {shape[:batch_dims]}, got shape {indices.shape}")
    batch: list[Array] = list(np.indices(indices.shape[:-1], sparse=True))[:batch_dims]
    return (*batch, *(checked(indices[..., i], shape[batch_dims + i]) for i in range(depth)))


def _gather_nd_spec(x: Spec, indices: Spec, batch_dims: int = 0) -> Spec:
    depth = indices.shape[-1] if indices.shape else 0
    return Spec((*indices.shape[:-1], *x.shape[batch_dims + depth :]), x.dtype)


@onnx_op("GatherND", since=11, spec=_gather_nd_spec)
def gather_nd(x: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    places = _tuples(x.shape, indices, batch_dims)
    if not places:
        return np.broadcast_to(x, (*indices.shape[:-1], *x.shape))
    y = x[places]
    return y.reshape(_gather_nd_spec(Spec.of(x), Spec.of(indices), batch_dims).shape)


def _written(x: Array, places: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    y = x.copy()
    if reduction == "none":
        y[places] = updates
    else:
        UPDATES[reduction].at(y, places, updates)
    return y


def _scatter_spec(x: Spec, indices: Spec, updates: Spec, **attributes: Any) -> Spec:
    return x


_check_reduction = one_of("reduction", "none", *UPDATES)


@onnx_op("Scatter", since=9, spec=_scatter_spec)
@onnx_op("ScatterElements", since=11, spec=_scatter_spec, check=_check_reduction)
def scatter_elements(
    x: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none"
) -> Array:  # fmt: skip
    if updates.shape != indices.shape:
        raise ValueError(f"updates must have indices' shape {indices.shape}, got {updates.shape}")
    return _written(x, _places(x.shape, indices, axis), updates, reduction)


@onnx_op("ScatterND", since=11, spec=_scatter_spec, check=_check_reduction)
def scatter_nd(x: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    places = _tuples(x.shape, indices)
    shape = (*indices.shape[:-1], *x.shape[len(places) :])
    if updates.shape != shape:
        raise ValueError(f"updates must have shape {shape}, got {updates.shape}")
    return _written(x, places, updates, reduction)


def _one_hot_spec(indices: Spec, depth: Array, values: Spec, axis: int = -1) -> Spec:
    at, count = _axis(axis, len(indices.shape) + 1), int(depth.reshape(()))
    if count < 0:
        raise ValueError(f"depth must be >= 0, got {count}")
    return Spec((*indices.shape[:at], count, *indices.shape[at:]), values.dtype)


@onnx_op("OneHot", since=9, needs=(1,), spec=_one_hot_spec)
def one_hot(indices: Array, depth: Array, values: Array, *, axis: int = -1) -> Any:
    """An index out of range is no class: all off."""
    spec = _one_hot_spec(Spec.of(indices), depth, Spec.of(values), axis)
    if values.shape != (2,):
        raise ValueError(f"values must be (off, on), got shape {values.shape}")
    at = _axis(axis, indices.ndim + 1)
    count = spec.shape[at]
    wide = np.expand_dims(indices.astype(np.float64), at)
    classes = np.arange(count).reshape([-1 if i == at else 1 for i in range(indices.ndim + 1)])
    return np.where((wide == classes) | (wide + count == classes), values[1], values[0])


@onnx_op("Compress", since=9, values=True)
def compress(x: Array, condition: Array, *, axis: int | None = None) -> Array:
    flat = x.reshape(-1) if axis is None else x
    at = 0 if axis is None else _axis(axis, x.ndim)
    if condition.ndim != 1 or len(condition) > flat.shape[at]:
        raise ValueError(f"condition must be a vector of up to {flat.shape[at]}, got shape {condition.shape}")
    return np.compress(condition.astype(np.bool_), flat, at)


@onnx_op("NonZero", since=9, values=True)
def non_zero(x: Array) -> Array:
    return np.array(np.nonzero(np.atleast_1d(x)), np.int64)[: x.ndim]


@onnx_op("TensorScatter", since=24, check=one_of("mode", "linear", "circular"),
         spec=lambda cache, *rest, **attributes: cache)  # fmt: skip
def tensor_scatter(
    cache: Array, update: Array, starts: Array | None = None, *, axis: int = -2, mode: str = "linear"
) -> Array:  # fmt: skip
    """Each batch's update, written along an axis from its start on; around the end in mode circular."""
    at = _axis(axis, cache.ndim)
    if at == 0 or update.ndim != cache.ndim or update.shape[:1] != cache.shape[:1]:
        raise ValueError(f"update must have {cache.ndim} axes and cache's batch, got shape {update.shape}")
    y = cache.copy()
    size, n = cache.shape[at], update.shape[at]
    for i, part in enumerate(update):
        along = np.arange(n) + (0 if starts is None else int(starts[i]))
        along = along % size if mode == "circular" else checked(along, size, "write_indices")
        np.moveaxis(y[i], at - 1, 0)[along] = np.moveaxis(part, at - 1, 0)
    return y


def _accumulated(name: str, function: Callable[..., Array], unit: int, since: int) -> None:
    @onnx_op(name, since=since, spec=lambda x, axis, **attributes: x)
    def run(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
        at = _axis(int(axis.reshape(())), x.ndim)
        turned = np.flip(x, at) if reverse else x
        y = function(turned, axis=at, dtype=x.dtype)
        if exclusive and x.shape[at]:
            first = np.full_like(np.take(y, [0], at), unit)
            y = np.concatenate([first, y[(slice(None),) * at + (slice(-1),)]], at)
        return np.flip(y, at) if reverse else y


_accumulated("CumSum", np.cumsum, 0, 11)
_accumulated("CumProd", np.cumprod, 1, 26)
