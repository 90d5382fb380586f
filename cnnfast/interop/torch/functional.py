"""torch.nn.functional's functions of the same names, computed by cnnfast: float32 and float64 on the CPU."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cnnfast.interop.torch import conv, conv_transpose, norm, pool  # noqa: F401  they register the ops
from cnnfast.interop.torch import linear as _linear  # noqa: F401
from cnnfast.interop.torch.quick import direct
from cnnfast.ops import shapes
from cnnfast.ops.options import activation as _activation

_OPS = torch.ops.cnnfast
Ints = int | tuple[int, int]
Activation = str | tuple[str, float] | None


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Any = 0, dilation: Ints = 1,
    groups: int = 1, *, activation: Activation = None, residual: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """activation(conv2d of `torch.nn.functional` + residual), in one pass.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W); float32 or float64
    weight : (K, C/groups, R, S), of input's dtype
    bias : (K,)
    stride, dilation, groups : torch's
    padding : torch's: an integer, (height, width), "valid" or "same" (stride 1); or (top, bottom, left, right)
    activation, residual : see `cnnfast.conv2d`

    Returns
    -------
    (N, K, P, Q), or (K, P, Q); channels_last where input or weight is

    Raises
    ------
    ValueError : a value or shape is out of its range
    TypeError : a tensor is not float32 or float64, or of another dtype than input

    Examples
    --------
    >>> import torch, cnnfast.interop.torch as ct
    >>> ct.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3), padding=1, activation="relu")[0, 0].tolist()
    [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    if activation is None and residual is None:
        call = _conv2d if _compiles() else _conv2d_again
        return call(input, weight, bias, stride, padding, dilation, groups)
    sides = _padding(padding, weight, stride, dilation)
    name, alpha = _activation("activation", activation)
    if residual is not None and residual.ndim == 3:
        residual = residual.unsqueeze(0)
    return _batched(
        lambda x: _OPS.conv2d_fused(x, weight, bias, residual, stride, sides, dilation, groups, name, alpha), input
    )


def _conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Any, dilation: Ints, groups: int
) -> Tensor:
    sides = _padding(padding, weight, stride, dilation)
    y: Tensor = _batched(lambda x: _OPS.conv2d(x, weight, bias, stride, sides, dilation, groups), input)
    return y


def _conv2d_spelled(stride: Ints, padding: Ints, dilation: Ints, groups: int) -> tuple[Any, ...]:
    """As the dispatcher has them: lists, and defaults at the end left out."""
    given = *([each, each] if isinstance(each, int) else list(each) for each in (stride, padding, dilation)), groups
    defaults = [1, 1], [0, 0], [1, 1], 1
    last = max((i + 1 for i in range(4) if given[i] != defaults[i]), default=0)
    return given[:last]


_conv2d_again = direct("conv2d", _conv2d, _conv2d_spelled)
_linear_again = direct("linear", _OPS.linear.default, lambda: ())
_compiles = torch.compiler.is_dynamo_compiling


def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1, *, activation: Activation = None,
) -> Tensor:  # fmt: skip
    """activation(conv_transpose2d of `torch.nn.functional`): see there, and `conv2d`. output_padding is below stride.

    >>> import torch, cnnfast.interop.torch as ct
    >>> ct.conv_transpose2d(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 2), stride=2).tolist()
    [[[[1.0, 1.0, 1.0, 1.0]]]]
    """
    name, alpha = _activation("activation", activation)
    return _batched(
        lambda x: _OPS.conv_transpose2d(
            x, weight, bias, stride, padding, output_padding, groups, dilation, name, alpha
        ), input,
    )  # fmt: skip


def max_pool2d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """max_pool2d of `torch.nn.functional`; (y, indices) with return_indices.

    >>> import torch, cnnfast.interop.torch as ct
    >>> ct.max_pool2d(torch.arange(4.0).reshape(1, 1, 2, 2), 2).item()
    3.0
    """
    how = kernel_size, () if stride is None else stride, padding, dilation, ceil_mode
    if return_indices or (torch.is_grad_enabled() and input.requires_grad):  # the way back reads the indices
        y, indices = _batched(lambda x: _OPS.max_pool2d_with_indices(x, *how), input)
        return (y, indices) if return_indices else y
    return _batched(lambda x: _OPS.max_pool2d(x, *how), input)


