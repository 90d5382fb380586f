"""softmax and log_softmax on a device, and their gradients; of arrays that lie densely."""

import math
from functools import lru_cache
from typing import Final

from .arrays import DeviceArray, empty
from .kernel import Plan, Row
from .kernels import softmaxed
from .kernels.softmaxed import Softmax
from .run import run

ROWS: Final[tuple[Row, ...]] = (softmaxed.ROW,)


@lru_cache(maxsize=1024)
def plan(problem: Softmax) -> Plan:
    """The launches of a softmax."""
    (row,) = ROWS
    return row.plan(problem, None)


def _along(x: DeviceArray, y: DeviceArray | None, axis: int, logarithm: bool) -> DeviceArray:
    axis %= len(x.shape)
    out = empty(x, x.shape)
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    problem = Softmax(logarithm, y is not None, outer, x.shape[axis], inner, x.dtype)
    run(plan(problem), {"x": x, "out": out, **({} if y is None else {"y": y})}, x)
    return out


def softmax(x: DeviceArray, *, axis: int = -1) -> DeviceArray:
    """exp(x) over its sum along the axis."""
    return _along(x, None, axis, False)


def log_softmax(x: DeviceArray, *, axis: int = -1) -> DeviceArray:
    """x minus the logarithm of the sum of exp(x) along the axis."""
    return _along(x, None, axis, True)


def softmax_gradient(grad_output: DeviceArray, y: DeviceArray, *, axis: int = -1) -> DeviceArray:
    """softmax's gradient by its output."""
    return _along(grad_output, y, axis, False)


def log_softmax_gradient(grad_output: DeviceArray, y: DeviceArray, *, axis: int = -1) -> DeviceArray:
    """log_softmax's gradient by its output."""
    return _along(grad_output, y, axis, True)
