"""Convolutions of torch tensors: made ready once for a weight and a size of image, then run by addresses."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cnnfast.backends import native
from cnnfast.interop.torch import tensors
from cnnfast.interop.torch.library import Kernel
from cnnfast.interop.torch.quick import Calls, register_quick, remember
from cnnfast.interop.torch_weights import keep
from cnnfast.ops.conv import prepare_conv2d
from cnnfast.ops.geometry import Options, conv_options
from cnnfast.ops.options import ALPHAS, Activation, Layouts
from cnnfast.ops.plan import Plan

ONE, ZERO = [1, 1], [0, 0]
"""Default arguments; torch's dispatcher leaves out those that are the schema's."""

Ints = Any
"""A list of integers."""


class Setting(NamedTuple):
    """What a plan is made for beside shapes and tensors; hashable."""

    x_last: bool
    y_last: bool
    once: bool
    how: tuple[Any, ...]


class Ready(NamedTuple):
    """A plan, and the output of a call of it."""

    plan: Plan
    size: tuple[int, ...]
    strides: tuple[int, ...]


class Conv(NamedTuple):
    """An op of convolution.

    arguments : of what is called beside x, weight and bias, defaults left out: (hashable but for lists, residual)
    make : its plan, of x's shape in its layout, its dtype, weight, bias and the setting
    """

    arguments: Callable[..., tuple[tuple[Any, ...], Tensor | None]]
    make: Callable[[tuple[int, ...], Any, Tensor, Tensor | None, Setting], Plan]


def register_conv(schema: str, conv: Conv, fake: Kernel, backward: Kernel, setup: Kernel) -> None:
    """Make it one of torch's ops: (x, weight, bias, ...)."""
    register_quick(schema, partial(run, conv), fake, backward, setup)


def run(conv: Conv, calls: Calls, x: Tensor, weight: Tensor, bias: Tensor | None, how: tuple[Any, ...]) -> Tensor:
    """y. Without `calls` the weight learns and is packed for this call alone, else it is kept packed (`torch_weights`).

    A parameter that does not learn now is planned for many calls, anything else for one: which algorithm runs, and so
    which bits come, depends on that, never on what was called before.
    """
    settings, residual = conv.arguments(*how)
    dtype = tensors.check_images("x", x)
    for name, other in (("weight", weight), ("bias", bias), ("residual", residual)):
        tensors.check_same(name, other, x)
    x_last = tensors.channels_last(x)
    y_last = x_last or tensors.channels_last(weight)
    once = calls is None or not isinstance(weight, torch.nn.Parameter)
    setting = Setting(x_last, y_last, once, tuple(tuple(v) if isinstance(v, list) else v for v in settings))

    def prepare() -> Ready:
        plan = conv.make(tensors.ordered(x.shape, x_last), dtype, weight, bias, setting)
        N, *rest = plan.output_shape()
        size = (N, rest[2], *rest[:2]) if y_last else (N, *rest)
        return Ready(plan, size, tensors.strides(size, y_last))

    ready = prepare() if calls is None else keep((weight, bias), (conv.make, x.shape, dtype, setting), prepare)
    if residual is not None:
        if residual.shape != ready.size:
            raise ValueError(f"residual must have y's shape {ready.size}, got {tuple(residual.shape)}")
        residual = tensors.in_layout(residual, y_last)
    at = tensors.in_layout(x, x_last)
    y = x.new_empty_strided(ready.size, ready.strides)
    if x.shape[0]:
        beside = 0 if residual is None else residual.data_ptr()
        native.execute_at(ready.plan.native, x.shape[0], at.data_ptr(), beside, y.data_ptr())
        if calls is not None and residual is None and at is x:
            remember(calls, ready.plan.native, x.shape[0], x, weight, bias, how, y)
    return y


@lru_cache(maxsize=512)
def conv2d_options(setting: Setting) -> Options:
    """Of `how` = (stride, padding, dilation, groups), and maybe (activation, alpha)."""
    stride, padding, dilation, _, activation, alpha = (*setting.how, None, 0.0)[:6]
    return conv_options(
        "conv2d", stride=stride, padding=sides(padding), dilation=dilation, layout=layouts(setting),
        activation=activation_of(activation, alpha), algorithm="auto", precision="default", once=setting.once,
    )  # fmt: skip


def make_conv2d(shape: Any, dtype: Any, weight: Tensor, bias: Tensor | None, setting: Setting) -> Plan:
    """conv2d's plan."""
    added = None if bias is None else tensors.view(bias)
    return prepare_conv2d(
        shape, dtype, tensors.view(weight), added, setting.how[3], conv2d_options(setting)
    )  # fmt: skip


def layouts(setting: Setting) -> Layouts:
    """x and y as they lie, weights as torch has them."""
    return Layouts(tensors.layout(setting.x_last), "NCHW", tensors.layout(setting.y_last))


def sides(padding: Ints) -> Any:
    """(height, width), or (top, bottom, left, right), as the ops write padding."""
    if len(padding) == 4:
        return (padding[0], padding[1]), (padding[2], padding[3])
    if len(padding) != 2:
        raise ValueError(f"padding must be (height, width) or (top, bottom, left, right), got {tuple(padding)}")
    return tuple(padding)


def activation_of(name: str | None, alpha: float) -> Activation:
    """An activation as cnnfast's ops take it."""
    return (name, alpha) if name in ALPHAS else name
