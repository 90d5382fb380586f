"""ONNX's numbers of element types as NumPy's dtypes, and the ops that change them."""

from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.ops.pointwise import cast as our_cast
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32), 2: np.dtype(np.uint8), 3: np.dtype(np.int8), 4: np.dtype(np.uint16), 5: np.dtype(np.int16),
    6: np.dtype(np.int32), 7: np.dtype(np.int64), 9: np.dtype(np.bool_), 10: np.dtype(np.float16),
    11: np.dtype(np.float64), 12: np.dtype(np.uint32), 13: np.dtype(np.uint64),
}  # fmt: skip
"""TensorProto.DataType, those that NumPy has. 16 is bfloat16, where the package ml_dtypes is there."""


def dtype_of(number: int, name: str = "to") -> np.dtype[Any]:
    """The dtype of an attribute."""
    if number == 16:
        try:
            import ml_dtypes
        except ImportError:
            pass
        else:
            found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
            return found
    if number not in DTYPES:
        raise ValueError(f"{name} must be an element type of {sorted(DTYPES)}, got {number}")
    return DTYPES[number]


def _known(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A dtype that numbers can be turned into."""
    if dtype not in DTYPES.values() and dtype.name != "bfloat16":
        raise TypeError(f"target_type must be one of {[each.name for each in DTYPES.values()]}, got {dtype}")
    return dtype


def _better_cast(graph: Graph, node: Node) -> str:
    return graph.add("cast", node.inputs, node.name, dtype=dtype_of(node.attributes["to"]))


@onnx_op("Cast", since=6, spec=lambda x, to, **rest: Spec(x.shape, dtype_of(to)), pointwise=True, simplify=_better_cast)
def cast(x: Array, *, to: int, saturate: int = 1, round_mode: str = "up") -> Any:
    """`saturate` and `round_mode` say something of 8-bit floats alone."""
    return our_cast(x, dtype_of(to))


def _better_cast_like(graph: Graph, node: Node) -> str | None:
    like = graph.spec(node.inputs[1])
    return None if like is None else graph.add("cast", node.inputs[:1], node.name, dtype=_known(like.dtype))


@onnx_op("CastLike", since=15, simplify=_better_cast_like, spec=lambda x, like, **rest: Spec(
    x.shape, _known(like.dtype)))  # fmt: skip
def cast_like(x: Array, like: Array, *, saturate: int = 1, round_mode: str = "up") -> Any:
    return our_cast(x, _known(like.dtype))


@onnx_op("BitCast", since=26, spec=lambda x, to: Spec(x.shape, dtype_of(to)))
def bit_cast(x: Array, *, to: int) -> Array:
    dtype = dtype_of(to)
    if dtype.itemsize != x.dtype.itemsize:
        raise ValueError(f"to must be as wide as {x.dtype}, got {dtype}")
    return np.ascontiguousarray(x).view(dtype).reshape(x.shape)
