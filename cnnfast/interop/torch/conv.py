"""conv2d as ops of torch's: `conv2d`, `conv2d_fused` (with residual and activation), and the two of their way back.

All are linear in each of their tensors before the activation, and each one's way back is the others: so gradients of
gradients come by themselves.
"""

from typing import Any

import torch
from torch import Tensor

from cnnfast.interop.torch import tensors
from cnnfast.interop.torch.activations import before_activation
from cnnfast.interop.torch.conv_plans import ONE, ZERO, Conv, Ints, make_conv2d, register_conv, sides
from cnnfast.interop.torch.library import needs, register
from cnnfast.ops.grad.conv_input import conv2d_input
from cnnfast.ops.grad.conv_weight import conv2d_weight

OPS = torch.ops.cnnfast
GEOMETRY = "int[2] stride=1, int[2] padding=0, int[2] dilation=1, int groups=1"


def _arguments(
    stride: Ints = ONE, padding: Ints = ZERO, dilation: Ints = ONE, groups: int = 1
) -> tuple[tuple[Any, ...], None]:
    return (stride, padding, dilation, groups), None


def _fake(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = ONE, padding: Ints = ZERO,
    dilation: Ints = ONE, groups: int = 1,
) -> Tensor:  # fmt: skip
    pads = [sum(side) if isinstance(side, tuple) else 2 * side for side in sides(padding)]
    P, Q = ((x.shape[2 + i] + pads[i] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i] + 1 for i in range(2))
    last = tensors.channels_last(x) or tensors.channels_last(weight)
    return tensors.empty(x, (x.shape[0], weight.shape[0], P, Q), last)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _, *ctx.geometry = inputs
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    return *grads(needs(ctx, 0, 1, 2), grad, x, weight, ctx.geometry), *(None,) * 4


