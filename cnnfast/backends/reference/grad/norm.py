"""Batch normalisation's and local response normalisation's."""

import numpy as np

from ..activations import NO_ACTIVATION, Activation
from ..layout import Array, exact
from ..pointwise import batch_norm as forward


def batch_norm(
    grad_output: Array, x: Array, mean: Array, var: Array, weight: Array | None = None, bias: Array | None = None, *,
    eps: float = 1e-5, training: bool, layout: str = "NHWC", activation: Activation = NO_ACTIVATION,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Of y = activation(n * weight + bias), n = (x - mean) / sqrt(var + eps).

    A sum of y * grad_output changes with x by weight / sqrt(var + eps) * g; in training also by way of mean, of which
    every x is a share 1/count, and of var, 2 * (x - mean) / count (Ioffe and Szegedy, section 3).
    """
    last = [exact(each) if layout == "NHWC" else np.moveaxis(exact(each), 1, -1) for each in (grad_output, x)]
    g, values = last
    C = values.shape[-1]
    with np.errstate(all="ignore"):
        y = forward(values, mean, var, weight, bias, eps=eps)
        if activation[0] == "relu":
            g = np.where(y > 0, g, 0)
        elif activation[0] == "relu6":
            g = np.where((y > 0) & (y < 6), g, 0)
        g, values = g.reshape(-1, C), values.reshape(-1, C)
        inverse = 1 / np.sqrt(exact(var) + eps)
        centered = values - exact(mean)
        grad_weight, grad_bias = (g * centered * inverse).sum(axis=0), g.sum(axis=0)
        to_normal = g if weight is None else g * exact(weight)
        grad_input = to_normal * inverse
        if training and len(values):
            by_var = (to_normal * centered).sum(axis=0) * -0.5 * inverse**3
            by_mean = -(to_normal * inverse).sum(axis=0)
            grad_input = grad_input + (by_var * 2 * centered + by_mean) / len(values)
    grad_input = grad_input.reshape(last[1].shape)
    return grad_input if layout == "NHWC" else np.moveaxis(grad_input, -1, 1), grad_weight, grad_bias


def local_response_norm(
    grad_output: Array, x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0,
    layout: str = "NHWC",
) -> Array:  # fmt: skip
    """Of y[c] = x[c] * s[c]**-beta, s[c] = k + alpha / size * the sum of x[j]**2 over c's window."""
    g, values = (exact(each) if layout == "NHWC" else np.moveaxis(exact(each), 1, -1) for each in (grad_output, x))
    grad_input = np.zeros(values.shape)
    with np.errstate(all="ignore"):
        for c in range(values.shape[-1]):
            window = slice(max(0, c - size // 2), c + (size - 1) // 2 + 1)
            s = k + alpha * (values[..., window] ** 2).sum(axis=-1) / size
            grad_input[..., c] += g[..., c] * s**-beta
            by_s = g[..., c] * values[..., c] * -beta * s ** (-beta - 1)
            grad_input[..., window] += by_s[..., np.newaxis] * 2 * alpha / size * values[..., window]
    return grad_input if layout == "NHWC" else np.moveaxis(grad_input, -1, 1)
