"""Array arguments, checked at the door, and the arrays that ops make. An input is never modified."""

import math
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cnnfast.backends import native
from cnnfast.ops import exchange
from cnnfast.ops.options import AXES
from cnnfast.ops.signatures import Dtypes

Array = NDArray[Any]

CACHE_LINE = 64  # bytes
SMALL = 16384  # bytes: below, to find an output a cache line to start at costs more than stores across lines do
BYTES = np.dtype(np.uint8)


def as_array(name: str, value: object) -> Array:
    """value as a NumPy array, without a copy where it is an array of any kind (`exchange`)."""
    return value if type(value) is np.ndarray else exchange.view(name, value)


def channels_last(array: Array) -> bool:
    """Whether an array of four dimensions, taken as (N, C, H, W), lies in memory as (N, H, W, C).

    >>> channels_last(np.zeros((1, 4, 4, 3)).transpose(0, 3, 1, 2)), channels_last(np.zeros((1, 3, 4, 4)))
    (True, False)
    """
    return array.ndim == 4 and not array.flags.c_contiguous and array.transpose(0, 2, 3, 1).flags.c_contiguous


def as_input(name: str, value: object, dtypes: Dtypes, layout: str) -> Array:
    """value as a 4-D array of one of the dtypes, none of whose dimensions but N is 0. It may still be strided."""
    array = as_array(name, value)
    check_input(name, array.shape, array.dtype, dtypes, layout)
    return array


def check_input(
    name: str, shape: tuple[int, ...], dtype: object, dtypes: Collection[object], layout: str
) -> None:  # fmt: skip
    """What `as_input` asks of an array."""
    check_dtype(name, dtype, dtypes)
    if len(shape) != 4:
        raise ValueError(f"{name} must have 4 dimensions ({AXES[layout]}), got shape {shape}")
    check_input_shape(name, shape, layout)


def check_input_shape(name: str, shape: Sequence[int], layout: str) -> None:
    """No dimension but N may be 0."""
    if 0 in shape[1:]:
        raise ValueError(f"{name} must have no empty dimension but N ({AXES[layout]}), got shape {tuple(shape)}")


def check_dtype(name: str, dtype: object, dtypes: Collection[object]) -> None:
    """dtype must be one of the supported ones, in the machine's byte order: NumPy's, or a device array's by name."""
    if dtype not in dtypes:
        raise TypeError(f"{name} must have a dtype of {_names(dtypes)} (native byte order), got {dtype!r}")


def _names(dtypes: Iterable[object]) -> str:
    return ", ".join(str(each) for each in dtypes)


def as_weight(name: str, value: object, dtype: np.dtype[Any], dtypes: Dtypes) -> Array:
    """A weight or bias for x of `dtype`, contiguous: floats are cast to it, integers to int64."""
    array = as_array(name, value)
    floating = dtype.kind == "f"
    if array.dtype not in dtypes or (array.dtype.kind == "f") != floating:
        rule = "floating" if floating else "integer"
        names = _names(each for each in dtypes if (each.kind == "f") == floating)
        raise TypeError(f"{name} must be {rule}, as x is ({dtype}): {names}, got {array.dtype!r}")
    return contiguous(name, array, dtype if floating else np.dtype(np.int64))


def contiguous(name: str, array: Array, dtype: np.dtype[Any] | None = None) -> Array:
    """array itself where it is C-contiguous, aligned and of `dtype`, else such a copy."""
    wanted = array.dtype if dtype is None else dtype  # never `dtype == None`: NumPy reads None as float64
    if array.flags.c_contiguous and array.flags.aligned and array.dtype == wanted:
        return array
    copy = allocate(f"a contiguous copy of {name}", array.shape, wanted)
    _copy(copy, array)
    return copy


def _copy(to: Array, array: Array) -> None:
    """Copy, also where array's last axis has its longest stride, as a transposed weight's has: then NumPy fills a cache
    line with 16 passes over the whole, three times slower than line by line."""
    if array.ndim > 1 and array.nbytes > SMALL and array.strides[-1] == max(array.strides):
        for i in range(0, array.shape[-1], 16):
            np.copyto(to[..., i : i + 16], array[..., i : i + 16], casting="same_kind")
    else:
        np.copyto(to, array, casting="same_kind")


def max_abs(x: Array) -> int:
    """The largest |x| of an integer array, at least 1: what bounds its sums. 0 for floats, which need no bound."""
    if x.dtype.kind == "f":
        return 0
    return max(1, int(x.max()), -int(x.min())) if x.size else 1


