"""linear on a device: a convolution of 1 x 1 over a line of rows."""

import math
from functools import lru_cache

from .arrays import DeviceArray, empty
from .kernel import Plan, Row, planned
from .kernels import conv_plain, conv_tensor, conv_wgmma, direct, linear_rows
from .problem import Conv
from .run import capability, run

ROWS: tuple[Row, ...] = (linear_rows.ROW, conv_wgmma.ROW, conv_tensor.ROW, direct.ROW, conv_plain.ROW)
"""linear's algorithms on a device, the best first; the last takes every problem."""


@lru_cache(maxsize=1024)
def plan(problem: Conv, algorithm: str | None = None) -> Plan:
    """The launches of a linear."""
    return planned(ROWS, problem, algorithm)


def linear(
    x: DeviceArray, weight: DeviceArray, bias: DeviceArray | None = None, *, activation: tuple[str | None, float],
    algorithm: str | None = None, precision: str = "default", out: DeviceArray | None = None,
) -> DeviceArray:  # fmt: skip
    """The reference's linear, on a device, of an x whose rows are equally far apart: the edge sees to it."""
    y = empty(x, (*x.shape[:-1], weight.shape[0])) if out is None else out
    problem = problem_of(x, weight, y, precision)._replace(activation=activation, has_bias=bias is not None)
    if bias is not None and bias.address % 16:
        problem = problem._replace(aligned=False)
    given = {"x": x, "weight": weight, "y": y}
    if bias is not None:
        given["bias"] = bias
    run(plan(problem, algorithm), given, x)
    return y


def pitch(array: DeviceArray) -> int:
    """From a row to the next."""
    outer = zip(array.shape[-2::-1], array.strides[-2::-1], strict=True)
    return next((step for size, step in outer if size > 1), array.shape[-1])


def problem_of(x: DeviceArray, weight: DeviceArray, y: DeviceArray, precision: str) -> Conv:
    """The convolution that multiplies x's rows by a (K, C) matrix."""
    M, (K, C) = math.prod(x.shape[:-1]), weight.shape
    x_row, y_row = pitch(x), pitch(y)
    outer = 0 if M * max(x_row, y_row) >= 2**31 else M  # nothing steps along axes of size 1
    aligned = all(array.address % 16 == 0 for array in (x, weight, y))
    return Conv(
        1, 1, M, C, K, 1, 1, 1, M, (1, 1), ((0, 0), (0, 0)), (1, 1), 1, x.dtype, precision,
        (outer * x_row, outer * x_row, x_row, x.strides[-1]), (0, 0, weight.strides[1], weight.strides[0]),
        (outer * y_row, outer * y_row, y_row, y.strides[-1]), aligned=aligned,
        cc=capability(x.device),
    )  # fmt: skip
