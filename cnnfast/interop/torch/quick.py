"""Ops with a weight, called again and again: a call that is like the last one runs at once (`native.TensorCalls`)."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cnnfast.backends import native
from cnnfast.interop.torch.library import LIBRARY, Kernel, define, forward_mode, grad_enabled, keys, modes, special
from cnnfast.interop.torch_weights import on_forget, stamp

Calls = native.TensorCalls | None
Run = Callable[..., Tensor]
"""(calls, x, weight, bias, how): y. `calls` remembers it; None: the weight learns, is packed for this call alone."""


def register_quick(schema: str, run: Run, fake: Kernel, backward: Kernel, setup: Kernel) -> None:
    """Make it one of torch's ops: (x, weight, bias, ...)."""
    op, generic = define(schema, fake, backward, setup)

    def with_autograd(x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
        if special(x, weight, bias, *how):
            return generic(keys((x, weight, bias, *how)), x, weight, bias, *how)
        return run(calls, x, weight, bias, how)

    def kernel(x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
        return run(None if _learns(weight) else calls, x, weight, bias, how)

    calls = native.TensorCalls(Tensor, with_autograd, (modes, grad_enabled, forward_mode), None)
    on_forget(calls.drop)
    LIBRARY.impl(op._opname, calls, "AutogradCPU")
    LIBRARY.impl(op._opname, native.TensorCalls(Tensor, kernel, (), _learns, calls), "CPU")


def _learns(weight: Tensor) -> bool:
    """Below autograd, in a forward pass, gradients are off: a weight that could learn then does."""
    return weight.requires_grad and not torch.is_inference_mode_enabled()


def remember(
    calls: native.TensorCalls, plan: native.Plan, n: int, x: Tensor, weight: Tensor, bias: Tensor | None,
    how: tuple[Any, ...], y: Tensor,
) -> None:  # fmt: skip
    """Let the next call with this weight be a quick one, if it is like this one, which ran the plan on x as it lies."""
    if stamp(weight) is None or (bias is not None and stamp(bias) is None):
        return
    like = torch.empty_like(y)
    like.untyped_storage().resize_(0)  # no memory: its sizes are what is read
    call = native.TensorCall(plan, n, x, weight, bias, how, torch.empty_like, like)
    if calls.remember(weight, call):
        weakref.finalize(weight, calls.drop, id(weight)).atexit = False
