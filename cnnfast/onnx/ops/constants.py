"""Arrays out of nothing, of a shape, or of a few numbers."""

from typing import Any

import numpy as np

from cnnfast.graph.ir import Spec
from cnnfast.graph.table import same
from cnnfast.onnx.ops.dtypes import dtype_of
from cnnfast.onnx.registry import becomes, onnx_op
from cnnfast.ops.arrays import Array

INT64 = np.dtype(np.int64)


def _check_value(attributes: dict[str, Any]) -> None:
    if len(attributes) != 1:
        raise ValueError(f"it must have one value, got {sorted(attributes)}")


@onnx_op("Constant", check=_check_value)
def constant(*, value: Array | None = None, value_float: float | None = None, value_int: int | None = None,
             value_floats: list[float] | None = None, value_ints: list[int] | None = None) -> Array:  # fmt: skip
    if value is not None:
        return value
    floats = value_float if value_floats is None else value_floats
    ints = value_int if value_ints is None else value_ints
    return np.asarray(ints, INT64) if floats is None else np.asarray(floats, np.float32)


@onnx_op("Identity", spec=same, pointwise=True, simplify=becomes("identity"))
def identity(x: Array) -> Array:
    return x


def _size_of(shape: tuple[int, ...], start: int = 0, end: int | None = None) -> Array:
    return np.array(shape[start:end], INT64)


@onnx_op("Shape", known=lambda x, **part: _size_of(x.shape, **part))
def shape(x: Array, *, start: int = 0, end: int | None = None) -> Array:
    return _size_of(x.shape, start, end)


@onnx_op("Size", known=lambda x: np.array(x.size, INT64))
def size(x: Array) -> Array:
    return np.array(x.size, INT64)


def _eye(x: Any, dtype: int | None = None, k: int = 0) -> Array:
    if len(x.shape) != 2:
        raise ValueError(f"its input must have 2 dimensions, got shape {x.shape}")
    rows, columns = x.shape
    return np.eye(rows, columns, k, x.dtype if dtype is None else dtype_of(dtype, "dtype"))


@onnx_op("EyeLike", since=9, known=_eye)
def eye_like(x: Array, *, dtype: int | None = None, k: int = 0) -> Array:
    return _eye(x, dtype, k)


def sizes(name: str, given: Array) -> tuple[int, ...]:
    """A shape out of a file's array."""
    found = tuple(int(each) for each in given.reshape(-1))
    if any(each < 0 for each in found):
        raise ValueError(f"{name} must hold sizes >= 0, got {found}")
    return found


def _filled_spec(shape: Array, value: Array | None = None) -> Spec:
    return Spec(sizes("the shape", shape), np.dtype(np.float32) if value is None else value.dtype)


@onnx_op("ConstantOfShape", since=9, needs=(0,), spec=_filled_spec)
def constant_of_shape(shape: Array, *, value: Array | None = None) -> Array:
    if value is not None and value.size != 1:
        raise ValueError(f"value must hold one number, got shape {value.shape}")
    spec = _filled_spec(shape, value)
    return np.full(spec.shape, 0 if value is None else value.reshape(()), spec.dtype)


@onnx_op("Range", since=11, needs=(0, 1, 2))
def number_range(start: Array, limit: Array, delta: Array, *, stash_type: int = 1) -> Any:
    first, last, step = (each.reshape(()) for each in (start, limit, delta))
    if not step or not all(np.isfinite(each.astype(np.float64)) for each in (first, last, step)):
        raise ValueError(f"start, limit and delta must be finite, delta not 0, got {first}, {last} and {step}")
    kind = np.float64 if start.dtype.kind not in "iu" else start.dtype
    count = max(0, int(np.ceil((last.astype(np.float64) - first.astype(np.float64)) / step.astype(np.float64))))
    numbers = first.astype(kind) + np.arange(count).astype(kind) * step.astype(kind)
    return numbers.astype(start.dtype)
