"""A plan's launches: on the device, or in the simulator."""

from collections.abc import Mapping

import numpy as np

from .arrays import STORED, DeviceArray
from .kernel import Plan, simulated
from .toolchain import SIMULATED


def run(plan: Plan, arrays: Mapping[str, DeviceArray], like: DeviceArray) -> None:
    """Launch the steps in order on like's device and stream. `arrays`: by the names that the steps use."""
    if SIMULATED:
        held = {name: array.pointer for name, array in arrays.items()}
        held |= {name: np.zeros(n, STORED[dtype]) for name, (n, dtype) in plan.scratch.items()}
        for made, grid, names, scalars in plan.steps:
            simulated(made)[grid, made.block, 0, made.shared](*(held[name] for name in names), *scalars)
        return
    raise NotImplementedError


def capability(device: int) -> tuple[int, int]:
    """The device's compute capability. The simulator's is the least that we name."""
    if SIMULATED:
        return 8, 0
    raise NotImplementedError
