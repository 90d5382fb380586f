"""A plan's launches: on the device, or in the simulator."""

from collections.abc import Callable, Mapping
from math import prod
from time import perf_counter

import numpy as np

from . import driver
from .arrays import STORED, DeviceArray, empty, poison, recorded
from .kernel import Plan, simulated
from .toolchain import SIMULATED


def run(plan: Plan, arrays: Mapping[str, DeviceArray], like: DeviceArray) -> None:
    """Launch the steps in order on like's device and stream. `arrays`: by the names that the steps use. Of recorded
    arrays they are written down."""
    if like.device < 0:
        like.owner.recorder.record(plan, arrays)
        return
    if SIMULATED:
        held = {name: array.pointer for name, array in arrays.items()}
        held |= {name: np.full(n, poison(dtype), STORED[dtype]) for name, (n, dtype) in plan.scratch.items()}
        for made, grid, names, scalars in plan.steps:
            if 0 not in grid:
                simulated(made)[grid, made.block, 0, made.shared](*(held[name] for name in names), *scalars)
        return
    from .frameworks import framework_of

    streams = {array.stream for array in arrays.values()} - {like.stream}
    driver.follow(like.stream, streams, like.device)
    scratch = {name: empty(like, (n,), dtype) for name, (n, dtype) in plan.scratch.items()}
    pointers = {name: array.address for name, array in {**arrays, **scratch}.items()}
    driver.launch(plan.steps, pointers, like.device, like.stream)
    # scratch goes back to its framework here, which hands it out again for what comes later on this stream
    for other in streams:  # where the others' memory is written, or handed out, again
        driver.follow(other, (like.stream,), like.device)
    kinds = {type(array.owner): array.owner for array in (like, *arrays.values())}
    if any(framework_of(owner).waits for owner in kinds.values()):
        driver.wait(like.device, like.stream)


def place(array: DeviceArray) -> tuple[str, str]:
    """The device's name and architecture: what a measurement belongs to."""
    if SIMULATED:
        return "simulator", "none"
    found = driver.device(array.device)
    return found.name, f"sm_{found.cc[0]}{found.cc[1]}"


def seconds(work: Callable[[], object], like: DeviceArray) -> float:
    """What a call of `work` takes on like's stream, the host's part hidden where the device is the slower: the least of
    three means over calls for 20 ms."""
    work()  # compiles and loads
    once = _elapsed(work, like)
    count = max(1, min(100, int(0.02 / max(once, 1e-6))))
    return min(_elapsed(lambda: [work() for _ in range(count)], like) for _ in range(3)) / count


def _elapsed(work: Callable[[], object], like: DeviceArray) -> float:
    if SIMULATED:
        start = perf_counter()
        work()
        return perf_counter() - start
    return driver.milliseconds(work, like.device, like.stream) / 1000


def zero(array: DeviceArray) -> None:
    """Zeros over a dense array."""
    if not prod(array.shape):
        return
    if SIMULATED:
        array.pointer[:] = 0
    else:
        from .frameworks import framework_of

        size = prod(array.shape) * np.dtype(STORED[array.dtype]).itemsize
        driver.clear(array.address, size, array.device, array.stream)
        if framework_of(array.owner).waits:
            driver.wait(array.device, array.stream)


def capability(device: int) -> tuple[int, int]:
    """The device's compute capability. The simulator's is the least that we name: its tests of wgmma say so."""
    if SIMULATED:
        return 8, 0
    return driver.device(device if device >= 0 else recorded(device)).cc
