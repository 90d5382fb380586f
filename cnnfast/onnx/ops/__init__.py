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
    legacy,
    logic,
    norm,
    ordering,
    parts,
    pool,
    quantized,
    reductions,
    resize,
    sampling,
    vision,
)

__all__ = [
    "activations", "arrays", "constants", "conv", "dense", "dtypes", "elementwise", "indexing", "legacy", "logic",
    "norm", "ordering", "parts", "pool", "quantized", "reductions", "resize", "sampling", "vision",
]  # fmt: skip
