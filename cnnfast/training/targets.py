"""Targets as losses and metrics take them, against what the network gives."""

from typing import Any

import numpy as np

from cnnfast.ops.arrays import Array


def as_targets(y_true: Any, y_pred: Array) -> Array:
    """y_true in y_pred's shape and dtype; a last axis of 1 may be left out, or be there too much, as in Keras.

    >>> import numpy as np
    >>> as_targets([1, 0], np.zeros((2, 1), np.float32)).shape
    (2, 1)
    """
    array = _numbers(y_true)
    if array.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        array = array[..., None]
    elif array.ndim == y_pred.ndim + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.shape != y_pred.shape:
        raise ValueError(
            f"y must have the output's shape {_shown(y_pred.shape)}, got {_shown(array.shape)}"
            + (" (class numbers want a sparse loss)" if array.ndim < y_pred.ndim else "")
        )
    return array.astype(y_pred.dtype, copy=False)


def class_numbers(y_true: Any, y_pred: Array) -> Array:
    """y_true as the classes' numbers, each of which y_pred's last axis must have.

    >>> import numpy as np
    >>> class_numbers([[1], [0]], np.zeros((2, 3))).tolist()
    [1, 0]
    """
    array = _numbers(y_true)
    if array.ndim == y_pred.ndim and array.shape[-1] == 1:
        array = array[..., 0]
    if array.shape != y_pred.shape[:-1]:
        wanted, got = _shown(y_pred.shape[:-1]), _shown(array.shape)
        raise ValueError(f"y must hold a class number for each of the output's {wanted}, got {got}")
    numbers = array.astype(np.int64)
    if array.dtype.kind == "f" and not (numbers == array).all():
        raise ValueError("y must hold class numbers, got fractions")
    classes = y_pred.shape[-1]
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < classes):
        raise ValueError(f"y must hold class numbers from 0 to {classes - 1}, got {numbers.min()} to {numbers.max()}")
    return numbers


def _numbers(y_true: Any) -> Array:
    array = np.asarray(y_true)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"y must hold numbers, got dtype {array.dtype}")
    return array


def _shown(shape: tuple[int, ...]) -> str:
    return f"(N, {', '.join(map(str, shape[1:]))})" if len(shape) > 1 else "(N,)"
