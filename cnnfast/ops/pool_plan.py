"""A pool's plan, for networks that run it many times: validated once, then as cheap to call as a convolution's."""

from typing import Any

import numpy as np

from cnnfast.backends import native
from cnnfast.ops import arrays, checks
from cnnfast.ops.adaptive import _adaptive_plan
from cnnfast.ops.geometry import Shape
from cnnfast.ops.plan import Plan
from cnnfast.ops.pool import _window_plan

KINDS = {
    "max_pool2d": "max", "min_pool2d": "min", "avg_pool2d": "avg",
    "adaptive_avg_pool2d": "avg", "adaptive_max_pool2d": "max",
}  # fmt: skip
FLOAT32 = np.dtype(np.float32)


def plan_pool2d(
    op: str, input_shape: Shape, kernel_size: Any, stride: Any = None, *, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Plan:  # fmt: skip
    """Make the NHWC float32 pool called `op` ready for images of one size; its arguments are those of the op itself.

    >>> plan_pool2d("avg_pool2d", (1, 28, 28, 6), 2).output_shape()
    (1, 14, 14, 6)
    """
    arrays.check_input_shape("input_shape", input_shape, "NHWC")
    kernel = checks.pair("kernel_size", kernel_size, minimum=1)
    step = kernel if stride is None else checks.pair("stride", stride, minimum=1)
    plan, y_shape = _window_plan(
        native.isa(), op, KINDS[op], input_shape, FLOAT32, "NHWC", kernel, step, checks.sides("padding", padding),
        (1, 1), checks.boolean("ceil_mode", ceil_mode), checks.boolean("count_include_pad", count_include_pad), 0.0,
        False, None,
    )  # fmt: skip
    return Plan(op, plan, input_shape, y_shape, FLOAT32, "NHWC")


def plan_adaptive_pool2d(op: str, input_shape: Shape, output_size: tuple[int, int]) -> Plan:
    """Make the NHWC float32 adaptive pool called `op` ready; one window, (1, 1), is the global pool.

    >>> plan_adaptive_pool2d("adaptive_avg_pool2d", (1, 7, 7, 512), (1, 1)).output_shape()
    (1, 1, 1, 512)
    """
    arrays.check_input_shape("input_shape", input_shape, "NHWC")
    plan, y_shape = _adaptive_plan(
        native.isa(), op, KINDS[op], input_shape, FLOAT32, "NHWC", output_size, False, None
    )  # fmt: skip
    return Plan(op, plan, input_shape, y_shape, FLOAT32, "NHWC")
