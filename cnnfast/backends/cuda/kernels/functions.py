"""The functions of one element that `kernels.mapped` applies, by a key of plain values: (name, *settings).

Each maker gives a scalar device function of the computed type.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np

from cnnfast.backends.cuda.activations import activation
from cnnfast.backends.cuda.derivatives import derivative
from cnnfast.backends.cuda.intrinsics.arithmetic import inverse_root
from cnnfast.backends.cuda.toolchain import device

Key = tuple[Any, ...]


@cache
def function(key: Key, computed: str) -> Any:
    """The device function of a key, of values computed in `computed`."""
    real = np.float32 if computed == "float32" else np.float64
    return device(_MAKERS[key[0]](real, *key[1:]))


def _copy(real: Any) -> Any:
    def copy(a: Any) -> Any:
        return a

    return copy


def _activation(real: Any, name: str | None, alpha: float) -> Any:
    return activation(name, alpha, real.__name__)


def _add(real: Any, name: str | None, alpha: float) -> Any:
    activate = activation(name, alpha, real.__name__)

    def add(a: Any, b: Any) -> Any:
        return activate(a + b)

    return add


def _multiply(real: Any, name: str | None, alpha: float) -> Any:
    activate = activation(name, alpha, real.__name__)

    def multiply(a: Any, b: Any) -> Any:
        return activate(a * b)

    return multiply


def _prelu(real: Any) -> Any:
    zero = real(0)

    def prelu(a: Any, slope: Any) -> Any:
        return a * slope if a < zero else a

    return prelu


def _softplus(real: Any, beta: float, threshold: float) -> Any:
    beta, threshold, zero = real(beta), real(threshold), real(0)

    def softplus(a: Any) -> Any:
        v = beta * a
        if v > threshold:
            return a
        return (math.log1p(math.exp(-abs(v))) + (zero if v < zero else v)) / beta

    return softplus


def _batch_norm(real: Any, eps: float, scaled: bool, shifted: bool, name: str | None, alpha: float) -> Any:
    """The parameters that a layer lacks are not arguments."""
    eps, activate = real(eps), activation(name, alpha, real.__name__)

    def whole(a: Any, mean: Any, var: Any, weight: Any, bias: Any) -> Any:
        return activate((a - mean) * (weight * inverse_root(var + eps)) + bias)

    def unshifted(a: Any, mean: Any, var: Any, weight: Any) -> Any:
        return activate((a - mean) * (weight * inverse_root(var + eps)))

    def unscaled(a: Any, mean: Any, var: Any, bias: Any) -> Any:
        return activate((a - mean) * inverse_root(var + eps) + bias)

    def plain(a: Any, mean: Any, var: Any) -> Any:
        return activate((a - mean) * inverse_root(var + eps))

    return {(True, True): whole, (True, False): unshifted, (False, True): unscaled, (False, False): plain}[
        scaled, shifted
    ]


def _gradient(real: Any, name: str, alpha: float) -> Any:
    slope = derivative(name, alpha, real.__name__)

    def gradient(g: Any, value: Any) -> Any:
        return g * slope(value)

    return gradient


def _prelu_gradient(real: Any) -> Any:
    zero = real(0)

    def prelu_gradient(g: Any, x: Any, slope: Any) -> Any:
        return g if x > zero else g * slope

    return prelu_gradient


def _prelu_slope(real: Any) -> Any:
    zero = real(0)

    def prelu_slope(g: Any, x: Any) -> Any:
        return g * (zero if x > zero else x)

    return prelu_slope


_MAKERS: Final[dict[str, Callable[..., Any]]] = {
    "copy": _copy, "activation": _activation, "add": _add, "multiply": _multiply, "prelu": _prelu,
    "softplus": _softplus, "batch_norm": _batch_norm, "gradient": _gradient, "prelu_gradient": _prelu_gradient,
    "prelu_slope": _prelu_slope,
}  # fmt: skip
