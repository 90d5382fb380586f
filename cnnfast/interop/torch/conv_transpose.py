"""conv_transpose2d as an op of torch's; its way back is conv2d and the gradient of conv2d's weight."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cnnfast.interop.torch import tensors
from cnnfast.interop.torch.activations import before_activation
from cnnfast.interop.torch.conv_plans import (
    ONE,
    ZERO,
    Conv,
    Ints,
    Setting,
    activation_of,
    layouts,
    register_conv,
    sides,
)  # fmt: skip
from cnnfast.interop.torch.library import needs
from cnnfast.ops import checks
from cnnfast.ops.conv_transpose import prepare_conv_transpose2d
from cnnfast.ops.geometry import Options, conv_options
from cnnfast.ops.plan import Plan

OPS = torch.ops.cnnfast


def _arguments(
    stride: Ints = ONE, padding: Ints = ZERO, output_padding: Ints = ZERO, groups: int = 1, dilation: Ints = ONE,
    activation: str | None = None, alpha: float = 0.0,
) -> tuple[tuple[Any, ...], None]:  # fmt: skip
    return (stride, padding, output_padding, groups, dilation, activation, alpha), None


@lru_cache(maxsize=512)
def _options(setting: Setting) -> Options:
    stride, padding, _, _, dilation, activation, alpha = setting.how
    return conv_options(
        "conv_transpose2d", stride=stride, padding=sides(padding), dilation=dilation, layout=layouts(setting),
        activation=activation_of(activation, alpha), algorithm="auto", precision="default",
    )  # fmt: skip


def _make(shape: Any, dtype: Any, weight: Tensor, bias: Tensor | None, setting: Setting) -> Plan:
    added = None if bias is None else tensors.view(bias)
    _, _, output_padding, groups, *_ = setting.how
    output_padding = checks.pair("output_padding", tuple(output_padding), minimum=0)
    return prepare_conv_transpose2d(
        shape, dtype, tensors.view(weight), added, groups, output_padding, _options(setting)
    )


def _fake(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = ONE, padding: Ints = ZERO,
    output_padding: Ints = ZERO, groups: int = 1, dilation: Ints = ONE, activation: str | None = None,
    alpha: float = 0.0,
) -> Tensor:  # fmt: skip
    pads = [sum(side) if isinstance(side, tuple) else 2 * side for side in sides(padding)]
    P, Q = (
        (x.shape[2 + i] - 1) * stride[i] - pads[i] + dilation[i] * (weight.shape[2 + i] - 1) + output_padding[i] + 1
        for i in range(2)
    )
    last = tensors.channels_last(x) or tensors.channels_last(weight)
    return tensors.empty(x, (x.shape[0], weight.shape[1] * groups, P, Q), last)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, *ctx.how, ctx.activation, ctx.alpha = inputs
    ctx.save_for_backward(x, weight, bias, output if ctx.activation else None)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias, y = ctx.saved_tensors
    stride, padding, _, groups, dilation = ctx.how
    geometry = stride, padding, dilation, groups

    def before() -> Tensor:
        return OPS.conv_transpose2d(x, weight, bias, *ctx.how)

    if ctx.activation:
        grad = before_activation(grad, y, before, ctx.activation, ctx.alpha)
    wants = needs(ctx, 0, 1, 2)
    grad_x = OPS.conv2d(grad, weight, None, *geometry) if wants[0] else None
    grad_weight = OPS.conv2d_grad_weight(x, grad, weight.shape[2:], *geometry, False)[0] if wants[1] else None
    return grad_x, grad_weight, grad.sum((0, 2, 3)) if wants[2] else None, *(None,) * 7


register_conv(
    "conv_transpose2d(Tensor x, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, "
    "int[2] output_padding=0, int groups=1, int[2] dilation=1, str? activation=None, float alpha=0.0) -> Tensor",
    Conv(_arguments, _make), _fake, _backward, _setup,
)  # fmt: skip
