"""A pool's plan, for networks that run it many times: validated once, then as cheap to call as a convolution's."""

from typing import Any

import numpy as np

from cnnfast.ops import arrays, options
from cnnfast.ops.adaptive import adaptive_pool
from cnnfast.ops.geometry import Shape
from cnnfast.ops.plan import Plan
from cnnfast.ops.pool import window_pool
from cnnfast.ops.prepared import prepared

KINDS = {
    "max_pool2d": "max", "min_pool2d": "min", "avg_pool2d": "avg",
    "adaptive_avg_pool2d": "avg", "adaptive_max_pool2d": "max",
}  # fmt: skip
FLOAT32 = np.dtype(np.float32)


def plan_pool2d(
    op: str, input_shape: Shape, kernel_size: Any, stride: Any = None, *, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, dilation: Any = 1, layout: Any = "NHWC",
) -> Plan:  # fmt: skip
    """Make the float32 pool called `op` ready for images of one size; its arguments are those of the op itself.

    >>> plan_pool2d("avg_pool2d", (1, 28, 28, 6), 2).output_shape()
    (1, 14, 14, 6)
    """
    arrays.check_input_shape("input_shape", input_shape, options.layouts(layout).x)
    given = kernel_size, stride, padding, dilation, layout, ceil_mode, count_include_pad, 0.0, False, "auto"
    return _plan(window_pool, op, input_shape, given, options.layouts(layout).x)


def plan_adaptive_pool2d(op: str, input_shape: Shape, output_size: tuple[int, int]) -> Plan:
    """Make the NHWC float32 adaptive pool called `op` ready; one window, (1, 1), is the global pool.

    >>> plan_adaptive_pool2d("adaptive_avg_pool2d", (1, 7, 7, 512), (1, 1)).output_shape()
    (1, 1, 1, 512)
    """
    arrays.check_input_shape("input_shape", input_shape, "NHWC")
    return _plan(adaptive_pool, op, input_shape, (output_size, "NHWC", False, "auto"), "NHWC")


def _plan(make: Any, op: str, input_shape: Shape, given: tuple[Any, ...], layout: str) -> Plan:
    pool = prepared(make, (op, KINDS[op], input_shape, FLOAT32), given)
    return Plan(op, pool.plan, input_shape, pool.y_shape, FLOAT32, layout)
