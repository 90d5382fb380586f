"""Native plans of the ways back of pools and upsample2d. They hold geometry alone, so they are kept."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from cnnfast.backends import native
from cnnfast.ops import arrays, dispatch, unpool
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair
from cnnfast.ops.grad.given import Shape
from cnnfast.ops.grad.windows import Window
from cnnfast.ops.signatures import NAMES

Inputs = tuple[tuple[str, object], ...]
"""The arrays that an output may not overlap, by argument name."""


def windows(
    grad: Array, of: Window, kind: str, out: object, inputs: Inputs, count_include_pad: bool = True
) -> Array:
    """The gradient of a pool's averages ("avg") or sums ("lp") with respect to its input."""
    (top, bottom), (left, right) = of.padding
    plan = _made(
        native.plan_pool2d_grad, _state(), of.input_shape, grad.dtype, of.layout, kind=kind,
        kernel_size=of.kernel_size, stride=of.stride, padding=(top, bottom, left, right), dilation=of.dilation,
        ceil_mode=of.ceil_mode, count_include_pad=count_include_pad,
    )  # fmt: skip
    return dispatch.execute(plan, grad, of.input_shape, grad.dtype, out=out, inputs=inputs)


def adaptive(grad: Array, input_shape: Shape, size: Pair, layout: str, out: object, inputs: Inputs) -> Array:
    """The gradient of means over `size` windows that cover the input."""
    plan = _made(
        native.plan_pool2d_grad, _state(), input_shape, grad.dtype, layout, kind="avg", output_size=size
    )  # fmt: skip
    return dispatch.execute(plan, grad, input_shape, grad.dtype, out=out, inputs=inputs)


def scatter(
    grad: Array, indices: object, input_shape: Shape, sizes: tuple[Pair, Pair], layout: str, out: object, inputs: Inputs
) -> Array:
    """Each gradient added at its index; sizes are those of an image of the input and of the gradient."""
    (H, W), size = sizes
    places = unpool.as_indices(indices, grad.shape)
    plan = _made(native.plan_pool2d_grad, _state(), input_shape, grad.dtype, layout, kind="max", output_size=size)
    try:
        return dispatch.execute(plan, grad, input_shape, grad.dtype, out=out, indices=places, inputs=inputs)
    except ValueError:
        unpool.check_range(indices, H * W)  # the plan looked at all before it wrote any; this says which was wrong
        raise


def upsampling(
    grad: Array, input_shape: Shape, scale: Pair, bilinear: bool, align_corners: bool, layout: str, out: object
) -> Array:
    """The gradient of upsample2d."""
    plan = _made(
        native.plan_upsample2d_grad, _state(), input_shape, grad.dtype, layout, scale=scale, bilinear=bilinear,
        align_corners=align_corners,
    )  # fmt: skip
    return dispatch.execute(plan, grad, input_shape, grad.dtype, out=out, inputs=(("grad_output", grad),))


def _state() -> object:
    """A plan keeps the ISA and the limit it was made with."""
    return native.isa(), native.get_max_workspace()


def _made(
    make: Callable[..., native.Plan], state: object, shape: Shape, dtype: np.dtype[Any], layout: str, **how: Any
) -> native.Plan:
    arrays.check_fits("an image of the input", shape[1:], dtype)
    return _kept(make, state, (1, *shape[1:]), dtype, layout, tuple(how.items()))  # a plan runs any batch


@lru_cache(maxsize=512)
def _kept(
    make: Callable[..., native.Plan], state: object, shape: Shape, dtype: np.dtype[Any], layout: str,
    how: tuple[tuple[str, Any], ...],
) -> native.Plan:  # fmt: skip
    return make(shape, dtype=NAMES[dtype], layout=layout, **dict(how))
