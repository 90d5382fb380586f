"""A case run through a public door, into an output that is poisoned and has red zones on both sides."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast.ops.adaptive import adaptive_avg_pool2d, adaptive_max_pool2d, global_avg_pool2d, global_max_pool2d
from cnnfast.ops.conv import conv2d, depthwise_conv2d, plan_conv2d, plan_depthwise_conv2d
from cnnfast.ops.conv_transpose import conv_transpose2d, plan_conv_transpose2d
from cnnfast.ops.plan import Plan
from cnnfast.ops.pool import avg_pool2d, lp_pool2d, max_pool2d, min_pool2d
from cnnfast.ops.separable import plan_separable_conv2d, separable_conv2d
from cnnfast.ops.unpool import max_unpool2d
from cnnfast.verification.case import IMAGES, Array, Case, to_nhwc

FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        conv2d, depthwise_conv2d, separable_conv2d, conv_transpose2d, max_pool2d, min_pool2d, avg_pool2d, lp_pool2d,
        global_avg_pool2d, global_max_pool2d, adaptive_avg_pool2d, adaptive_max_pool2d, max_unpool2d,
    )
}  # fmt: skip
PLANNERS: dict[str, Callable[..., Plan]] = {
    "conv2d": plan_conv2d,
    "depthwise_conv2d": plan_depthwise_conv2d,
    "separable_conv2d": plan_separable_conv2d,
    "conv_transpose2d": plan_conv_transpose2d,
}

_ZONE = 192
_RED = 0xA5
_POISON = {4: 0x7FC0DEAD, 8: 0x7FF80000DEADBEEF, 1: 0x5A, 2: 0x5A5A}
"""Floats: a NaN with a payload that no arithmetic makes."""


class Problem(Exception):
    """Something other than the values of an output is wrong."""


@dataclass(frozen=True)
class Output:
    """y and indices in NHWC."""

    y: Array
    indices: Array | None = None


class Target:
    """An output array `offset` elements off a cache line, full of poison, between red zones."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int) -> None:
        size = int(np.prod(shape)) * dtype.itemsize
        self._memory = np.full(2 * _ZONE + 64 + offset * dtype.itemsize + size, _RED, np.uint8)
        start = _ZONE + -(self._memory.ctypes.data + _ZONE) % 64 + offset * dtype.itemsize
        self._zones = self._memory[:start], self._memory[start + size :]
        self.array = self._memory[start : start + size].view(dtype).reshape(shape)
        self._bits = self.array.view(f"u{dtype.itemsize}")
        self._bits[...] = _POISON[dtype.itemsize]

    def check(self) -> None:
        """Nothing outside was written, and everything inside (integers may happen to look like poison)."""
        if any((zone != _RED).any() for zone in self._zones):
            raise Problem("wrote outside the output")
        if self.array.dtype.kind == "f" and (self._bits == _POISON[self.array.dtype.itemsize]).any():
            raise Problem("left a part of the output unwritten")


def moved(array: Array, offset: int) -> Array:
    """A copy that starts `offset` elements off a cache line."""
    target = Target(array.shape, array.dtype, offset)
    target.array[...] = array
    return target.array


@dataclass(frozen=True)
class Call:
    """How a case is run: through `plan` where there is one, else through the function."""

    layout: str
    algorithm: str
    offset: int = 0
    plan: Plan | None = None


def run(case: Case, inputs: dict[str, Array | None], y_shape: tuple[int, ...], how: Call) -> Output:
    """Run a case on inputs in the layout's order; y_shape is the oracle's, in NHWC."""
    given = {name: moved(array, how.offset) if how.offset and name in IMAGES else array
             for name, array in inputs.items() if array is not None}  # fmt: skip
    N, P, Q, K = y_shape
    target = Target((N, P, Q, K) if how.layout == "NHWC" else (N, K, P, Q), case.y_dtype, how.offset)
    if how.plan is not None:
        result: Any = how.plan(given["x"], given.get("residual"), out=target.array)
    else:
        settings = {"layout": how.layout} | case.attributes
        if case.op != "max_unpool2d":
            settings["algorithm"] = how.algorithm
        result = FUNCTIONS[case.op](**given, **settings, out=target.array)
    y, indices = result if isinstance(result, tuple) else (result, None)
    if y is not target.array:
        raise Problem("did not return out")
    target.check()
    return Output(to_nhwc(y, how.layout), None if indices is None else to_nhwc(indices, how.layout))


def make_plan(case: Case, inputs: dict[str, Array | None], layout: str, algorithm: str) -> Plan:
    """The case's plan; only for the ops in PLANNERS."""
    x = case.x
    weights = {name: each for name, each in inputs.items() if name not in ("x", "residual") and each is not None}
    shape = x.shape if layout == "NHWC" else (x.shape[0], x.shape[3], *x.shape[1:3])
    return PLANNERS[case.op](shape, **weights, **case.attributes, layout=layout, algorithm=algorithm, dtype=case.dtype)


def plannable(case: Case) -> bool:
    """Whether the case has a plan: no int64 sum is safe for every int64 x."""
    return case.op in PLANNERS and case.dtype != np.int64
