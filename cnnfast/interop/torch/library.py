"""How an op becomes one of torch's: `torch.ops.cnnfast.<name>`, with a kernel, a shape rule and a way back."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._library.autograd import Info, make_autograd_impl
from torch.autograd import forward_ad

LIBRARY = torch.library.Library("cnnfast", "DEF")
"""Of the process: it lives as long as this module."""

Kernel = Callable[..., Any]

_FALL_THROUGH = torch._C.DispatchKeySet(torch._C.DispatchKey.ADInplaceOrView) | torch._C.DispatchKeySet(
    torch._C.DispatchKey.BackendSelect
)
"""Keys that every tensor has and no op of ours a kernel for: the dispatcher leaves them out, too."""

PLAIN = (Tensor, torch.nn.Parameter)
modes = torch._C._len_torch_dispatch_stack
grad_enabled = torch.is_grad_enabled
any_requires_grad = torch._C._any_requires_grad


def register(schema: str, kernel: Kernel, fake: Kernel, backward: Kernel, setup: Kernel) -> Any:
    """Make an op of a schema; `backward` and `setup` are as `torch.library.register_autograd` has them."""
    op, generic = define(schema, fake, backward, setup)

    def shortcut(*args: Any) -> Any:
        return generic(keys(args), *args) if special(*args) else kernel(*args)

    LIBRARY.impl(op._opname, kernel, "CPU")
    LIBRARY.impl(op._opname, shortcut, "AutogradCPU")
    return op


def define(schema: str, fake: Kernel, backward: Kernel, setup: Kernel) -> tuple[Any, Kernel]:
    """An op without kernels yet, and its generic autograd.

    That goes through torch's dispatcher twice, also where no gradient is asked for. So kernels are registered for
    AutogradCPU too, which call it only where a call is `special`.
    """
    LIBRARY.define(schema)
    name = schema.partition("(")[0]
    torch.library.register_fake(f"cnnfast::{name}", fake, lib=LIBRARY)
    torch.library.register_autocast(f"cnnfast::{name}", "cpu", torch.float32, lib=LIBRARY)
    op = getattr(torch.ops.cnnfast, name).default
    generic = make_autograd_impl(op, Info(backward, setup))
    LIBRARY.impl(name, generic, "Autograd", with_keyset=True)
    return op, generic


def needs(ctx: Any, *arguments: int) -> list[bool]:
    """Whether the gradients of these arguments are asked for; those left to the schema's defaults are not there."""
    given = ctx.needs_input_grad
    return [i < len(given) and given[i] for i in arguments]


def forward_mode() -> bool:
    """Whether tensors may carry tangents."""
    return bool(forward_ad._current_level >= 0)


def _refuse_tangents(tensors: list[Tensor]) -> None:
    if any(forward_ad.unpack_dual(each).tangent is not None for each in tensors):
        raise NotImplementedError("cnnfast's ops have no forward-mode derivatives: call torch's own on dual tensors")


def special(*args: Any) -> bool:
    """Whether a gradient is asked for, a mode of torch's wants to see every call, or a tensor is no plain one."""
    tensors = [each for each in args if isinstance(each, Tensor)]
    if forward_mode():
        _refuse_tangents(tensors)
    plain = all(type(each) in PLAIN for each in tensors)
    return not plain or bool(modes()) or (grad_enabled() and any_requires_grad(*args))


def keys(args: tuple[Any, ...]) -> Any:
    """The dispatch keys of a call, as torch's dispatcher has them: to be handed them by it costs every call."""
    found = torch._C._dispatch_tls_local_include_set()
    for each in args:
        if isinstance(each, Tensor):
            found = found | torch._C._dispatch_keys(each)
    return found - torch._C._dispatch_tls_local_exclude_set() - _FALL_THROUGH
