"""What Keras' layers call under its torch backend: the ops of `cnnfast.interop.torch`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

import cnnfast.interop.torch as ops
from cnnfast.interop.keras_window import Window
from cnnfast.ops.options import ACTIVATIONS, Activation

FUSED = {None, *ACTIVATIONS, ("leaky_relu", 0.2)}
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def takes(x: Any) -> bool:
    """Whether the ops do: on the CPU, of float32 or float64, with images in it."""
    return isinstance(x, Tensor) and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


_turned = WeakTensorKeyDictionary()
"""Of each parameter, by axes and shape, itself in torch's order: one tensor, so that what is packed is found again."""


def _weight(kernel: Tensor, axes: Sequence[int], shape: Sequence[int] | None = None) -> Tensor:
    def turn(tensor: Tensor) -> Tensor:
        turned = tensor.permute(*axes)
        return turned if shape is None else turned.reshape(*shape)

    if not isinstance(kernel, torch.nn.Parameter) or (torch.is_grad_enabled() and kernel.requires_grad):
        return turn(kernel)
    ways: dict[Any, Tensor] = _turned.setdefault(kernel, {})
    way = tuple(axes), shape and tuple(shape)
    found = ways.get(way)
    if found is None or found.data_ptr() != kernel.data_ptr():
        found = ways[way] = torch.nn.Parameter(turn(kernel.detach()), requires_grad=False)
    return found


def depthwise(kernel: Tensor) -> Callable[[], Tensor]:
    """(R, S, C, multiplier) as (C*multiplier, 1, R, S)."""
    R, S, C, multiplier = kernel.shape
    return lambda: _weight(kernel, (2, 3, 0, 1), (C * multiplier, 1, R, S))


def _images(window: Window, x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
    if window.layout == "NCHW":
        return run(x)
    return run(x.permute(TO_FIRST)).permute(TO_LAST)


def _padding(window: Window) -> Any:
    (top, bottom), (left, right) = window.padding
    return (top, left) if (top, left) == (bottom, right) else (top, bottom, left, right)


def conv2d(window: Window, x: Tensor, kernel: Any, bias: Tensor | None, activation: Activation) -> Tensor:
    """A convolution; kernel is Keras', or what `depthwise` gives."""
    weight = kernel() if callable(kernel) and not isinstance(kernel, Tensor) else _weight(kernel, (3, 2, 0, 1))
    how = window.stride, _padding(window), window.dilation, window.groups
    return _images(window, x, lambda images: ops.conv2d(images, weight, bias, *how, activation=activation))


def conv_transpose2d(
    window: Window, size: Sequence[int], x: Tensor, kernel: Tensor, bias: Tensor | None, activation: Activation
) -> Tensor:
    """A transposed convolution; `size` is its output's shape."""
    weight = _weight(kernel, (3, 2, 0, 1))
    return _images(
        window, x,
        lambda images: ops.conv_transpose2d(
            images, weight, bias, window.stride, _padding(window), window.output_padding, dilation=window.dilation,
            activation=activation,
        ),
    )  # fmt: skip


def max_pool2d(window: Window, kernel_size: Any, x: Tensor) -> Tensor:
    """Maxima."""
    return _images(window, x, lambda images: ops.max_pool2d(images, kernel_size, window.stride, _padding(window)))


def avg_pool2d(window: Window, kernel_size: Any, x: Tensor) -> Tensor:
    """Means of what lies in the picture."""
    return _images(
        window, x,
        lambda images: ops.avg_pool2d(images, kernel_size, window.stride, _padding(window), count_include_pad=False),
    )  # fmt: skip


def linear(x: Tensor, kernel: Tensor, bias: Tensor | None, activation: Activation) -> Tensor:
    """A dense layer."""
    return ops.linear(x, _weight(kernel, (1, 0)), bias, activation=activation)
