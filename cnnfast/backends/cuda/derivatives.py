"""The activations' derivatives as device functions: of relu to hardsigmoid by the output, of the others by the input,
as the oracle's gradients take them."""

import math
from functools import cache
from typing import Any, Final

import numpy as np

from .activations import SELU_ALPHA, SELU_SCALE, activation
from .toolchain import device


@cache
def derivative(name: str, alpha: float, computed: str = "float32") -> Any:
    """The device function of an activation's derivative; NaN gives NaN, an infinity the limit."""
    real = np.float32 if computed == "float32" else np.float64
    slope = device(_MAKERS[name](real, real(alpha)))

    def at(v: Any) -> Any:
        return slope(v) if v == v else v

    return device(at)


def _between(low: float, high: float, inside: float, outside: float = 0.0) -> Any:
    def make(real: Any, alpha: Any) -> Any:
        lowest, highest, within, beyond = real(low), real(high), real(inside), real(outside)

        def between(v: Any) -> Any:
            return within if lowest < v < highest else beyond

        return between

    return make


def _leaky_relu(real: Any, alpha: Any) -> Any:
    zero, one = real(0), real(1)

    def leaky_relu(v: Any) -> Any:
        return one if v > zero else alpha

    return leaky_relu


def _sigmoid(real: Any, alpha: Any) -> Any:
    one = real(1)

    def sigmoid(v: Any) -> Any:
        return v * (one - v)

    return sigmoid


def _tanh(real: Any, alpha: Any) -> Any:
    one = real(1)

    def tanh(v: Any) -> Any:
        return (one - v) * (one + v)

    return tanh


def _elu(real: Any, alpha: Any) -> Any:
    zero, one = real(0), real(1)

    def elu(v: Any) -> Any:
        return one if v > zero else v + alpha

    return elu


def _selu(real: Any, alpha: Any) -> Any:
    zero, scale, steep = real(0), real(SELU_SCALE), real(SELU_SCALE * SELU_ALPHA)

    def selu(v: Any) -> Any:
        return scale if v > zero else v + steep

    return selu


def _hardswish(real: Any, alpha: Any) -> Any:
    zero, one, two, three, sixth = real(0), real(1), real(2), real(3), real(1 / 6)

    def hardswish(v: Any) -> Any:
        if v <= -three:
            return zero
        return one if v >= three else (two * v + three) * sixth

    return hardswish


def _softplus(real: Any, alpha: Any) -> Any:
    return _rising(real)


def _rising(real: Any) -> Any:
    return activation("sigmoid", 0.0, real.__name__)


def _limited(real: Any, slope: Any) -> Any:
    """slope, but 0 at -inf and 1 at +inf."""
    slope, zero, one, most = device(slope), real(0), real(1), real(np.inf)

    def limited(v: Any) -> Any:
        if v == most:
            return one
        return zero if v == -most else slope(v)

    return limited


def _silu(real: Any, alpha: Any) -> Any:
    sigmoid = _rising(real)

    def silu(v: Any) -> Any:
        return sigmoid(v) + v * (sigmoid(v) * sigmoid(-v))

    return _limited(real, silu)


def _gelu(real: Any, alpha: Any) -> Any:
    half, root, density = real(0.5), real(math.sqrt(0.5)), real(1 / math.sqrt(2 * math.pi))

    def gelu(v: Any) -> Any:
        return half * math.erfc(-v * root) + v * (density * math.exp(-half * v * v))

    return _limited(real, gelu)


def _gelu_tanh(real: Any, alpha: Any) -> Any:
    sigmoid, rate = _rising(real), real(2 * math.sqrt(2 / math.pi))
    one, cubic, steep = real(1), real(0.044715), real(3 * 0.044715)

    def gelu_tanh(v: Any) -> Any:
        square = v * v
        z = rate * (v + cubic * square * v)
        slope = sigmoid(z) * sigmoid(-z)
        # far out the slope is 0, and its factor may be infinite
        rest = v * (slope * rate * (one + steep * square)) if slope > real(0) else real(0)
        return sigmoid(z) + rest

    return _limited(real, gelu_tanh)


def _mish(real: Any, alpha: Any) -> Any:
    """sech(softplus(v))**2 = 4 / (w + 1/w)**2, w = 1 + e^v; with e = e^-|v| nothing overflows."""
    sigmoid, value, zero, one, four = _rising(real), activation("mish", 0.0, real.__name__), real(0), real(1), real(4)

    def mish(v: Any) -> Any:
        small = math.exp(-abs(v))
        if v < zero:
            power = one + small
            sech2 = four / ((power + one / power) * (power + one / power))
        else:
            power = one + small  # e^-v * (1 + e^v)
            ratio = small / (power + small * small / power)
            sech2 = four * ratio * ratio
        gate = value(v) / v if v != zero else real(0.6)
        return gate + v * (sech2 * sigmoid(v))

    return _limited(real, mish)


_MAKERS: Final = {
    "relu": lambda real, alpha: _leaky_relu(real, real(0)),
    "relu6": _between(0, 6, 1), "leaky_relu": _leaky_relu, "sigmoid": _sigmoid,
    "tanh": _tanh, "elu": _elu, "selu": _selu, "hardsigmoid": _between(0, 1, 1 / 6), "hardswish": _hardswish,
    "softplus": _softplus, "silu": _silu, "gelu": _gelu, "gelu_tanh": _gelu_tanh, "mish": _mish,
}  # fmt: skip
