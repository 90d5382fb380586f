"""Ops with a weight, called again and again: a call that is like the last one runs at once (`native.TensorCalls`).

Their functions look before they call the op: torch's dispatcher takes 2 us to bring a call to its kernel.
"""

import weakref
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from cnnfast.backends import native
from cnnfast.interop.torch.library import (
    LIBRARY,
    PLAIN,
    Kernel,
    define,
    forward_mode,
    grad_enabled,
    keys,
    modes,
    special,
)
from cnnfast.interop.torch_weights import on_forget, stamp

Calls = native.TensorCalls | None
Run = Callable[..., Tensor]
"""(calls, x, weight, bias, how): y. `calls` remembers it; None: the weight learns, is packed for this call alone."""

VISIBLE = hasattr(Tensor, "__dlpack_c_exchange_api__")
"""Whether C can look at tensors: since torch 2.10. Before, no call is a quick one."""

SEES_CALLS: Final = (
    torch._C._len_torch_function_stack, torch._C._is_any_autocast_enabled, torch._C._autograd._profiler_enabled,
    torch._C._get_tracing_state, torch._C._functorch.peek_interpreter_stack,
)  # fmt: skip
"""Where one answers true, somebody waits at torch's dispatcher to see a call, beside those of `library`."""

MOST: Final = 512
"""Ways to write an op's options that are known at a time."""
OPS: Final[dict[str, native.TensorCalls]] = {}


def direct(op: str, otherwise: Callable[..., Tensor], spell: Callable[..., tuple[Any, ...]]) -> Callable[..., Tensor]:
    """A function (x, weight, bias, *how) that runs what `op` remembers of the last call, or else is `otherwise`.

    `spell` is of `how` as a user writes it, integers and tuples of them: as the dispatcher hands it to the op.
    """
    spellings: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    def learn(x: Tensor, weight: Tensor, bias: Tensor | None = None, *how: Any) -> Tensor:
        y = otherwise(x, weight, bias, *how)
        if len(spellings) < MOST and all(type(each) is int or _integers(each) for each in how):
            spellings[how] = spell(*how)
        return y

    return native.TensorCalls(
        Tensor, learn, (modes, grad_enabled, forward_mode, *SEES_CALLS), None, OPS[op], spellings
    )  # fmt: skip


def _integers(given: Any) -> bool:
    return type(given) is tuple and all(type(each) is int for each in given)


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
    OPS[op._opname] = calls
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
    if not VISIBLE or type(weight) not in PLAIN or (bias is not None and type(bias) not in PLAIN):
        return  # whose class may want to see every call
    if stamp(weight) is None or (bias is not None and stamp(bias) is None):
        return
    like = torch.empty_like(y)
    like.untyped_storage().resize_(0)  # no memory: its sizes are what is read
    call = native.TensorCall(plan, n, x, weight, bias, how, torch.empty_like, like)
    if calls.remember(weight, call):
        weakref.finalize(weight, calls.drop, id(weight)).atexit = False
