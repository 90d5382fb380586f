"""The geometry of a convolution, from shapes and normalised options: cached, for it holds no array and no weight."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from cnnfast.ops import arrays, checks, dispatch, options, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair, Sides, SidesOrSame
from cnnfast.ops.options import Layouts
from cnnfast.ops.signatures import SIGNATURES, Dtypes

Shape = tuple[int, int, int, int]


class Options(NamedTuple):
    """A convolution's keywords, normalised; padding may still be "same"."""

    stride: Pair
    padding: SidesOrSame
    dilation: Pair
    layouts: Layouts
    padding_mode: str
    activation: tuple[str | None, float]
    algorithm: str | None
    precision: str
    max_workspace: int
    once: bool
    """The plan is for one run."""

    @property
    def layout(self) -> str:
        """Of everything, for ops whose tensors lie alike."""
        return options.layout(self.layouts.x if len(set(self.layouts)) == 1 else self.layouts)


class Geometry(NamedTuple):
    """What shapes and options come to: padding per side, and the channels and shape of y."""

    padding: Sides
    output_padding: Pair
    filters: int
    output_shape: Shape


def conv_options(
    op: str, *, stride: object, padding: object, dilation: object, layout: object, activation: object,
    algorithm: object, precision: object, padding_mode: object = "zeros", max_workspace: object = None,
    once: bool = False,
) -> Options:  # fmt: skip
    """Check and normalise the keywords that every convolution has."""
    return Options(
        checks.pair("stride", stride, minimum=1),
        checks.sides("padding", padding),
        checks.pair("dilation", dilation, minimum=1),
        options.layouts(layout),
        checks.choice("padding_mode", padding_mode, options.PADDING_MODES),
        options.activation("activation", activation),
        dispatch.algorithm(op, algorithm),
        options.precision(precision),
        options.max_workspace(max_workspace),
        once,
    )


def plan_input(op: str, input_shape: object, layout: str, dtype: object, weight: object, name: str = "weight"
               ) -> tuple[Shape, np.dtype[Any]]:  # fmt: skip
    """The shape and dtype that a `plan_*` function is asked to plan for: x's dtype is the weight's unless given."""
    shape = shape_of(input_shape, layout)
    if dtype is None:
        found = arrays.as_array(name, weight).dtype
        arrays.check_dtype(name, found, SIGNATURES[op].dtypes)
        return shape, found
    try:
        found = np.dtype(dtype)  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(f"dtype must name a NumPy dtype, got {dtype!r}") from None
    arrays.check_dtype("dtype", found, SIGNATURES[op].dtypes)
    return shape, found


def shape_of(value: object, layout: str) -> Shape:
    """An input_shape that a user gave."""
    axes = options.AXES[layout]
    if not isinstance(value, tuple | list):
        raise TypeError(f"input_shape must be ({axes}), got {value!r}")
    if len(value) != 4:
        raise ValueError(f"input_shape must be ({axes}), got {value!r}")
    N, *rest = (checks.integer("input_shape", size, minimum=0) for size in value)
    arrays.check_input_shape("input_shape", (N, *rest), layout)
    return N, rest[0], rest[1], rest[2]


@lru_cache(maxsize=512)
def conv_geometry(
    x_shape: Shape, weight_shape: tuple[int, ...], layouts: Layouts, groups: int, stride: Pair, padding: SidesOrSame,
    dilation: Pair, padding_mode: str,
) -> Geometry:  # fmt: skip
    """conv2d's: weight (R, S, C/groups, K) or (K, C/groups, R, S)."""
    N, H, W, C = shapes.split(x_shape, layouts.x)
    R, S, group_channels, K = _weight("weight", weight_shape, layouts.weight, "R, S, C/groups, K", "K, C/groups, R, S")
    _check_groups(groups, C, "C")
    _check_groups(groups, K, "K")
    if group_channels * groups != C:
        raise ValueError(
            f"weight must have C/groups = {C // groups} channels (C {C}, groups {groups}), got shape {weight_shape}"
        )
    return _window(N, (H, W), (R, S), K, layouts.y, stride, padding, dilation, padding_mode)


@lru_cache(maxsize=512)
def depthwise_geometry(
    x_shape: Shape, weight_shape: tuple[int, ...], layouts: Layouts, stride: Pair, padding: SidesOrSame,
    dilation: Pair, padding_mode: str, name: str = "weight",
) -> Geometry:  # fmt: skip
    """depthwise_conv2d's: weight (R, S, C, multiplier) or (C*multiplier, 1, R, S)."""
    N, H, W, C = shapes.split(x_shape, layouts.x)
    axes = ("R, S, C, multiplier", "C*multiplier, 1, R, S")
    if layouts.weight == "NHWC":
        R, S, channels, multiplier = check_weight(name, weight_shape, axes[0])
        fits, filters = channels == C, channels * multiplier
    else:
        filters, one, R, S = check_weight(name, weight_shape, axes[1])
        fits = one == 1 and filters % C == 0
    if not fits:
        raise ValueError(f"{name} must be ({axes[layouts.weight != 'NHWC']}) with C {C}, got shape {weight_shape}")
    return _window(N, (H, W), (R, S), filters, layouts.y, stride, padding, dilation, padding_mode)


