"""Pools as ops of torch's."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cnnfast.backends import native
from cnnfast.interop.torch import tensors
from cnnfast.interop.torch.conv_plans import sides
from cnnfast.interop.torch.library import register
from cnnfast.ops.adaptive import adaptive_pool
from cnnfast.ops.grad import pool as grad
from cnnfast.ops.pool import Pool, window_pool

OPS = torch.ops.cnnfast
Ints = Any
"""A list of integers."""
NO: list[int] = []
ZERO, ONE = [0, 0], [1, 1]
"""Default arguments."""


class _Ready(NamedTuple):
    """A pool's plan, whether channels are last, and its output."""

    plan: native.Plan
    last: bool
    size: tuple[int, ...]
    strides: tuple[int, ...]


@lru_cache(maxsize=512)
def _ready(
    make: Callable[..., Pool], op: str, shape: tuple[int, ...], last: bool, dtype: Any, given: tuple[Any, ...]
) -> _Ready:
    """Made of what a pool is given, whose layout is told as None."""
    order = tensors.layout(last)
    arguments = tuple(order if each is None else each for each in given)
    pool = make(op, "max" if op == "max_pool2d" else "avg", tensors.ordered(shape, last), dtype, *arguments)
    N, *rest = pool.y_shape
    size = (N, rest[2], *rest[:2]) if last else (N, *rest)
    return _Ready(pool.plan, last, size, tensors.strides(size, last))


def _run(make: Callable[..., Pool], op: str, x: Tensor, given: tuple[Any, ...], indexed: bool = False) -> Any:
    """y, or (y, indices) where `indexed`."""
    dtype = tensors.check_images("x", x)
    plan, last, size, strides = _ready(make, op, x.shape, tensors.channels_last(x), dtype, given)
    y = x.new_empty_strided(size, strides)
    indices = x.new_empty_strided(size, strides, dtype=torch.int64) if indexed else None
    if size[0]:
        at = tensors.in_layout(x, last)
        native.execute_at(plan, size[0], at.data_ptr(), 0, y.data_ptr(), 0 if indices is None else indices.data_ptr())
    return y if indices is None else (y, indices)


def _max(
    x: Tensor, kernel_size: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool, indexed: bool
) -> Any:
    window = tuple(kernel_size), tuple(stride or kernel_size), sides(padding), tuple(dilation)
    return _run(window_pool, "max_pool2d", x, (*window, None, ceil_mode, True, 0.0, indexed, "auto"), indexed)


def _max_pool2d(
    x: Tensor, kernel_size: Ints, stride: Ints = NO, padding: Ints = ZERO, dilation: Ints = ONE, ceil_mode: bool = False
) -> Tensor:
    return _max(x, kernel_size, stride, padding, dilation, ceil_mode, False)


def _max_pool2d_with_indices(
    x: Tensor, kernel_size: Ints, stride: Ints = NO, padding: Ints = ZERO, dilation: Ints = ONE, ceil_mode: bool = False
) -> tuple[Tensor, Tensor]:
    return _max(x, kernel_size, stride, padding, dilation, ceil_mode, True)


def _size(n: Any, axis: int, window: Ints, stride: Ints, padding: Ints, dilation: int, ceil: bool) -> Any:
    """Of an axis of a pool's output, also of a symbolic n."""
    step = (stride or window)[axis]
    before, after = padding[2 * axis : 2 * axis + 2] if len(padding) == 4 else (padding[axis],) * 2
    span = n + before + after - dilation * (window[axis] - 1) - 1
    if not ceil:
        return span // step + 1
    more = -(-span // step) + 1
    return more - 1 if (more - 1) * step >= n + before else more  # a last window that starts beyond x is dropped


def _pooled(x: Tensor, kernel_size: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool) -> Tensor:
    P, Q = (
        _size(x.shape[2 + i], i, kernel_size, stride, padding, dilation[i], ceil_mode) for i in range(2)
    )  # fmt: skip
    return tensors.empty(x, (*x.shape[:2], P, Q), tensors.channels_last(x))


def _max_fake(
    x: Tensor, kernel_size: Ints, stride: Ints = NO, padding: Ints = ZERO, dilation: Ints = ONE, ceil_mode: bool = False
) -> Tensor:
    return _pooled(x, kernel_size, stride, padding, dilation, ceil_mode)


def _max_indices_fake(
    x: Tensor, kernel_size: Ints, stride: Ints = NO, padding: Ints = ZERO, dilation: Ints = ONE, ceil_mode: bool = False
) -> tuple[Tensor, Tensor]:
    y = _pooled(x, kernel_size, stride, padding, dilation, ceil_mode)
    return y, torch.empty_like(y, dtype=torch.int64)


def _max_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.how = inputs
    ctx.save_for_backward(x)


def _max_backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    (x,) = ctx.saved_tensors
    _, indices = OPS.max_pool2d_with_indices(x.detach(), *ctx.how)
    return OPS.max_pool2d_grad(g, indices, x.shape), *(None,) * 5


def _max_indices_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.size = inputs[0].shape
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])


def _max_indices_backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    (indices,) = ctx.saved_tensors
    return OPS.max_pool2d_grad(g, indices, ctx.size), *(None,) * 5


