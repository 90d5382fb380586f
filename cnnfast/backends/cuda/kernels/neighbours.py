"""neighbours: local response normalisation, one thread an element, which reads its channel's neighbours from the cache.

Bytes moved: x once and y once, the least there is; the first cache gives each x `size` times.
"""

from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.generate import generated
from cnnfast.backends.cuda.intrinsics.arithmetic import quotient
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.toolchain import types

from .places import counted

THREADS = 256


class Neighbours(NamedTuple):
    """y = x / (k + alpha / size * the sum of x**2 over `size` channels)**beta of a dense array, of whose elements
    `channels` are `step` apart."""

    elements: int
    channels: int
    step: int
    size: int
    alpha: float
    beta: float
    k: float
    dtype: str


@kernel
def neighbours(dtype: str, size: int, alpha: float, beta: float, k: float) -> Kernel:
    """The kernel of a window and its constants."""
    element = ELEMENTS[dtype]
    real = np.float64 if dtype == "float64" else np.float32
    known: dict[str, Any] = {"load": element.load, "store": element.store, "quotient": quotient, "zero": real(0),
                             "share": real(alpha / size), "beta": real(-beta), "k": real(k)}  # fmt: skip
    lines = [
        "i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x", "if i >= count:", "    return",
        "c = quotient(i, step)", "c = c - quotient(c, channels) * channels", "total = zero",
        f"for d in range(max(0, c - {size // 2}), min(channels, c + {(size - 1) // 2 + 1})):",
        "    v = load(x, i + (d - c) * step)", "    total += v * v",
        "store(y, i, load(x, i) * (k + share * total) ** beta)",
    ]  # fmt: skip
    made = generated("neighbours", ["x", "y", "count", "channels", "step"], lines, **known)
    return Kernel("", made, (element.pointer, element.pointer, *(types.int64,) * 3), (THREADS, 1, 1))


def plan(problem: Neighbours, tile: None) -> Plan:
    """One launch."""
    made = neighbours(problem.dtype, problem.size, problem.alpha, problem.beta, problem.k)
    scalars = counted("elements", problem.elements), problem.channels, problem.step
    grid = -(problem.elements // -THREADS), 1, 1
    return Plan((Step(made, grid, ("x", "y"), scalars),) if problem.elements else ())


ROW = Row("neighbours", lambda problem: True, plan)
