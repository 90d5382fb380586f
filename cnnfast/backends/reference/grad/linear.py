"""Gradients of linear, and of every bias."""

import numpy as np

from ..layout import Array, exact


def linear_input(grad_output: Array, weight: Array) -> Array:
    """grad_input[..., c] = the sum over k of grad_output[..., k] * weight[k, c]."""
    with np.errstate(all="ignore"):
        return np.asarray(np.einsum("...k,kc->...c", exact(grad_output), exact(weight)))


def linear_weight(grad_output: Array, x: Array) -> Array:
    """grad_weight[k, c] = the sum over all rows of grad_output[..., k] * x[..., c]."""
    gradient, x = exact(grad_output), exact(x)
    with np.errstate(all="ignore"):
        return np.asarray(np.einsum("ik,ic->kc", gradient.reshape(-1, gradient.shape[-1]), x.reshape(-1, x.shape[-1])))


def bias(grad_output: Array, *, layout: str = "NHWC") -> Array:
    """grad_bias[k] = the sum of grad_output over all pixels, images and other rows."""
    gradient = exact(grad_output)
    if not layout.endswith("C"):
        gradient = np.moveaxis(gradient, 1, -1)
    with np.errstate(all="ignore"):
        return np.asarray(gradient.reshape(-1, gradient.shape[-1]).sum(axis=0))
