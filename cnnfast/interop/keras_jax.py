"""What Keras' layers call under its jax backend: the functions of `cnnfast.interop.jax`."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

import cnnfast.interop.jax as ops
from cnnfast.interop.jax_rules import Conv
from cnnfast.interop.jax_rules import _grad_input as transposed  # a function of its own: it has derivatives
from cnnfast.interop.keras_window import Window

FUSED = {None, "relu", "relu6"}
Array = Any
"""Of JAX."""


def takes(x: Any) -> bool:
    """Whether the functions do: on the CPU, of float32 or float64."""
    return isinstance(x, jax.Array) and x.dtype in (jnp.float32, jnp.float64) and jax.default_backend() == "cpu"


def depthwise(kernel: Array) -> Array:
    """(R, S, C, multiplier) as (R, S, 1, C*multiplier)."""
    R, S, C, multiplier = kernel.shape
    return kernel.reshape(R, S, 1, C * multiplier)


def _told(window: Window) -> dict[str, Any]:
    return {"stride": window.stride, "padding": window.padding, "layout": window.layout}


def _weight(window: Window, kernel: Array) -> Array:
    return kernel if window.layout == "NHWC" else kernel.transpose(3, 2, 0, 1)


def conv2d(window: Window, x: Array, kernel: Array, bias: Array | None, activation: str | None) -> Array:
    """A convolution; kernel is Keras', or what `depthwise` gives."""
    return ops.conv2d(
        x, _weight(window, kernel), bias, dilation=window.dilation, groups=window.groups, activation=activation,
        **_told(window),
    )  # fmt: skip


def conv_transpose2d(
    window: Window, size: Sequence[int], x: Array, kernel: Array, bias: Array | None, activation: str | None
) -> Array:
    """A transposed convolution, the gradient of a convolution's input; `size` is its output's shape."""
    first = window.layout == "NCHW"
    (top, bottom), (left, right) = window.padding
    problem = Conv(int(first), window.stride, window.dilation, (top, bottom, left, right), 1, 0, 0)
    y = transposed(problem, tuple(size), x, _weight(window, kernel))
    if bias is not None:
        y = y + (bias[:, None, None] if first else bias)
    return {None: lambda y: y, "relu": jax.nn.relu, "relu6": jax.nn.relu6}[activation](y)


def max_pool2d(window: Window, kernel_size: Any, x: Array) -> Array:
    """Maxima."""
    return ops.max_pool2d(x, kernel_size, **_told(window))


def avg_pool2d(window: Window, kernel_size: Any, x: Array) -> Array:
    """Means of what lies in the picture."""
    return ops.avg_pool2d(x, kernel_size, count_include_pad=False, **_told(window))


def linear(x: Array, kernel: Array, bias: Array | None, activation: str | None) -> Array:
    """A dense layer, as a convolution of one pixel."""
    C, K = kernel.shape
    y = ops.conv2d(
        x.reshape(math.prod(x.shape[:-1]), 1, 1, C), kernel.reshape(1, 1, C, K), bias, activation=activation
    )  # fmt: skip
    return y.reshape(*x.shape[:-1], K)
