"""Convolutions on a device."""

from typing import Any

from cnnfast.ops import checks, geometry, options
from cnnfast.ops.device import given, tune
from cnnfast.ops.device.found import Refused
from cnnfast.ops.geometry import Geometry, Options


def conv2d(
    x: Any, weight: Any, bias: Any, *, groups: Any, residual: Any, algorithm: Any, out: Any, **asked: Any
) -> Any:  # fmt: skip
    """`cnnfast.conv2d`."""
    how = geometry.conv_options("conv2d", algorithm="auto", **asked)
    images = given.images("x", x, how.layout)
    count = checks.integer("groups", groups, minimum=1)
    kernels = given.beside("weight", weight, images)
    place = geometry.conv_geometry(
        images.shape, kernels.shape, how.layouts, count, how.stride, how.padding, how.dilation, how.padding_mode
    )
    inputs = {"x": images, "weight": kernels, "bias": _bias("bias", bias, images, place)}
    return _run("conv2d", inputs, place, how, residual, algorithm, out, groups=count, padding_mode=how.padding_mode)


def depthwise_conv2d(x: Any, weight: Any, bias: Any, *, residual: Any, algorithm: Any, out: Any, **asked: Any) -> Any:
    """`cnnfast.depthwise_conv2d`."""
    how = geometry.conv_options("depthwise_conv2d", algorithm="auto", **asked)
    images = given.images("x", x, how.layout)
    kernels = given.beside("weight", weight, images)
    place = geometry.depthwise_geometry(
        images.shape, kernels.shape, how.layouts, how.stride, how.padding, how.dilation, how.padding_mode
    )
    kernels = given.contiguous(kernels)  # its two last axes are to be one
    inputs = {"x": images, "weight": kernels, "bias": _bias("bias", bias, images, place)}
    return _run("depthwise_conv2d", inputs, place, how, residual, algorithm, out, padding_mode=how.padding_mode)


def conv_transpose2d(
    x: Any, weight: Any, bias: Any, *, groups: Any, output_padding: Any, residual: Any, algorithm: Any, out: Any,
    **asked: Any,
) -> Any:  # fmt: skip
    """`cnnfast.conv_transpose2d`."""
    how = geometry.conv_options("conv_transpose2d", algorithm="auto", **asked)
    images = given.images("x", x, how.layout)
    count = checks.integer("groups", groups, minimum=1)
    extra = checks.pair("output_padding", output_padding, minimum=0)
    kernels = given.beside("weight", weight, images)
    place = geometry.conv_transpose_geometry(
        images.shape, kernels.shape, how.layouts, count, how.stride, how.padding, how.dilation, extra
    )
    inputs = {"x": images, "weight": kernels, "bias": _bias("bias", bias, images, place)}
    return _run(
        "conv_transpose2d", inputs, place, how, residual, algorithm, out, groups=count,
        output_padding=place.output_padding,
    )  # fmt: skip


def separable_conv2d(
    x: Any, depthwise_weight: Any, pointwise_weight: Any, bias: Any, *, depthwise_bias: Any,
    depthwise_activation: Any, activation: Any, residual: Any, algorithm: Any, precision: Any, layout: Any, out: Any,
    **asked: Any,
) -> Any:  # fmt: skip
    """`cnnfast.separable_conv2d`: its two convolutions, one after the other."""
    _only_auto("separable_conv2d", algorithm)
    options.activation("activation", activation)  # before anything is launched
    shared = {"layout": layout, "precision": precision, "algorithm": "auto"}
    middle = depthwise_conv2d(
        x, depthwise_weight, depthwise_bias, activation=depthwise_activation, residual=None, out=None, **shared, **asked
    )
    return pointwise(middle, pointwise_weight, bias, activation=activation, residual=residual, out=out, **shared)


def inverted_residual2d(
    x: Any, expand_weight: Any, depthwise_weight: Any, project_weight: Any, bias: Any, *, expand_bias: Any,
    expand_activation: Any, layout: Any, precision: Any, algorithm: Any, **asked: Any,
) -> Any:  # fmt: skip
    """`cnnfast.inverted_residual2d`: its three convolutions, one after the other."""
    _only_auto("inverted_residual2d", algorithm)
    shared = {"layout": layout, "precision": precision, "algorithm": "auto"}
    expanded = pointwise(x, expand_weight, expand_bias, activation=expand_activation, residual=None, out=None, **shared)
    return separable_conv2d(expanded, depthwise_weight, project_weight, bias, **shared, **asked)


def conv2d_max_pool2d(
    x: Any, weight: Any, bias: Any, *, pool_size: Any, pool_stride: Any, pool_padding: Any, layout: Any,
    algorithm: Any, out: Any, **asked: Any,
) -> Any:  # fmt: skip
    """`cnnfast.conv2d_max_pool2d`: the one after the other."""
    from cnnfast.ops.device import pool

    _only_auto("conv2d_max_pool2d", algorithm)
    middle = conv2d(x, weight, bias, residual=None, algorithm="auto", layout=layout, out=None, **asked)
    return pool.max_pool2d(
        middle, pool_size, pool_stride, padding=pool_padding, dilation=1, ceil_mode=False, return_indices=False,
        layout=layout, algorithm="auto", out=out,
    )  # fmt: skip


def pointwise(x: Any, weight: Any, bias: Any, **asked: Any) -> Any:
    """A 1x1 convolution."""
    return conv2d(x, weight, bias, groups=1, stride=1, padding=0, dilation=1, padding_mode="zeros", **asked)


def _only_auto(op: str, algorithm: object) -> None:
    if algorithm != "auto":
        raise Refused(f"{op} by algorithm {algorithm!r}")


def _bias(name: str, value: Any, x: Any, place: Geometry) -> Any:
    if value is None:
        return None
    found = given.beside(name, value, x)
    geometry.check_bias(name, found.shape, place.filters)
    return given.contiguous(found)  # kernels read it so


def _run(
    op: str, inputs: dict[str, Any], place: Geometry, how: Options, residual: Any, algorithm: Any, out: Any,
    **more: Any,
) -> Any:  # fmt: skip
    x = inputs["x"]
    row = tune.algorithm(op, algorithm)
    order = given.channels_last(x, how.layout)
    checked = inputs if residual is None else {**inputs, "residual": given.beside("residual", residual, x)}
    to = given.target(out, x, place.output_shape, checked, order=order)
    y = to.array()
    aside = y if residual is None or given.dense(y) else to._replace(out=None).array()
    inputs["residual"] = given.alike("residual", residual, aside)
    found = tune.computed(
        op, inputs, to._replace(out=aside), row, stride=how.stride, padding=place.padding, dilation=how.dilation,
        layout=how.layout, activation=how.activation, precision=how.precision, **more,
    )  # fmt: skip
    return found if aside is y else given.copied_to(aside, y)
