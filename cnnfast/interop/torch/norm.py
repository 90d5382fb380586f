"""Batch normalisation as ops of torch's: by given statistics, by x's own, and their way back."""

from typing import Any

import torch
from torch import Tensor

from cnnfast.interop.torch import tensors
from cnnfast.interop.torch.conv_plans import activation_of
from cnnfast.interop.torch.library import register
from cnnfast.ops.grad import norm as grad
from cnnfast.ops.norm import batch_norm
from cnnfast.ops.norm_train import batch_norm_train

OPS = torch.ops.cnnfast
EPS = 1e-5


def _view(x: Tensor | None) -> Any:
    return None if x is None else tensors.view(x)


def _laid(x: Tensor) -> tuple[Tensor, bool]:
    """x as the kernels take it, and whether channels are last."""
    tensors.check_dtype("x", x)
    last = tensors.channels_last(x)
    return tensors.in_layout(x, True) if last else x.contiguous(), last


def _like(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=tensors.memory_format(tensors.channels_last(x)))


def _batch_norm(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = EPS,
    activation: str | None = None, alpha: float = 0.0,
) -> Tensor:  # fmt: skip
    at, last = _laid(x)
    y = _like(x)
    batch_norm(
        tensors.view(at, last), _view(mean), _view(var), _view(weight), _view(bias), eps=eps,
        layout=tensors.layout(last), activation=activation_of(activation, alpha), out=tensors.view(y, last),
    )  # fmt: skip
    return y


def _fake(x: Tensor, *args: Any) -> Tensor:
    return _like(x)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, mean, var, weight, bias, ctx.eps, ctx.activation, ctx.alpha = inputs
    if ctx.activation not in (None, "relu", "relu6"):
        raise NotImplementedError(
            f'batch_norm with activation "{ctx.activation}" has no gradient: only with None, "relu" and "relu6"'
        )
    ctx.save_for_backward(x, mean, var, weight, bias)


def _backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    return *_grads(ctx, g, False), *(None,) * 3


def _grads(ctx: Any, g: Tensor, training: bool) -> tuple[Tensor | None, ...]:
    x, mean, var, weight, bias = ctx.saved_tensors
    found = OPS.batch_norm_grad(g, x, mean, var, weight, bias, ctx.eps, training, ctx.activation)
    between = () if training else (None, None)
    return found[0], *between, None if weight is None else found[1], None if bias is None else found[2]


register(
    f"batch_norm(Tensor x, Tensor mean, Tensor var, Tensor? weight=None, Tensor? bias=None, float eps={EPS}, "
    "str? activation=None, float alpha=0.0) -> Tensor", _batch_norm, _fake, _backward, _setup,
)  # fmt: skip


def _train(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = EPS, activation: str | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    at, last = _laid(x)
    y = _like(x)
    _, mean, var = batch_norm_train(
        tensors.view(at, last), _view(weight), _view(bias), eps=eps, layout=tensors.layout(last), activation=activation,
        out=tensors.view(y, last),
    )  # fmt: skip
    return y, torch.from_numpy(mean), torch.from_numpy(var)


def _train_fake(x: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _like(x), x.new_empty(x.shape[1]), x.new_empty(x.shape[1])


def _train_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, weight, bias, ctx.eps, ctx.activation = inputs
    _, mean, var = output
    ctx.mark_non_differentiable(mean, var)
    ctx.save_for_backward(x, mean, var, weight, bias)


def _train_backward(ctx: Any, g: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    return *_grads(ctx, g, True), None, None


register(
    f"batch_norm_train(Tensor x, Tensor? weight=None, Tensor? bias=None, float eps={EPS}, str? activation=None) -> "
    "(Tensor, Tensor, Tensor)", _train, _train_fake, _train_backward, _train_setup,
)  # fmt: skip


def _grad(
    g: Tensor, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float,
    training: bool, activation: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    at, last = _laid(x)
    grad_x = _like(x)
    beside = tensors.in_layout(g, True) if last else g.contiguous()
    _, grad_weight, grad_bias = grad.batch_norm(
        tensors.view(beside, last), tensors.view(at, last), _view(mean), _view(var), _view(weight), _view(bias),
        eps=eps, training=training, layout=tensors.layout(last), activation=activation, out=tensors.view(grad_x, last),
    )  # fmt: skip
    return grad_x, torch.from_numpy(grad_weight), torch.from_numpy(grad_bias)


def _grad_fake(g: Tensor, x: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _train_fake(x)


def _grad_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    pass


def _grad_backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    raise NotImplementedError("cnnfast's batch_norm has no second derivative: keep torch's for it")


register(
    "batch_norm_grad(Tensor grad, Tensor x, Tensor mean, Tensor var, Tensor? weight, Tensor? bias, float eps, "
    "bool training, str? activation=None) -> (Tensor, Tensor, Tensor)", _grad, _grad_fake, _grad_backward, _grad_setup,
)  # fmt: skip