class Pool:
    """Memory of arrays that are over, for arrays to come: fresh memory costs a page fault for each 4 KB when it is
    first touched, more than many an op takes to fill it.

    A buffer is handed out again once nothing refers to it: no array, and no view of one.

    >>> pool = Pool()
    >>> first = pool.take(10000)
    >>> at = first.ctypes.data
    >>> del first
    >>> pool.take(9900).ctypes.data == at
    True
    """

    def __init__(self) -> None:
        self._buffers: dict[int, list[Array]] = {}
        self._most = 0  # bytes that were in use at once

    def take(self, size: int) -> Array:
        """A buffer of at least so many bytes; it is the taker's as long as anything refers to it."""
        step = 1 << max(0, size.bit_length() - 4)  # classes an eighth apart at most
        rounded = -(-size // step) * step
        buffers = self._buffers.setdefault(rounded, [])
        for i in range(len(buffers) - 1, -1, -1):  # the one handed out last is the likeliest to be in a cache still
            if sys.getrefcount(buffers[i]) == _FREE:
                buffers.append(buffers.pop(i))
                return buffers[-1]
        self._make_room(rounded)
        buffers.append(np.empty(rounded, np.uint8))
        return buffers[-1]

    def _make_room(self, size: int) -> None:
        """Let free buffers go where the pool would hold twice what was ever in use at once: pictures of many sizes."""
        used = size
        for each, buffers in self._buffers.items():
            used += each * sum(sys.getrefcount(buffers[i]) != _FREE for i in range(len(buffers)))
        self._most = max(self._most, used)
        if self.size + size > 2 * self._most:
            for buffers in self._buffers.values():
                buffers[:] = [buffers[i] for i in range(len(buffers)) if sys.getrefcount(buffers[i]) != _FREE]

    @property
    def size(self) -> int:
        """Bytes of all its buffers."""
        return sum(size * len(buffers) for size, buffers in self._buffers.items())


def _free() -> int:
    """What getrefcount says of a buffer that only its list refers to."""
    buffers = [np.empty(0, np.uint8)]
    return sys.getrefcount(buffers[0])


_FREE = _free()


class _Recycled(threading.local):
    pool: Pool | None = None


_recycled = _Recycled()


@contextmanager
def recycling(pool: Pool) -> Iterator[None]:
    """Arrays that this thread allocates within come from a pool."""
    before, _recycled.pool = _recycled.pool, pool
    try:
        yield
    finally:
        _recycled.pool = before


def allocate(name: str, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """An uninitialised array; MemoryError where it cannot be had, instead of a kill when it is first touched.

    Where it is large enough to matter it starts at a cache line: NumPy's own start 16 bytes after one, and then every
    vector that a later layer reads of it lies across two, which costs depthwise and pooling a quarter of their speed.
    """
    wanted = np.dtype(dtype)
    size = math.prod(shape) * wanted.itemsize
    if size < SMALL:
        return np.empty(shape, wanted)
    if size > memory():
        check_fits(name, shape, wanted)
    pool = _recycled.pool
    raw = np.empty(size + CACHE_LINE, np.uint8) if pool is None else pool.take(size + CACHE_LINE)
    return np.ndarray(shape, wanted, raw, native.bytes_to_line(raw, CACHE_LINE))


def allocate_as(array: Array | None, name: str, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """`allocate`, with channels last in memory where array has them there."""
    if array is None or len(shape) != 4 or not channels_last(array):
        return allocate(name, shape, dtype)
    N, C, H, W = shape
    return allocate(name, (N, H, W, C), dtype).transpose(0, 3, 1, 2)


def allocator(name: str, shape: Sequence[int], dtype: np.dtype[Any]) -> Callable[[], Array]:
    """`allocate` of these arguments, over and over."""
    wanted, size = tuple(shape), math.prod(shape) * dtype.itemsize
    if size < SMALL:
        return partial(np.empty, wanted, dtype)
    if size > memory():
        return partial(allocate, name, wanted, dtype)

    def new() -> Array:  # nothing else may stand here: it is a part of every small call
        pool = _recycled.pool
        raw = np.empty(size + CACHE_LINE, BYTES) if pool is None else pool.take(size + CACHE_LINE)
        return np.ndarray(wanted, dtype, raw, native.bytes_to_line(raw, CACHE_LINE))

    return new


def check_fits(name: str, shape: Sequence[int], dtype: DTypeLike) -> None:
    """MemoryError for an array larger than the machine's memory."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > memory():
        raise MemoryError(f"{name} of shape {tuple(shape)} needs {size} bytes, this machine has {memory()}")


def check_out(out: object, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """The caller's output array: it must be writable, of the exact shape and dtype."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy.ndarray, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out must have dtype {dtype}, got {out.dtype!r}")
    if out.shape != tuple(shape):
        raise ValueError(f"out must have shape {tuple(shape)}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out must be writable, got a read-only array")
    if _overlaps_itself(out):
        raise ValueError(f"out must not overlap itself, got strides {out.strides} for shape {out.shape}")
    return out


def check_no_overlap(out: Array, inputs: Iterable[tuple[str, object]]) -> None:
    """out may share no byte with an input, or the call would modify that."""
    for name, value in inputs:
        if value is not None and _share_memory(out, as_array(name, value)):
            raise ValueError(f"out must not overlap an input, got one that shares memory with {name}")


def _share_memory(a: Array, b: Array) -> bool:
    if not np.may_share_memory(a, b):
        return False
    try:  # the exact answer lets `out` be the other channels of x's own buffer
        return np.shares_memory(a, b, max_work=1000)  # type: ignore[arg-type]
    except RuntimeError:  # numpy's TooHardError: too long to find out
        return True


def _overlaps_itself(array: Array) -> bool:
    """Whether two elements may share a byte: from the smallest stride up, each must pass the reach of those below."""
    if array.size == 0:
        return False
    reach = array.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in zip(array.strides, array.shape, strict=True)):
        if size > 1 and stride < reach:
            return True
        reach += stride * (size - 1)
    return False


@cache
def memory() -> int:
    """Bytes of memory of this machine, or of its container."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path) as file:
                text = file.read().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(text))
    return min(limits)