_WINDOW = "int[2] kernel_size, int[2] stride=[], int[2] padding=0"
register(
    f"max_pool2d(Tensor x, {_WINDOW}, int[2] dilation=1, bool ceil_mode=False) -> Tensor", _max_pool2d, _max_fake,
    _max_backward, _max_setup,
)  # fmt: skip
register(
    f"max_pool2d_with_indices(Tensor x, {_WINDOW}, int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
    _max_pool2d_with_indices, _max_indices_fake, _max_indices_backward, _max_indices_setup,
)  # fmt: skip


def _max_grad(g: Tensor, indices: Tensor, size: Ints) -> Tensor:
    tensors.check_images("grad", g)
    last = tensors.channels_last(indices)
    grad_x = tensors.empty(g, size, last)
    grad.max_pool2d(
        tensors.view(tensors.in_layout(g, last), last), tensors.view(tensors.in_layout(indices, last), last),
        tensors.ordered(size, last), layout=tensors.layout(last), out=tensors.view(grad_x, last),
    )  # fmt: skip
    return grad_x


def _max_grad_fake(g: Tensor, indices: Tensor, size: Ints) -> Tensor:
    return tensors.empty(g, size, tensors.channels_last(indices))


def _max_grad_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _max_grad_backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    (indices,) = ctx.saved_tensors
    return v.flatten(2).gather(2, indices.flatten(2)).view(indices.shape), None, None


register(
    "max_pool2d_grad(Tensor grad, Tensor indices, SymInt[] size) -> Tensor", _max_grad, _max_grad_fake,
    _max_grad_backward, _max_grad_setup,
)  # fmt: skip


def _avg_pool2d(
    x: Tensor, kernel_size: Ints, stride: Ints = NO, padding: Ints = ZERO, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    window = tuple(kernel_size), tuple(stride or kernel_size), sides(padding), 1
    return _run(window_pool, "avg_pool2d", x, (*window, None, ceil_mode, count_include_pad, 0.0, False, "auto"))


def _avg_fake(
    x: Tensor, kernel_size: Ints, stride: Ints = NO, padding: Ints = ZERO, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    return _pooled(x, kernel_size, stride, padding, ONE, ceil_mode)


def _avg_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.size, ctx.how, ctx.last = inputs[0].shape, inputs[1:], tensors.channels_last(inputs[0])


def _avg_backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    return OPS.avg_pool2d_grad(g, ctx.size, *ctx.how), *(None,) * 5


register(
    f"avg_pool2d(Tensor x, {_WINDOW}, bool ceil_mode=False, bool count_include_pad=True) -> Tensor",
    _avg_pool2d, _avg_fake, _avg_backward, _avg_setup,
)  # fmt: skip


def _avg_grad(
    g: Tensor, size: Ints, kernel_size: Ints, stride: Ints = NO, padding: Ints = ZERO, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    tensors.check_images("grad", g)
    last = tensors.channels_last(g)
    grad_x = tensors.empty(g, size, last)
    grad.avg_pool2d(
        tensors.view(tensors.in_layout(g, last), last), tensors.ordered(size, last), tuple(kernel_size),
        tuple(stride) or None, padding=sides(padding), ceil_mode=ceil_mode, count_include_pad=count_include_pad,
        layout=tensors.layout(last), out=tensors.view(grad_x, last),
    )  # fmt: skip
    return grad_x


def _spread_fake(g: Tensor, size: Ints, *how: Any) -> Tensor:
    return tensors.empty(g, size, tensors.channels_last(g))


def _avg_grad_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.how = inputs[2:]


def _avg_grad_backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    return OPS.avg_pool2d(v, *ctx.how), *(None,) * 6


register(
    f"avg_pool2d_grad(Tensor grad, SymInt[] size, {_WINDOW}, bool ceil_mode=False, bool count_include_pad=True) "
    "-> Tensor",
    _avg_grad, _spread_fake, _avg_grad_backward, _avg_grad_setup,
)  # fmt: skip


def _adaptive(x: Tensor, output_size: Ints) -> Tensor:
    return _run(adaptive_pool, "adaptive_avg_pool2d", x, (tuple(output_size), None, False, "auto"))


def _adaptive_fake(x: Tensor, output_size: Ints) -> Tensor:
    return tensors.empty(x, (*x.shape[:2], *output_size), tensors.channels_last(x))


def _adaptive_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.size = inputs[0].shape


def _adaptive_backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    return OPS.adaptive_avg_pool2d_grad(g, ctx.size), None


register(
    "adaptive_avg_pool2d(Tensor x, SymInt[2] output_size) -> Tensor", _adaptive, _adaptive_fake, _adaptive_backward,
    _adaptive_setup,
)  # fmt: skip


def _adaptive_grad(g: Tensor, size: Ints) -> Tensor:
    tensors.check_images("grad", g)
    last = tensors.channels_last(g)
    grad_x = tensors.empty(g, size, last)
    grad.adaptive_avg_pool2d(
        tensors.view(tensors.in_layout(g, last), last), tensors.ordered(size, last), layout=tensors.layout(last),
        out=tensors.view(grad_x, last),
    )  # fmt: skip
    return grad_x


def _adaptive_grad_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.output_size = inputs[0].shape[2:]


def _adaptive_grad_backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    return OPS.adaptive_avg_pool2d(v, ctx.output_size), None


register(
    "adaptive_avg_pool2d_grad(Tensor grad, SymInt[] size) -> Tensor", _adaptive_grad, _spread_fake,
    _adaptive_grad_backward, _adaptive_grad_setup,
)  # fmt: skip
