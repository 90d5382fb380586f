"""One function per ONNX op: what it computes, and which of our ops it is. Importing this makes them known."""

from cnnfast.onnx.ops import (
    activations,
    arrays,
    constants,
    conv,
    dense,
    dtypes,
    elementwise,
    indexing,
    logic,
    norm,
    ordering,
    parts,
    pool,
    reductions,
)

__all__ = [
    "activations", "arrays", "constants", "conv", "dense", "dtypes", "elementwise", "indexing", "logic", "norm",
    "ordering", "parts", "pool", "reductions",
]  # fmt: skip
