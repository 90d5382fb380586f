"""Comparisons, logic, bits, and the choice by a condition."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.graph.ir import Spec
from cnnfast.graph.table import same
from cnnfast.onnx.ops.elementwise import repeated
from cnnfast.onnx.registry import one_of, onnx_op
from cnnfast.ops.arrays import Array

BOOL = np.dtype(np.bool_)


def _truths(*specs: Spec, **attributes: Any) -> Spec:
    return Spec(repeated(*specs).shape, BOOL)


def _pair(name: str, function: Callable[..., Any], since: int, spec: Callable[..., Spec]) -> None:
    def run(x: Array, y: Array) -> Any:
        return function(x, y)

    onnx_op(name, since=since, spec=spec, pointwise=True)(run)


PAIRS: dict[int, dict[str, Callable[..., Any]]] = {
    7: {"Equal": np.equal, "Greater": np.greater, "Less": np.less, "And": np.logical_and, "Or": np.logical_or,
        "Xor": np.logical_xor},
    12: {"GreaterOrEqual": np.greater_equal, "LessOrEqual": np.less_equal},
}  # fmt: skip
"""What gives truths, by the opset that it came with."""
BITS: dict[str, Callable[..., Any]] = {"And": np.bitwise_and, "Or": np.bitwise_or, "Xor": np.bitwise_xor}
for _since, _functions in PAIRS.items():
    for _name, _function in _functions.items():
        _pair(_name, _function, _since, _truths)
for _name, _function in BITS.items():
    _pair(f"Bitwise{_name}", _function, 18, repeated)


@onnx_op("Not", spec=_truths, pointwise=True)
def logical_not(x: Array) -> Array:
    return np.logical_not(x)


@onnx_op("BitwiseNot", since=18, spec=same, pointwise=True)
def bitwise_not(x: Array) -> Array:
    return np.invert(x)


@onnx_op("BitShift", since=11, check=one_of("direction", "LEFT", "RIGHT"), spec=repeated, pointwise=True)
def bit_shift(x: Array, y: Array, *, direction: str) -> Array:
    return np.left_shift(x, y) if direction == "LEFT" else np.right_shift(x, y)


@onnx_op("IsNaN", since=9, spec=_truths, pointwise=True)
def is_nan(x: Array) -> Array:
    return np.isnan(x)


@onnx_op("IsInf", since=10, spec=_truths, pointwise=True)
def is_inf(x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    up, down = np.asarray(bool(detect_positive)), np.asarray(bool(detect_negative))
    return np.isinf(x) & np.where(x > 0, up, down)


def _where_spec(condition: Spec, x: Spec, y: Spec) -> Spec:
    return Spec(np.broadcast_shapes(condition.shape, x.shape, y.shape), np.result_type(x.dtype, y.dtype))


@onnx_op("Where", since=9, spec=_where_spec, pointwise=True)
def where(condition: Array, x: Array, y: Array) -> Array:
    return np.where(condition.astype(BOOL, copy=False), x, y)
