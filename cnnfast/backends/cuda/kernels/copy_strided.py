"""strided: one thread an element, neighbours along the output's last axis: a copy at half of memory's speed or less."""

from math import prod
from typing import Any

from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.problem import Copy
from cnnfast.backends.cuda.toolchain import cuda, pointer, types

THREADS = 256
BITS = {"float32": types.uint32, "float64": types.uint64, "float16": types.uint16, "bfloat16": types.uint16,
        "int64": types.uint64, "int32": types.uint32}  # fmt: skip


@kernel
def strided(dtype: str) -> Kernel:
    """The kernel for a dtype."""

    def copy(
        x: Any, y: Any, count: Any, B: Any, C: Any, D: Any, E: Any, xa: Any, xb: Any, xc: Any, xd: Any, xe: Any,
        ya: Any, yb: Any, yc: Any, yd: Any, ye: Any,
    ) -> None:  # fmt: skip
        i = cuda.grid(1)
        if i >= count:
            return
        e = i % E
        d = i // E % D
        c = i // (E * D) % C
        b = i // (E * D * C) % B
        a = i // (E * D * C * B)
        y[a * ya + b * yb + c * yc + d * yd + e * ye] = x[a * xa + b * xb + c * xc + d * xd + e * xe]

    return Kernel("", copy, (*(pointer(BITS[dtype]),) * 2, *(types.int64,) * 15), (THREADS, 1, 1))


def plan(problem: Copy, tile: None) -> Plan:
    """One launch."""
    count = prod(problem.shape)
    scalars = (count, *problem.shape[1:], *problem.x_strides, *problem.y_strides)
    return Plan((Step(strided(problem.dtype), (-(count // -THREADS), 1, 1), ("x", "y"), scalars),))


ROW = Row("strided", lambda problem: True, plan)
