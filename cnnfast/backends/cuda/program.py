"""A whole network on a device: recorded launches over one arena, replayed as a CUDA graph."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from . import driver, graphs
from .arrays import STORED, Described, DeviceArray, array, empty, memory
from .copy import copy
from .frameworks import framework_of
from .kernel import simulated
from .recording import ALIGNED, Buffer, Launch, Place, Recorded, Recorder
from .toolchain import SIMULATED

Lives = dict[int, tuple[int, int]]
"""Of each buffer, the first and the last launch that it is needed for."""
Layout = Callable[[Lives, Mapping[int, int]], tuple[dict[int, int], int]]
"""(lives, bytes) -> (each buffer's offset in an arena, the arena's bytes)."""


def split(launches: Sequence[Launch], buffers: Sequence[Buffer]) -> tuple[list[Launch], list[Launch], set[int]]:
    """(launches that depend on constants alone, the others, the buffers that the former leave behind).

    A step writes its last array. One that writes from constants what nobody else writes gives the same each time:
    weights that are packed or transformed.
    """
    known = {i for i, buffer in enumerate(buffers) if buffer.data is not None}
    writers = Counter(launch.places[-1].buffer for launch in launches)
    first: list[Launch] = []
    rest: list[Launch] = []
    for launch in launches:
        *sources, to = (place.buffer for place in launch.places)
        if known.issuperset(sources) and to not in known and writers[to] == 1:
            first.append(launch)
            known.add(to)
        else:
            rest.append(launch)
    return first, rest, known


class Program:
    """What a recorder kept, to be run often, by any number of threads.

    Parameters
    ----------
    recorder : the launches
    inputs, outputs : recorded arrays, contiguous
    layout : how buffers share an arena

    Attributes
    ----------
    first, launches : what is run once, and each time
    arena_size, fixed_size : bytes of the values between the launches, and of the constants with what is made of them
    """

    def __init__(
        self, recorder: Recorder, inputs: Sequence[Recorded], outputs: Sequence[Recorded], layout: Layout
    ) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.first, self.launches, known = split(recorder.launches, recorder.buffers)
        self.buffers, self._place = recorder.buffers, recorder.place
        sizes = {i: -(-buffer.size // ALIGNED) * ALIGNED for i, buffer in enumerate(recorder.buffers)}
        self.offsets, self.arena_size = layout(self._lives(known), sizes)
        used = {place.buffer for launch in (*self.first, *self.launches) for place in launch.places}
        used |= {self.place(each).buffer for each in outputs}
        self.fixed_size = 0
        for i in sorted(known & used):
            self.offsets[i] = self.arena_size + self.fixed_size
            self.fixed_size += sizes[i]
        self.constants = {i: recorder.buffers[i].data for i in known & used if recorder.buffers[i].data is not None}
        self._lock = threading.Lock()
        self._placed: _Placed | None = None

    def place(self, recorded: Recorded) -> Place:
        """Where a recorded array lies."""
        return self._place(recorded.address, recorded.dtype)

    def _lives(self, known: set[int]) -> Lives:
        lives: Lives = {self.place(each).buffer: (-1, -1) for each in self.inputs}
        for i, launch in enumerate(self.launches):
            for place in launch.places:
                lives[place.buffer] = lives.get(place.buffer, (i, i))[0], i
        for each in self.outputs:
            buffer = self.place(each).buffer
            lives[buffer] = lives.get(buffer, (-1, -1))[0], len(self.launches)
        return {buffer: life for buffer, life in lives.items() if buffer not in known}

    def run(self, given: Sequence[DeviceArray]) -> list[Any]:
        """The outputs of inputs of the recorded shapes and dtypes: new arrays of the first one's framework, on its
        stream. The first run takes the memory, from that framework."""
        with self._lock:
            self._placed = self._placed or _Placed(self, given[0])
            return self._placed.run(given)


class _Placed:
    """A program's memory on its device. Who runs it owns it alone; runs on several streams come one after the other."""

    def __init__(self, program: Program, like: DeviceArray) -> None:
        self._program, self._number, self._stream = program, like.device, like.stream
        size = program.arena_size + program.fixed_size + ALIGNED
        self._memory = empty(like, (-(size // -4),), "float32")
        self._base = -(self._memory.address // -ALIGNED) * ALIGNED
        for i, data in program.constants.items():
            driver.write(self._base + program.offsets[i], data, self._number, self._stream)
        self._launch(program.first, self._stream)
        self._launch(program.launches, self._stream)  # compiles and loads, which a capture forbids
        self._graph: graphs.Graph | None = None
        if not SIMULATED:
            self._graph = graphs.capture(partial(self._launch, program.launches), self._number)
            self._done = driver.event(self._number)
            driver.mark(self._done, self._number, self._stream)

    def __del__(self) -> None:
        """The memory goes back to its framework for the stream it was taken on: not while another still runs on it."""
        if not SIMULATED and not sys.is_finalizing() and hasattr(self, "_done"):
            with suppress(Exception):
                driver.finish(self._done, self._number)

    def run(self, given: Sequence[DeviceArray]) -> list[Any]:
        """As `Program.run`."""
        x, program = given[0], self._program
        if not SIMULATED:
            driver.after(self._done, self._number, x.stream)  # the last run; its stream itself may be gone
            driver.follow(x.stream, (each.stream for each in given), self._number)
        self._stream = x.stream
        for each, recorded in zip(given, program.inputs, strict=True):
            copy(each, self._array(recorded))
        if self._graph is None:
            self._launch(program.launches, self._stream)
        else:
            self._graph.replay(self._stream)
        made = [empty(x, each.shape, each.dtype) for each in program.outputs]
        for each, recorded in zip(made, program.outputs, strict=True):
            copy(self._array(recorded), each)
        if not SIMULATED:
            driver.mark(self._done, self._number, self._stream)
        if framework_of(x.owner).waits:
            driver.wait(self._number, self._stream)
        return [each.owner for each in made]

    def _array(self, recorded: Recorded) -> DeviceArray:
        address = self._base + self._program.offsets[self._program.place(recorded).buffer]
        told = Described(address, recorded.shape, recorded.strides, recorded.dtype, self._number, self._stream)
        return array(told, self._memory.owner)

    def _launch(self, launches: Sequence[Launch], stream: int) -> None:
        places = {str(place): place for launch in launches for place in launch.places}
        steps = [launch.step._replace(arrays=tuple(map(str, launch.places))) for launch in launches]
        at = {name: self._base + self._program.offsets[place.buffer] + place.offset for name, place in places.items()}
        if not SIMULATED:
            driver.launch(steps, at, self._number, stream)
            return
        held = {name: self._flat(place, at[name]) for name, place in places.items()}
        for made, grid, names, scalars in steps:
            simulated(made)[grid, made.block, 0, made.shared](*(held[name] for name in names), *scalars)

    def _flat(self, place: Place, address: int) -> Any:
        """What is left of a buffer, as the simulator's memory."""
        size = (self._program.buffers[place.buffer].size - place.offset) // np.dtype(STORED[place.dtype]).itemsize
        return memory(address, (size,), (1,), place.dtype)
