"""Shapes as users write them, and sizes that must be known."""

from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks


def batched(shape: object) -> Shape | None:
    """An input_shape with the batch, which is any."""
    if shape is None:
        return None
    return None, *input_sizes("input_shape", shape)


def input_sizes(name: str, shape: object) -> Shape:
    """The shape of one input as a user writes it, without the batch: sizes >= 1, None where any will do."""
    if not isinstance(shape, tuple | list):
        raise TypeError(f"{name} must be a tuple of sizes, got {shape!r}")
    return tuple(None if size is None else checks.integer(name, size, minimum=1) for size in shape)


def known(shape: Shape, axis: int = -1) -> int:
    """A size that a weight depends on, and so may not be None."""
    size = shape[axis]
    if size is None:
        raise ValueError(f"its input's axis {axis} must be known, got shape {shape}")
    return size
