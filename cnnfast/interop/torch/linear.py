"""linear as an op of torch's, and the two of its way back; bilinear all, so each one's way back is the others."""

from typing import Any

import torch
from torch import Tensor

from cnnfast.backends import native
from cnnfast.interop.torch import tensors
from cnnfast.interop.torch.activations import before_activation
from cnnfast.interop.torch.conv_plans import activation_of
from cnnfast.interop.torch.library import needs, register
from cnnfast.interop.torch.quick import Calls, register_quick, remember
from cnnfast.interop.torch_weights import keep
from cnnfast.ops import options
from cnnfast.ops.grad import linear as grad
from cnnfast.ops.linear import LinearPlan, prepare_linear

OPS = torch.ops.cnnfast


def _run(calls: Calls, x: Tensor, weight: Tensor, bias: Tensor | None, how: tuple[Any, ...]) -> Tensor:
    activation, alpha = _activation(*how)
    dtype = tensors.check_dtype("x", x)
    for name, other in (("weight", weight), ("bias", bias)):
        tensors.check_same(name, other, x)
    if x.ndim < 1:
        raise ValueError(f"x must have 1 dimension or more (..., C), got shape {tuple(x.shape)}")
    shape = tuple(x.shape)

    def prepare() -> LinearPlan:
        added = None if bias is None else tensors.view(bias)
        after = options.activation("activation", activation_of(activation, alpha))
        return prepare_linear(shape, dtype, tensors.view(weight), added, after)

    key = "linear", shape, dtype, activation, alpha
    plan = prepare() if calls is None else keep((weight, bias), key, prepare)
    y = x.new_empty((*shape[:-1], weight.shape[0]))
    if y.numel():
        at = tensors.readable(x).contiguous()
        rows = y.numel() // weight.shape[0]
        native.execute_at(plan.native, rows, at.data_ptr(), 0, y.data_ptr())
        if calls is not None and at is x:
            remember(calls, plan.native, rows, x, weight, bias, how, y)
    return y


def _activation(name: str | None = None, alpha: float = 0.0) -> tuple[str | None, float]:
    return name, alpha


def _fake(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None, alpha: float = 0.0
) -> Tensor:
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, ctx.activation, ctx.alpha = inputs
    ctx.save_for_backward(x, weight, bias, output if ctx.activation else None)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias, y = ctx.saved_tensors

    def before() -> Tensor:
        return OPS.linear(x, weight, bias)

    if ctx.activation:
        g = before_activation(g, y, before, ctx.activation, ctx.alpha)
    wants = needs(ctx, 0, 1, 2)
    grad_x = OPS.linear_grad_input(g, weight) if wants[0] else None
    grad_weight = OPS.linear_grad_weight(g, x) if wants[1] else None
    return grad_x, grad_weight, g.reshape(-1, g.shape[-1]).sum(0) if wants[2] else None, None, None


register_quick(
    "linear(Tensor x, Tensor weight, Tensor? bias=None, str? activation=None, float alpha=0.0) -> Tensor",
    _run, _fake, _backward, _setup,
)  # fmt: skip


def _grad_input(g: Tensor, weight: Tensor) -> Tensor:
    tensors.check_dtype("grad", g)
    tensors.check_same("weight", weight, g)
    grad_x = g.new_empty((*g.shape[:-1], weight.shape[1]))
    grad.linear_input(tensors.view(g), tensors.view(weight), out=tensors.view(grad_x))
    return grad_x


def _grad_input_fake(g: Tensor, weight: Tensor) -> Tensor:
    return g.new_empty((*g.shape[:-1], weight.shape[1]))


def _pair_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _grad_input_backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    g, weight = ctx.saved_tensors
    wants = needs(ctx, 0, 1)
    return OPS.linear(v, weight) if wants[0] else None, OPS.linear_grad_weight(g, v) if wants[1] else None


register(
    "linear_grad_input(Tensor grad, Tensor weight) -> Tensor", _grad_input, _grad_input_fake, _grad_input_backward,
    _pair_setup,
)  # fmt: skip


def _grad_weight(g: Tensor, x: Tensor) -> Tensor:
    tensors.check_dtype("grad", g)
    tensors.check_same("x", x, g)
    grad_weight = x.new_empty((g.shape[-1], x.shape[-1]))
    grad.linear_weight(tensors.view(g), tensors.view(x), out=tensors.view(grad_weight))
    return grad_weight


def _grad_weight_fake(g: Tensor, x: Tensor) -> Tensor:
    return x.new_empty((g.shape[-1], x.shape[-1]))


def _grad_weight_backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    g, x = ctx.saved_tensors
    wants = needs(ctx, 0, 1)
    return OPS.linear(x, v) if wants[0] else None, OPS.linear_grad_input(g, v) if wants[1] else None


register(
    "linear_grad_weight(Tensor grad, Tensor x) -> Tensor", _grad_weight, _grad_weight_fake, _grad_weight_backward,
    _pair_setup,
)  # fmt: skip
