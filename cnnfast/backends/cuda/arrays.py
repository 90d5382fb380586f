"""Arrays on a CUDA device: any framework's, read where they lie, and new ones of the caller's kind."""

import ctypes
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from .toolchain import SIMULATED

STORED: Final = {"float32": np.float32, "float64": np.float64, "float16": np.uint16, "bfloat16": np.uint16,
                 "int64": np.int64, "int32": np.int32}  # fmt: skip
"""How the simulator's memory holds each dtype."""


def recorded(device: int) -> int:
    """What an array that is recorded for a device gives as its own, since its address is no memory's; and back.

    >>> recorded(1), recorded(recorded(1))
    (-2, 1)
    """
    return -1 - device


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
    writable: bool = True


class Described(NamedTuple):
    """What a framework says of an array of its own; strides in elements, None where it is contiguous."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: str
    device: int
    stream: int = 0
    writable: bool = True


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def settled(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """The strides with those of axes of size 1, which say nothing, as a contiguous array has them.

    >>> settled((2, 3, 1), (3, 1, 700))
    (3, 1, 1)
    """
    found, step = [], 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        found.append(step if size == 1 else stride)
        step = size * found[-1]
    return tuple(reversed(found))


def dense_order(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, ...] | None:
    """The axes from the slowest to the fastest where the array fills its memory without a gap, else None.

    >>> dense_order((2, 3, 4, 5), (60, 1, 15, 3)), dense_order((2, 3), (6, 2))
    ((0, 2, 3, 1), None)
    """
    order = tuple(sorted(range(len(shape)), key=lambda axis: -strides[axis]))
    expected = contiguous_strides([shape[axis] for axis in order])
    dense = all(shape[axis] == 1 or strides[axis] == step for axis, step in zip(order, expected, strict=True))
    return order if dense else None


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


def array(told: Described, owner: Any) -> DeviceArray:
    """The array that a framework has described."""
    strides = contiguous_strides(told.shape) if told.strides is None else settled(told.shape, told.strides)
    # a dtype that no kernel takes, and what runs backwards, is refused by whoever knows the argument's name: it needs
    # no memory
    known = told.dtype in STORED and told.device >= 0 and min(strides, default=0) >= 0
    pointer = memory(told.address, told.shape, strides, told.dtype) if known else None
    return DeviceArray(
        pointer, told.shape, strides, told.dtype, told.device, told.stream, told.address, owner, told.writable
    )


def read(name: str, value: Any) -> DeviceArray:
    """value, an array on a device that the argument `name` was given: where it lies. TypeError, ValueError: it cannot
    be read."""
    from .frameworks import framework_of

    told = framework_of(value).describe(name, value)
    size = np.dtype(STORED.get(told.dtype, np.uint8)).itemsize
    if told.address % size:
        raise ValueError(f"{name} must start at a multiple of its elements' {size} bytes, got address {told.address}")
    return array(told, value)


def host(value: Any, dtype: str | None = None) -> DeviceArray:
    """A NumPy array as the simulator's; a half's bits are uint16, and dtype says which half they are."""
    assert SIMULATED, "NumPy's arrays lie on no device"
    strides = tuple(step // value.itemsize for step in value.strides)
    return array(Described(value.ctypes.data, value.shape, strides, dtype or value.dtype.name, 0), value)


def empty(
    like: DeviceArray, shape: Sequence[int], dtype: str | None = None, order: Sequence[int] | None = None
) -> DeviceArray:
    """A new array of like's framework, on its device; `order`: its axes from the slowest to the fastest in memory.

    In the simulator it holds NaN, or a large integer, as an array on a device may.
    """
    axes = tuple(order or range(len(shape)))
    name = dtype or like.dtype
    if isinstance(like.owner, np.ndarray):
        made = np.full([shape[i] for i in axes], poison(name), STORED[name])
        return host(made.transpose(np.argsort(axes)), name)
    from .frameworks import framework_of

    laid = contiguous_strides([shape[i] for i in axes])
    strides = tuple(laid[axes.index(i)] for i in range(len(axes)))
    kind = framework_of(like.owner)
    owner = kind.make(like, tuple(shape), strides, name)
    told = kind.describe("a new array", owner)
    if told.dtype != name and not SIMULATED:  # there a brain half's bits are uint16
        raise RuntimeError(f"a new array of {name} was wanted, {kind.module} made one of {told.dtype}")
    found = array(told, owner)._replace(dtype=name, stream=like.stream)
    if SIMULATED and found.device >= 0 and found.pointer.size:
        found.pointer[:] = poison(name)
    return found


def poison(dtype: str) -> Any:
    """What an array holds to which nobody wrote: NaN, also as a half's bits."""
    if dtype in ("float16", "bfloat16"):
        return 0x7FFF
    return np.nan if dtype.startswith("float") else 2**30 + 1
