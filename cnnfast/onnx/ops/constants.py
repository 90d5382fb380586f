"""Constants, and ops that leave their input as it is."""

import numpy as np

from cnnfast.graph.table import same
from cnnfast.onnx.registry import becomes, onnx_op
from cnnfast.ops.arrays import Array


@onnx_op("Constant")
def constant(*, value: Array | None = None, value_float: float | None = None, value_int: int | None = None,
             value_floats: list[float] | None = None, value_ints: list[int] | None = None) -> Array:  # fmt: skip
    if value is not None:
        return value
    if value_float is not None or value_floats is not None:
        return np.asarray(value_float if value_floats is None else value_floats, np.float32)
    return np.asarray(value_int if value_ints is None else value_ints, np.int64)


@onnx_op("Identity", spec=same, simplify=becomes("identity"))
def identity(x: Array) -> Array:
    return x
