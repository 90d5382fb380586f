"""Ops of one dimension on a device: a line is an image one pixel high."""

from typing import Any

from cnnfast.ops import checks, lines, pool, shapes
from cnnfast.ops.device import conv, given, tune


def conv1d(
    x: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, layout: Any, residual: Any, out: Any,
    **asked: Any,
) -> Any:  # fmt: skip
    """`cnnfast.conv1d`."""
    order = checks.choice("layout", layout, lines.LAYOUTS)
    axis, axes = 1 if order == "NLC" else 2, lines.AXES[order]
    images = lift("x", x, axes, axis)

    def made(to: given.Target) -> Any:
        """A new line, seen as an image."""
        shape = (*to.shape[:axis], *to.shape[axis + 1 :])
        return lift("out", to._replace(shape=shape, order=None).array(), axes, axis)

    return conv.conv2d(
        images, lift("weight", weight, lines.WEIGHTS[order], 0 if order == "NLC" else 2), bias,
        stride=(1, checks.integer("stride", stride, 1)), padding=lines.sides(padding),
        dilation=(1, checks.integer("dilation", dilation, 1)), layout=lines.LAYOUTS[order],
        residual=None if residual is None else lift("residual", residual, axes, axis),
        out=made if out is None else lift("out", out, axes, axis), **asked,
    )  # fmt: skip


def lift(name: str, value: Any, axes: str, axis: int) -> Any:
    """A 3-D array with a height of 1 at `axis`."""
    found = given.read(name, value)
    lines.check_line(name, found.shape, axes)
    shape, strides = found.shape, found.strides
    step = shape[axis] * strides[axis]
    return found._replace(
        shape=(*shape[:axis], 1, *shape[axis:]), strides=(*strides[:axis], step, *strides[axis:])
    )  # fmt: skip


def max_pool1d(
    x: Any, kernel_size: Any, stride: Any, *, padding: Any, dilation: Any, ceil_mode: Any, layout: Any, algorithm: Any,
    out: Any,
) -> Any:  # fmt: skip
    """`cnnfast.max_pool1d`."""
    spread = checks.integer("dilation", dilation, 1)
    return _pool(
        "max_pool1d", x, kernel_size, stride, padding, spread, ceil_mode, layout, algorithm, out, dilation=spread
    )  # fmt: skip


def avg_pool1d(
    x: Any, kernel_size: Any, stride: Any, *, padding: Any, ceil_mode: Any, count_include_pad: Any, layout: Any,
    algorithm: Any, out: Any,
) -> Any:  # fmt: skip
    """`cnnfast.avg_pool1d`."""
    counted = checks.boolean("count_include_pad", count_include_pad)
    return _pool(
        "avg_pool1d", x, kernel_size, stride, padding, 1, ceil_mode, layout, algorithm, out, count_include_pad=counted
    )  # fmt: skip


def _pool(
    op: str, x: Any, kernel_size: Any, stride: Any, padding: Any, spread: int, ceil_mode: Any, layout: Any,
    algorithm: Any, out: Any, **more: Any,
) -> Any:  # fmt: skip
    order = checks.choice("layout", layout, lines.LAYOUTS)
    how = pool.window_options(
        (1, checks.integer("kernel_size", kernel_size, 1)),
        None if stride is None else (1, checks.integer("stride", stride, 1)), lines.sides(padding), (1, spread),
        ceil_mode=ceil_mode,
    )  # fmt: skip
    row = tune.algorithm(op, algorithm)
    axis, image = 1 if order == "NLC" else 2, lines.LAYOUTS[order]
    lifted = given.images("x", lift("x", x, lines.AXES[order], axis), image)
    sides, shape = pool.window_place(lifted.shape, image, image, how)
    N, _, Q, C = shapes.split(shape, image)
    line = given.read("x", x)
    to = given.target(out, line, (N, Q, C) if order == "NLC" else (N, C, Q), {"x": line})
    return tune.computed(
        op, {"x": line}, to, row, kernel_size=how.kernel_size[1], stride=how.stride[1], padding=sides[1],
        ceil_mode=how.ceil_mode, layout=order, **more,
    )  # fmt: skip
