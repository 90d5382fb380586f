"""Elementwise ops, concatenation, dense layers, softmax and the norms, by their definitions."""

import numpy as np

from .activations import NO_ACTIVATION, Activation, activate
from .layout import Array, exact


def add(x: Array, y: Array, *, activation: Activation = NO_ACTIVATION) -> Array:
    """activation(x + y), broadcast."""
    with np.errstate(all="ignore"):
        return activate(exact(x) + exact(y), activation)


def multiply(x: Array, y: Array, *, activation: Activation = NO_ACTIVATION) -> Array:
    """activation(x * y), broadcast."""
    with np.errstate(all="ignore"):
        return activate(exact(x) * exact(y), activation)


def concatenate(arrays: list[Array], *, axis: int = -1) -> Array:
    """The arrays side by side."""
    return np.concatenate([exact(each) for each in arrays], axis)


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return activate(exact(x), ("relu", 0.0))


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6)."""
    return activate(exact(x), ("relu6", 0.0))


def leaky_relu(x: Array, *, negative_slope: float = 0.01) -> Array:
    """x, or negative_slope * x below 0."""
    return activate(exact(x), ("leaky_relu", negative_slope))


def prelu(x: Array, weight: Array) -> Array:
    """x, or weight * x below 0; the weight is one number, or one a channel of the last axis."""
    x = exact(x)
    with np.errstate(all="ignore"):
        return np.where(x < 0, x * exact(weight), x)


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """x, or alpha * (exp(x) - 1) below 0."""
    return activate(exact(x), ("elu", alpha))


def selu(x: Array) -> Array:
    """1.0507 * elu(x, 1.6733)."""
    return activate(exact(x), ("selu", 0.0))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return activate(exact(x), ("sigmoid", 0.0))


def hardsigmoid(x: Array) -> Array:
    """relu6(x + 3) / 6."""
    return activate(exact(x), ("hardsigmoid", 0.0))


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    return activate(exact(x), ("tanh", 0.0))


def gelu(x: Array, *, approximate: str = "none") -> Array:
    """x * Phi(x), or tanh's approximation of it."""
    return activate(exact(x), ("gelu" if approximate == "none" else "gelu_tanh", 0.0))


def silu(x: Array) -> Array:
    """x * sigmoid(x)."""
    return activate(exact(x), ("silu", 0.0))


def hardswish(x: Array) -> Array:
    """x * relu6(x + 3) / 6."""
    return activate(exact(x), ("hardswish", 0.0))


def mish(x: Array) -> Array:
    """x * tanh(softplus(x))."""
    return activate(exact(x), ("mish", 0.0))


def softplus(x: Array, *, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """log(1 + exp(beta * x)) / beta; x where beta * x > threshold."""
    x = exact(x)
    with np.errstate(all="ignore"):
        return np.where(beta * x > threshold, x, np.logaddexp(0, beta * x) / beta)


def softmax(x: Array, *, axis: int = -1) -> Array:
    """exp(x) over its sum along the axis."""
    with np.errstate(all="ignore"):
        e = np.exp(exact(x) - exact(x).max(axis=axis, keepdims=True))
        return np.asarray(e / e.sum(axis=axis, keepdims=True))


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """x minus the logarithm of the sum of exp(x) along the axis."""
    with np.errstate(all="ignore"):
        shifted = exact(x) - exact(x).max(axis=axis, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def batch_norm(
    x: Array, running_mean: Array, running_var: Array, weight: Array | None = None, bias: Array | None = None, *,
    eps: float = 1e-5, layout: str = "NHWC", activation: Activation = NO_ACTIVATION,
) -> Array:  # fmt: skip
    """activation((x - mean) / sqrt(var + eps) * weight + bias) of each channel."""
    channels_last = exact(x) if layout == "NHWC" else np.moveaxis(exact(x), 1, -1)
    with np.errstate(all="ignore"):
        y = (channels_last - exact(running_mean)) / np.sqrt(exact(running_var) + eps)
        y = y if weight is None else y * exact(weight)
        y = activate(y if bias is None else y + exact(bias), activation)
    return y if layout == "NHWC" else np.moveaxis(y, -1, 1)


def batch_norm_train(
    x: Array, weight: Array | None = None, bias: Array | None = None, *, eps: float = 1e-5, layout: str = "NHWC",
    activation: Activation = NO_ACTIVATION,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """(y, mean, var): batch_norm by x's own mean and biased variance; zeros of an empty batch."""
    channels_last = exact(x) if layout == "NHWC" else np.moveaxis(exact(x), 1, -1)
    rows = channels_last.reshape(-1, channels_last.shape[-1])
    with np.errstate(all="ignore"):
        mean = rows.sum(axis=0) / max(1, len(rows))
        var = ((rows - mean) ** 2).sum(axis=0) / max(1, len(rows))
    return batch_norm(x, mean, var, weight, bias, eps=eps, layout=layout, activation=activation), mean, var


def local_response_norm(
    x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, layout: str = "NHWC"
) -> Array:
    """x over (k + alpha * the mean of x**2 over `size` channels)**beta; channels that do not exist are zeros."""
    channels_last = exact(x) if layout == "NHWC" else np.moveaxis(exact(x), 1, -1)
    C = channels_last.shape[-1]
    y = np.empty_like(channels_last)
    with np.errstate(all="ignore"):
        for c in range(C):
            window = channels_last[..., max(0, c - size // 2) : c + (size - 1) // 2 + 1]
            y[..., c] = channels_last[..., c] / (k + alpha * (window**2).sum(axis=-1) / size) ** beta
    return y if layout == "NHWC" else np.moveaxis(y, -1, 1)


def linear(x: Array, weight: Array, bias: Array | None = None, *, activation: Activation = NO_ACTIVATION) -> Array:
    """activation(x @ weight.T + bias), weight (K, C)."""
    with np.errstate(all="ignore"):
        y = exact(x) @ exact(weight).T
        return activate(y if bias is None else y + exact(bias), activation)
