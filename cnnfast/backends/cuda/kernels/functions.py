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
from cnnfast.backends.cuda.generate import generated
from cnnfast.backends.cuda.intrinsics.arithmetic import chosen, inverse_root
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


def _parameters(scaled: bool, shifted: bool) -> list[str]:
    """The parameters that a layer lacks are not arguments."""
    return ["mean", "var", *(["weight"] if scaled else []), *(["bias"] if shifted else [])]


def _normalised(real: Any, eps: float, scaled: bool, shifted: bool) -> tuple[list[str], dict[str, Any]]:
    """Lines that make n, the normal value, and v = n * weight + bias, of x."""
    value = "n" + (" * weight" if scaled else "") + (" + bias" if shifted else "")
    lines = ["slope = inverse_root(var + eps)", "n = (x - mean) * slope", f"v = {value}"]
    return lines, {"inverse_root": inverse_root, "eps": real(eps)}


def _batch_norm(real: Any, eps: float, scaled: bool, shifted: bool, name: str | None, alpha: float) -> Any:
    lines, known = _normalised(real, eps, scaled, shifted)
    activate = activation(name, alpha, real.__name__)
    parameters = ["x", *_parameters(scaled, shifted)]
    return generated("batch_norm", parameters, [*lines, "return activate(v)"], activate=activate, **known)


def _batch_norm_gradient(
    real: Any, which: str, eps: float, scaled: bool, shifted: bool, name: str | None, training: bool, count: int
) -> Any:
    """Terms of the sums that are the bias's and the weight's gradients, and of those sums x's own (Ioffe and Szegedy,
    section 3)."""
    lines, known = _normalised(real, eps, scaled, shifted)
    inside = {"relu": "v > zero", "relu6": "(v > zero) & (v < six)"}.get(name or "")
    lines += [f"g = chosen({inside}, g, zero)"] if inside else []
    own = "slope" + (" * weight" if scaled else "")
    own += " * (g - (to_bias + n * to_weight) * share)" if training else " * g"
    lines.append({"bias": "return g", "weight": "return g * n", "input": f"return {own}"}[which])
    parameters = ["g", "x", *_parameters(scaled, shifted)]
    parameters += ["to_weight", "to_bias"] if which == "input" and training else []
    known |= {"zero": real(0), "six": real(6), "chosen": chosen, "share": real(1 / max(1, count))}
    return generated("batch_norm_gradient", parameters, lines, **known)


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
    "prelu_slope": _prelu_slope, "batch_norm_gradient": _batch_norm_gradient,
}  # fmt: skip
