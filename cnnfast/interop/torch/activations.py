"""The ways back through activations that an op runs itself."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cnnfast.interop.torch import tensors
from cnnfast.interop.torch.conv_plans import activation_of
from cnnfast.interop.torch.library import register
from cnnfast.ops.grad.activations import FROM_OUTPUT
from cnnfast.ops.grad.activations import activation as activation_input

_PIECEWISE = ("relu", "relu6", "leaky_relu")
"""Those whose second derivative is 0."""


def before_activation(grad: Tensor, y: Tensor, again: Callable[[], Tensor], activation: str, alpha: float) -> Tensor:
    """The gradient of what an activation was given, of that of y, which it gave; `again` computes what it was given."""
    values = y if activation in FROM_OUTPUT else again()
    return torch.ops.cnnfast.activation_grad_input(grad, values, activation, alpha)


def _kernel(grad: Tensor, values: Tensor, activation: str, alpha: float = 0.0) -> Tensor:
    tensors.check_dtype("grad", grad)
    tensors.check_same("values", values, grad)
    grad_x = torch.empty_like(values)
    # as they lie in memory: every number by itself
    last = tensors.channels_last(values) and values.is_contiguous(memory_format=torch.channels_last)
    if not last and not values.is_contiguous():
        return _kernel(grad, values.contiguous(), activation, alpha)
    beside = tensors.in_layout(grad, True) if last else grad.contiguous()
    activation_input(
        tensors.view(beside, last), tensors.view(values, last), activation_of(activation, alpha),
        out=tensors.view(grad_x, last),
    )  # fmt: skip
    return grad_x


def _fake(grad: Tensor, values: Tensor, activation: str, alpha: float = 0.0) -> Tensor:
    return torch.empty_like(values)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, values, ctx.activation, ctx.alpha = inputs
    ctx.save_for_backward(values)


def _backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    (values,) = ctx.saved_tensors
    if ctx.needs_input_grad[1] and ctx.activation not in _PIECEWISE:
        raise NotImplementedError(
            f"the second derivative of a fused {ctx.activation} is not there: call the op without activation, and the "
            f"activation after it"
        )
    to_grad = torch.ops.cnnfast.activation_grad_input(v, values, ctx.activation, ctx.alpha)
    return to_grad, None, None, None


register(
    "activation_grad_input(Tensor grad, Tensor values, str activation, float alpha=0.0) -> Tensor",
    _kernel, _fake, _backward, _setup,
)  # fmt: skip
