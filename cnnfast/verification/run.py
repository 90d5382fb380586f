"""A case run through a public door, into an output that is poisoned and has red zones on both sides."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np

import cnnfast
from cnnfast.ops import options
from cnnfast.ops.linear import LinearPlan
from cnnfast.ops.plan import Plan
from cnnfast.ops.signatures import SIGNATURES
from cnnfast.verification.case import IMAGES, ONE_LAYOUT, Array, Case, channels_last, layouts

FUNCTIONS: dict[str, Callable[..., Any]] = {op: getattr(cnnfast, op) for op in SIGNATURES}
CHOOSES = frozenset(name for name, function in FUNCTIONS.items() if "algorithm" in signature(function).parameters)
"""The ops whose algorithm may be named."""
PRECISE = frozenset(name for name, function in FUNCTIONS.items() if "precision" in signature(function).parameters)
PLANNERS: dict[str, Callable[..., Plan | LinearPlan]] = {
    op: getattr(cnnfast, f"plan_{op}") for op in SIGNATURES if hasattr(cnnfast, f"plan_{op}")
}

_ZONE = 192
_RED = 0xA5
_POISON = {4: 0x7FC0DEAD, 8: 0x7FF80000DEADBEEF, 1: 0x5A, 2: 0x5A5A}
"""Floats: a NaN with a payload that no arithmetic makes."""


class Problem(Exception):
    """Something other than the values of an output is wrong."""


@dataclass(frozen=True)
class Output:
    """y and indices, channels last."""

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
    plan: Plan | LinearPlan | None = None


def run(case: Case, inputs: dict[str, Array | None], y_shape: tuple[int, ...], how: Call) -> Output:
    """Run a case on inputs in the layout's order; y_shape is the oracle's, channels last."""
    given: dict[str, Any] = {name: moved(array, how.offset) if how.offset and name in IMAGES else array
                             for name, array in inputs.items() if array is not None}  # fmt: skip
    last = how.layout == layouts(case.op)[0]
    target = Target(y_shape if last else (y_shape[0], y_shape[-1], *y_shape[1:-1]), case.y_dtype, how.offset)
    if how.plan is not None:
        residual = {"residual": given["residual"]} if "residual" in given else {}
        result: Any = how.plan(given["x"], **residual, out=target.array)
    else:
        result = call(case, given, how, target.array)
    y, indices = result if isinstance(result, tuple) else (result, None)
    if y is not target.array:
        raise Problem("did not return out")
    target.check()
    at = None if indices is None else channels_last(indices, case.op, how.layout)
    return Output(channels_last(y, case.op, how.layout), at)


def call(case: Case, given: dict[str, Any], how: Call, out: Array) -> Any:
    """The op's function on arrays in the layout's order."""
    if case.op == "concatenate":
        given = {"arrays": list(given.values())}
    return FUNCTIONS[case.op](**given, **case.attributes, **_controls(case, how), out=out)


def _controls(case: Case, how: Call) -> dict[str, str]:
    controls = {} if how.layout == ONE_LAYOUT else {"layout": how.layout}
    if case.op in CHOOSES:
        controls["algorithm"] = how.algorithm
    if case.op in PRECISE:  # rows by name under the one that allows them all
        controls["precision"] = "fast" if how.algorithm != "auto" else options.PRECISIONS[case.index % 3]
    if SIGNATURES[case.op].table == "fused":  # whose rows do not say how their stages compute
        controls["precision"] = "strict"
    return controls


def make_plan(case: Case, inputs: dict[str, Array | None], layout: str, algorithm: str) -> Plan | LinearPlan:
    """The case's plan; only for the ops in PLANNERS."""
    x = inputs["x"]
    assert x is not None
    weights = {name: each for name, each in inputs.items() if name not in ("x", "residual") and each is not None}
    controls = _controls(case, Call(layout, algorithm)) | ({} if case.op == "linear" else {"dtype": case.dtype})
    return PLANNERS[case.op](x.shape, **weights, **case.attributes, **controls)


def plannable(case: Case) -> bool:
    """Whether the case has a plan: no int64 sum is safe for every int64 x."""
    return case.op in PLANNERS and case.dtype != np.int64