@lru_cache(maxsize=512)
def conv_transpose_geometry(
    x_shape: Shape, weight_shape: tuple[int, ...], layouts: Layouts, groups: int, stride: Pair, padding: SidesOrSame,
    dilation: Pair, output_padding: Pair,
) -> Geometry:  # fmt: skip
    """conv_transpose2d's: weight (R, S, K/groups, C) or (C, K/groups, R, S)."""
    N, H, W, C = shapes.split(x_shape, layouts.x)
    R, S, group_filters, channels = _weight(
        "weight", weight_shape, layouts.weight, "R, S, K/groups, C", "C, K/groups, R, S"
    )
    _check_groups(groups, C, "C")
    if channels != C:
        raise ValueError(f"weight must have x's C {C} channels, got shape {weight_shape}")
    if padding == "same":
        if output_padding != (0, 0):
            raise ValueError(f'output_padding must be 0 with padding "same", which sets it, got {output_padding}')
        (top, below), (left, aside) = (
            shapes.transpose_same_padding(k, stride[i], dilation[i]) for i, k in enumerate((R, S))
        )
        sides, output_padding = (top, left), (below, aside)
    else:
        sides = padding
    P, Q = (
        shapes.conv_transpose_size(n, k, stride[i], sides[i], output_padding[i], dilation[i], shapes.AXES[i])
        for i, (n, k) in enumerate(((H, R), (W, S)))
    )
    K = group_filters * groups
    return Geometry(sides, output_padding, K, shapes.join(N, P, Q, K, layouts.y))


def check_weight(name: str, shape: tuple[int, ...], axes: str) -> Shape:
    """A weight's shape: four sizes, none 0."""
    if len(shape) != 4:
        raise ValueError(f"{name} must have 4 dimensions ({axes}), got shape {shape}")
    if 0 in shape:
        raise ValueError(f"{name} must have no empty dimension ({axes}), got shape {shape}")
    return shape[0], shape[1], shape[2], shape[3]


def as_bias(name: str, value: object, dtype: np.dtype[Any], dtypes: Dtypes, filters: int) -> Array | None:
    """A bias, one number a filter, for x of `dtype`."""
    if value is None:
        return None
    bias = arrays.as_weight(name, value, dtype, dtypes)
    check_bias(name, bias.shape, filters)
    return bias


def check_bias(name: str, shape: tuple[int, ...], filters: int) -> None:
    """A bias' shape: one number a filter."""
    if shape != (filters,):
        raise ValueError(f"{name} must have shape ({filters},), one number for each filter, got {shape}")


def pointwise_filters(
    name: str, shape: tuple[int, ...], layout: str, channels: int, axis: str = "C*multiplier"
) -> int:
    """K of a pointwise weight (1, 1, `axis`, K) or (K, `axis`, 1, 1), where `axis` has this many channels."""
    R, S, given, filters = _weight(name, shape, layout, f"1, 1, {axis}, K", f"K, {axis}, 1, 1")
    if (R, S) != (1, 1) or given != channels:
        raise ValueError(f"{name} must be 1x1 with {axis} {channels} channels, got shape {shape}")
    return filters


def _weight(name: str, shape: tuple[int, ...], layout: str, nhwc: str, nchw: str) -> Shape:
    if layout == "NHWC":
        return check_weight(name, shape, nhwc)
    last, third, R, S = check_weight(name, shape, nchw)
    return R, S, third, last


def _check_groups(groups: int, channels: int, letter: str) -> None:
    if channels % groups:
        raise ValueError(f"groups must divide {letter} {channels}, got {groups}")


def _window(
    N: int, size: Pair, kernel: Pair, filters: int, layout: str, stride: Pair, padding: SidesOrSame,
    dilation: Pair, padding_mode: str,
) -> Geometry:  # fmt: skip
    sides = shapes.resolve(padding, size, kernel, stride, dilation)
    shapes.check_padding_mode(padding_mode, sides, size)
    P, Q = (shapes.conv_size(size[i], kernel[i], stride[i], sides[i], dilation[i], shapes.AXES[i]) for i in range(2))
    return Geometry(sides, (0, 0), filters, shapes.join(N, P, Q, filters, layout))