def avg_pool2d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: None = None,
) -> Tensor:  # fmt: skip
    """avg_pool2d of `torch.nn.functional`, whose divisor_override must be None.

    >>> import torch, cnnfast.interop.torch as ct
    >>> ct.avg_pool2d(torch.arange(4.0).reshape(1, 1, 2, 2), 2).item()
    1.5
    """
    if divisor_override is not None:
        raise ValueError(f"divisor_override must be None, got {divisor_override!r}")
    how = kernel_size, () if stride is None else stride, padding, ceil_mode, count_include_pad
    return _batched(lambda x: _OPS.avg_pool2d(x, *how), input)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """adaptive_avg_pool2d of `torch.nn.functional`.

    >>> import torch, cnnfast.interop.torch as ct
    >>> ct.adaptive_avg_pool2d(torch.arange(4.0).reshape(1, 1, 2, 2), 1).item()
    1.5
    """
    own = input.shape[-2:]
    given = (output_size,) * 2 if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if len(given) != 2:
        raise ValueError(f"output_size must be an integer or (height, width), got {output_size!r}")
    size = [n if each is None else each for each, n in zip(given, own, strict=True)]
    return _batched(lambda x: _OPS.adaptive_avg_pool2d(x, size), input)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: Activation = None) -> Tensor:
    """activation(linear of `torch.nn.functional`).

    >>> import torch, cnnfast.interop.torch as ct
    >>> ct.linear(torch.tensor([1.0, 2.0]), torch.tensor([[3.0, -4.0]]), activation="relu").tolist()
    [0.0]
    """
    if activation is None:
        return (_OPS.linear if _compiles() else _linear_again)(input, weight, bias)
    return _OPS.linear(input, weight, bias, *_activation("activation", activation))


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5, *,
    activation: Activation = None,
) -> Tensor:  # fmt: skip
    """activation(batch_norm of `torch.nn.functional`), which in training changes running_mean and running_var.

    Parameters
    ----------
    input : (N, C, ...) of 2 to 5 dimensions
    activation : in training, and where a gradient is asked for, None, "relu" or "relu6"
    the others : torch's

    Returns
    -------
    a tensor as input

    Examples
    --------
    >>> import torch, cnnfast.interop.torch as ct
    >>> ct.batch_norm(torch.tensor([[3.0], [5.0]]), torch.tensor([1.0]), torch.tensor([1.0]), eps=0.0).tolist()
    [[2.0], [4.0]]
    """
    name, alpha = _activation("activation", activation)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("running_mean and running_var must be given where training is False, got None")
        return _OPS.batch_norm(input, running_mean, running_var, weight, bias, eps, name, alpha)
    count = input.numel() // input.shape[1] if input.ndim > 1 and input.shape[1] else 0
    if count <= 1:
        raise ValueError(f"input must have more than 1 value a channel when training, got shape {tuple(input.shape)}")
    y, mean, var = _OPS.batch_norm_train(input, weight, bias, eps, name)
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            running_var.lerp_((var * (count / (count - 1))).to(running_var.dtype), momentum)
    return y


def _batched(run: Callable[[Tensor], Any], x: Tensor) -> Any:
    """Of (C, H, W) a batch of one, there and back."""
    if x.ndim != 3:
        return run(x)
    y = run(x.unsqueeze(0))
    return tuple(each.squeeze(0) for each in y) if isinstance(y, tuple) else y.squeeze(0)


def _padding(padding: Any, weight: Tensor, stride: Ints, dilation: Ints) -> Any:
    """torch's padding as the ops take it."""
    if not isinstance(padding, str):
        return padding
    if padding == "valid":
        return 0
    steps = (stride, stride) if isinstance(stride, int) else tuple(stride)
    if padding != "same" or steps != (1, 1):
        raise ValueError(f'padding must be "valid", "same" (stride 1) or integers, got {padding!r}, stride {stride}')
    gaps = (dilation, dilation) if isinstance(dilation, int) else tuple(dilation)
    spans = [shapes.dilated(size, gap) - 1 for size, gap in zip(weight.shape[2:], gaps, strict=True)]
    return [part for span in spans for part in (span // 2, span - span // 2)]
