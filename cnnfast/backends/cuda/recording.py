"""Ops written down in the place of being launched: arrays that have a shape and a place, and no contents.

A recorded array is one more framework's: the ops read it, make others beside it and hand their plans to `run`, which
asks its recorder to keep them. So whatever runs on a device can be recorded, and nothing is written twice.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np

from .arrays import STORED, Described, DeviceArray, contiguous_strides, recorded
from .kernel import Plan, Step

ALIGNED: Final = 256
"""Every buffer begins at a multiple of so many bytes."""


class Buffer(NamedTuple):
    """Memory of so many bytes; `data`: what it holds from the start, where it is a constant."""

    size: int
    data: Any


class Place(NamedTuple):
    """Where an array begins: a buffer's number, and bytes from its start; `dtype` is the elements'."""

    buffer: int
    offset: int
    dtype: str


class Launch(NamedTuple):
    """A step, and the places of its arrays, in order."""

    step: Step
    places: tuple[Place, ...]


class Recorded:
    """An array of a recorder's."""

    def __init__(
        self, recorder: "Recorder", address: int, shape: Sequence[int], strides: Sequence[int], dtype: str
    ) -> None:
        self.recorder, self.address, self.dtype = recorder, address, dtype
        self.shape, self.strides = tuple(shape), tuple(strides)

    __cuda_ndarray__ = True
    """Numba's mark of an array on a device, by which the ops know it too."""
    __array_ufunc__ = None
    """NumPy's operators refuse it."""

    @property
    def contiguous(self) -> bool:
        """Whether it lies in C's order without a gap."""
        return self.strides == contiguous_strides(self.shape)

    def viewed(self, function: Callable[[Any], Any]) -> "Recorded":
        """function of it, which gives a view of a NumPy array and reads none of its numbers."""
        kind = np.dtype(STORED[self.dtype])
        told = {
            "version": 3, "shape": self.shape, "typestr": kind.str, "data": (self.address, True),
            "strides": tuple(step * kind.itemsize for step in self.strides),
        }  # fmt: skip
        y = function(np.asarray(type("Place", (), {"__array_interface__": told})()))
        steps = tuple(step // kind.itemsize for step in y.strides)
        return Recorded(self.recorder, y.__array_interface__["data"][0], y.shape, steps, self.dtype)

    def reshaped(self, shape: Sequence[int]) -> "Recorded":
        """The same memory in another shape; the array is contiguous."""
        return Recorded(self.recorder, self.address, shape, contiguous_strides(shape), self.dtype)


class Recorder:
    """Buffers, and the launches over them in their order, for one device: what it can do chooses the kernels."""

    def __init__(self, device: int) -> None:
        self.device = device
        self.buffers: list[Buffer] = []
        self.launches: list[Launch] = []
        self._starts: list[int] = []
        self._free = ALIGNED

    def array(self, shape: Sequence[int], dtype: str = "float32", strides: Sequence[int] | None = None) -> Recorded:
        """An array in a buffer of its own."""
        return Recorded(self, self._buffer(shape, dtype), shape, strides or contiguous_strides(shape), dtype)

    def constant(self, values: Any) -> Recorded:
        """An array of these numbers."""
        data = np.ascontiguousarray(values)
        if data.dtype.name not in STORED:
            raise NotImplementedError(f"a constant of {data.dtype} has no place on a CUDA device yet")
        address = self._buffer(data.shape, data.dtype.name, data)
        return Recorded(self, address, data.shape, contiguous_strides(data.shape), data.dtype.name)

    def _buffer(self, shape: Sequence[int], dtype: str, data: Any = None) -> int:
        size = max(1, prod(shape)) * np.dtype(STORED[dtype]).itemsize
        address = self._free
        self._free += -(-size // ALIGNED) * ALIGNED
        self._starts.append(address)
        self.buffers.append(Buffer(size, data))
        return address

    def place(self, address: int, dtype: str) -> Place:
        """What lies at an address."""
        found = bisect_right(self._starts, address) - 1
        return Place(found, address - self._starts[found], dtype)

    def record(self, plan: Plan, arrays: Mapping[str, DeviceArray]) -> None:
        """Keep the launches of an op."""
        places = {name: self.place(array.address, array.dtype) for name, array in arrays.items()}
        for name, (size, dtype) in plan.scratch.items():
            places[name] = self.place(self._buffer((size,), dtype), dtype)
        for step in plan.steps:
            if 0 not in step.grid:
                self.launches.append(Launch(step, tuple(places[name] for name in step.arrays)))


def describe(name: str, value: Recorded) -> Described:
    """As a framework's."""
    return Described(value.address, value.shape, value.strides, value.dtype, recorded(value.recorder.device))


def make(like: DeviceArray, shape: tuple[int, ...], strides: tuple[int, ...], dtype: str) -> Recorded:
    """As a framework's."""
    recorder: Recorder = like.owner.recorder
    return recorder.array(shape, dtype, strides)
