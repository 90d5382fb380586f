"""What gradients are given, checked at the door: the shape of the op's input, and the gradient of its output."""

from collections.abc import Sequence

from cnnfast.ops import arrays, checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.options import AXES
from cnnfast.ops.signatures import FLOATS

Shape = tuple[int, int, int, int]


def images_shape(value: object, layout: str) -> Shape:
    """`input_shape` of an op on images: four sizes, of which only N may be 0.

    >>> images_shape((0, 4, 4, 3), "NHWC")
    (0, 4, 4, 3)
    """
    if not isinstance(value, tuple | list):
        raise TypeError(f"input_shape must be ({AXES[layout]}), got {value!r}")
    if len(value) != 4:
        raise ValueError(f"input_shape must be ({AXES[layout]}), got {value!r}")
    N, *rest = (checks.integer("input_shape", size, minimum=0) for size in value)
    arrays.check_input_shape("input_shape", (N, *rest), layout)
    arrays.check_fits("an image of the input", rest, "float32")
    return N, rest[0], rest[1], rest[2]


def grad_of(value: object, shape: Sequence[int]) -> Array:
    """`grad_output` of an op whose output has this shape: float32 or float64, perhaps strided."""
    grad = as_grad(value)
    check_grad(grad.shape, shape)
    return grad


def check_grad(given: tuple[int, ...], shape: Sequence[int]) -> None:
    """grad_output's shape: the output's."""
    if given != tuple(shape):
        raise ValueError(f"grad_output must have the output's shape {tuple(shape)}, got {given}")


def as_grad(value: object) -> Array:
    """`grad_output` of any shape."""
    grad = arrays.as_array("grad_output", value)
    arrays.check_dtype("grad_output", grad.dtype, FLOATS)
    return grad


def beside(name: str, value: object, grad: Array, shape: Sequence[int]) -> Array:
    """An array of the forward op: of the gradient's dtype, and of this shape."""
    array = arrays.as_array(name, value)
    if array.dtype != grad.dtype:
        raise TypeError(f"{name} must have grad_output's dtype {grad.dtype}, got {array.dtype!r}")
    if array.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {array.shape}")
    return array