def grads(
    wants: list[bool], grad: Tensor, x: Tensor, weight: Tensor, geometry: list[Any]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Those of x, weight and bias that are needed."""
    grad_x = OPS.conv2d_grad_input(grad, weight, x.shape, *geometry) if wants[0] else None
    grad_weight = grad_bias = None
    if wants[1]:
        grad_weight, grad_bias = OPS.conv2d_grad_weight(grad, x, weight.shape[2:], *geometry, wants[2])
    elif wants[2]:
        grad_bias = grad.sum((0, 2, 3))
    return grad_x, grad_weight, grad_bias if wants[2] else None


register_conv(
    f"conv2d(Tensor x, Tensor weight, Tensor? bias=None, {GEOMETRY}) -> Tensor", Conv(_arguments, make_conv2d), _fake,
    _backward, _setup,
)  # fmt: skip


def _fused_arguments(
    residual: Tensor | None = None, stride: Ints = ONE, padding: Ints = ZERO, dilation: Ints = ONE, groups: int = 1,
    activation: str | None = None, alpha: float = 0.0,
) -> tuple[tuple[Any, ...], Tensor | None]:  # fmt: skip
    return (stride, padding, dilation, groups, activation, alpha), residual


def _fused_fake(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, residual: Tensor | None = None, stride: Ints = ONE,
    padding: Ints = ZERO, dilation: Ints = ONE, groups: int = 1, activation: str | None = None, alpha: float = 0.0,
) -> Tensor:  # fmt: skip
    return _fake(x, weight, bias, stride, padding, dilation, groups)


def _fused_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, residual, *ctx.geometry, ctx.activation, ctx.alpha = inputs
    ctx.save_for_backward(x, weight, bias, residual, output if ctx.activation else None)


def _fused_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight, bias, residual, y = ctx.saved_tensors

    def before() -> Tensor:
        return OPS.conv2d_fused(x, weight, bias, residual, *ctx.geometry)

    if ctx.activation:
        grad = before_activation(grad, y, before, ctx.activation, ctx.alpha)
    *wants, residual_too = needs(ctx, 0, 1, 2, 3)
    return *grads(wants, grad, x, weight, ctx.geometry), grad if residual_too else None, *(None,) * 6


register_conv(
    f"conv2d_fused(Tensor x, Tensor weight, Tensor? bias=None, Tensor? residual=None, {GEOMETRY}, "
    "str? activation=None, float alpha=0.0) -> Tensor",
    Conv(_fused_arguments, make_conv2d), _fused_fake, _fused_backward, _fused_setup,
)  # fmt: skip


def _grad_input(
    grad: Tensor, weight: Tensor, size: Ints, stride: Ints = ONE, padding: Ints = ZERO, dilation: Ints = ONE,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    tensors.check_images("grad", grad)
    tensors.check_same("weight", weight, grad)
    last = tensors.channels_last(grad) or tensors.channels_last(weight)
    grad_x = tensors.empty(grad, size, last)
    conv2d_input(
        tensors.view(tensors.in_layout(grad, last), last), tensors.view(weight.permute(2, 3, 1, 0) if last else weight),
        tensors.ordered(size, last), stride=tuple(stride), padding=sides(padding), dilation=tuple(dilation),
        groups=groups, layout=tensors.layout(last), out=tensors.view(grad_x, last),
    )  # fmt: skip
    return grad_x


def _grad_input_fake(
    grad: Tensor, weight: Tensor, size: Ints, stride: Ints = ONE, padding: Ints = ZERO, dilation: Ints = ONE,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    return tensors.empty(grad, size, tensors.channels_last(grad) or tensors.channels_last(weight))


def _grad_input_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, weight, _, *ctx.geometry = inputs
    ctx.save_for_backward(grad, weight)


def _grad_input_backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    grad, weight = ctx.saved_tensors
    to_grad = OPS.conv2d(v, weight, None, *ctx.geometry) if ctx.needs_input_grad[0] else None
    to_weight = None
    if ctx.needs_input_grad[1]:
        to_weight = OPS.conv2d_grad_weight(grad, v, weight.shape[2:], *ctx.geometry, False)[0]
    return to_grad, to_weight, *(None,) * 5


register(
    f"conv2d_grad_input(Tensor grad, Tensor weight, SymInt[] size, {GEOMETRY}) -> Tensor",
    _grad_input, _grad_input_fake, _grad_input_backward, _grad_input_setup,
)  # fmt: skip


def _grad_weight(
    grad: Tensor, x: Tensor, kernel_size: Ints, stride: Ints = ONE, padding: Ints = ZERO, dilation: Ints = ONE,
    groups: int = 1, bias: bool = True,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    tensors.check_images("grad", grad)
    tensors.check_same("x", x, grad)
    grad_weight, grad_bias = _grad_weight_fake(grad, x, kernel_size, stride, padding, dilation, groups, bias)
    found = conv2d_weight(  # the kernels' layout: torch's own transposition is the fastest way there
        tensors.view(tensors.in_layout(grad, True), True), tensors.view(tensors.in_layout(x, True), True),
        tuple(kernel_size), stride=tuple(stride), padding=sides(padding), dilation=tuple(dilation), groups=groups,
        grad_bias=tensors.view(grad_bias) if bias else None,
    )  # fmt: skip
    grad_weight.copy_(torch.from_numpy(found).permute(3, 2, 0, 1))
    return grad_weight, grad_bias


def _grad_weight_fake(
    grad: Tensor, x: Tensor, kernel_size: Ints, stride: Ints = ONE, padding: Ints = ZERO, dilation: Ints = ONE,
    groups: int = 1, bias: bool = True,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    K = grad.shape[1]
    shape = K, x.shape[1] // groups, *kernel_size
    return tensors.empty(x, shape), torch.empty(K if bias else 0, dtype=x.dtype, device=x.device)


def _grad_weight_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    grad, x, _, *ctx.geometry, ctx.bias = inputs
    ctx.save_for_backward(grad, x)


def _grad_weight_backward(ctx: Any, v: Tensor, v_bias: Tensor) -> tuple[Tensor | None, ...]:
    grad, x = ctx.saved_tensors
    to_grad = OPS.conv2d(x, v, v_bias if ctx.bias else None, *ctx.geometry) if ctx.needs_input_grad[0] else None
    to_x = OPS.conv2d_grad_input(grad, v, x.shape, *ctx.geometry) if ctx.needs_input_grad[1] else None
    return to_grad, to_x, *(None,) * 6


register(
    f"conv2d_grad_weight(Tensor grad, Tensor x, int[2] kernel_size, {GEOMETRY}, bool bias=True) -> (Tensor, Tensor)",
    _grad_weight, _grad_weight_fake, _grad_weight_backward, _grad_weight_setup,
)  # fmt: skip
