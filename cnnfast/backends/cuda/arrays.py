"""Arrays on a CUDA device: any framework's, read where they lie, and new ones of the caller's kind.

A framework is known by its module, which is never imported here: an array of one exists only where it was.
"""

import ctypes
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from .toolchain import SIMULATED

STORED: Final = {"float32": np.float32, "float64": np.float64, "float16": np.uint16, "bfloat16": np.uint16,
                 "int64": np.int64, "int32": np.int32}  # fmt: skip
"""How the simulator's memory holds each dtype."""


class DeviceArray(NamedTuple):
    """An array: its first element's address (in the simulator the flat memory from there on), strides in elements."""

    pointer: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: int
    stream: int
    """The caller's stream: what is asked of the array is to come after what that stream still does."""
    address: int
    owner: Any
    """The caller's object, which keeps the memory."""


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def memory(address: int, shape: Sequence[int], strides: Sequence[int], dtype: str) -> Any:
    """The pointer that a kernel is given: an address, in the simulator the NumPy array it means."""
    if not SIMULATED:
        return address
    reach = 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True)) if 0 not in shape else 0
    kind = np.dtype(STORED[dtype])
    if not reach:
        return np.empty(0, kind)
    raw: Any = (ctypes.c_char * (reach * kind.itemsize)).from_address(address)
    return np.frombuffer(raw, kind)


def host(array: Any, dtype: str | None = None) -> DeviceArray:
    """A NumPy array as the simulator's; a half's bits are uint16, and dtype says which half they are."""
    assert SIMULATED, "NumPy's arrays lie on no device"
    strides = tuple(step // array.itemsize for step in array.strides)
    name, address = dtype or array.dtype.name, array.ctypes.data
    pointer = memory(address, array.shape, strides, name)
    return DeviceArray(pointer, array.shape, strides, name, 0, 0, address, array)


def empty(
    like: DeviceArray, shape: Sequence[int], dtype: str | None = None, order: Sequence[int] | None = None
) -> DeviceArray:
    """A new array of like's framework, on its device; `order`: its axes from the slowest to the fastest in memory."""
    axes = tuple(order or range(len(shape)))
    name = dtype or like.dtype
    made = np.full([shape[i] for i in axes], 0, STORED[name])
    return host(made.transpose(np.argsort(axes)), name)
