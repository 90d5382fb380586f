"""The geometry of a pool whose gradient is asked for, from the shape of its input and the op's own keywords."""

from typing import NamedTuple

from cnnfast.ops import checks, options, shapes
from cnnfast.ops.checks import Pair, Sides
from cnnfast.ops.grad.given import Shape, images_shape


class Window(NamedTuple):
    """A pool's arguments, normalised, and the shapes of its input and output."""

    input_shape: Shape
    output_shape: Shape
    layout: str
    kernel_size: Pair
    stride: Pair
    padding: Sides
    dilation: Pair
    ceil_mode: bool


def window(
    input_shape: object, kernel_size: object, stride: object, padding: object, dilation: object, ceil_mode: object,
    layout: object,
) -> Window:  # fmt: skip
    """Check what a pool's keywords say as the op does."""
    order = options.layout(layout)
    kernel = checks.pair("kernel_size", kernel_size, minimum=1)
    step = kernel if stride is None else checks.pair("stride", stride, minimum=1)
    given, spread = checks.sides("padding", padding), checks.pair("dilation", dilation, minimum=1)
    ceil = checks.boolean("ceil_mode", ceil_mode)
    shape = images_shape(input_shape, order)
    N, H, W, C = shapes.split(shape, order)
    sides = shapes.resolve(given, (H, W), kernel, step, spread)
    if given != "same":
        shapes.check_pool_padding(sides, kernel)
    P, Q = (
        shapes.pool_size(size, kernel[i], step[i], sides[i], spread[i], ceil, shapes.AXES[i])
        for i, size in enumerate((H, W))
    )
    return Window(shape, shapes.join(N, P, Q, C, order), order, kernel, step, sides, spread, ceil)
