"""The activations as device functions, of float32 or float64: what an epilogue ends with.

Each is written so that nothing overflows on the way, and gives the limit at an infinity and NaN for NaN, as the oracle
does.
"""

import math
from functools import cache
from typing import Any, Final

import numpy as np

from .toolchain import device

SELU_SCALE: Final = 1.0507009873554804934193349852946
SELU_ALPHA: Final = 1.6732632423543772848170429916717


@cache
def activation(name: str | None, alpha: float, computed: str = "float32") -> Any:
    """The device function of `activation` = (name or None, alpha), of values computed in `computed`."""
    real = np.float32 if computed == "float32" else np.float64
    return device(_MAKERS[name](real, real(alpha)))


def _none(real: Any, alpha: Any) -> Any:
    def none(v: Any) -> Any:
        return v

    return none


def _relu(real: Any, alpha: Any) -> Any:
    zero = real(0)

    def relu(v: Any) -> Any:
        return zero if v < zero else v

    return relu


def _relu6(real: Any, alpha: Any) -> Any:
    zero, six = real(0), real(6)

    def relu6(v: Any) -> Any:
        if v < zero:
            return zero
        return six if v > six else v

    return relu6


def _leaky_relu(real: Any, alpha: Any) -> Any:
    zero = real(0)

    def leaky_relu(v: Any) -> Any:
        return v * alpha if v < zero else v

    return leaky_relu


def _sigmoid(real: Any, alpha: Any) -> Any:
    zero, one = real(0), real(1)

    def sigmoid(v: Any) -> Any:
        small = math.exp(-abs(v))
        return (small if v < zero else one) / (one + small)

    return sigmoid


def _tanh(real: Any, alpha: Any) -> Any:
    def tanh(v: Any) -> Any:
        return math.tanh(v)

    return tanh


def _gated(real: Any, gate: Any) -> Any:
    """v * gate(v), and at -inf its limit."""
    gate, lowest, nothing = device(gate), real(-np.inf), real(-0.0)

    def gated(v: Any) -> Any:
        return nothing if v == lowest else v * gate(v)

    return gated


def _gelu(real: Any, alpha: Any) -> Any:
    half, root = real(0.5), real(-math.sqrt(0.5))

    def phi(v: Any) -> Any:
        return half * math.erfc(v * root)

    return _gated(real, phi)


def _gelu_tanh(real: Any, alpha: Any) -> Any:
    zero, one, cubic, scale = real(0), real(1), real(0.044715), real(2 * math.sqrt(2 / math.pi))

    def gate(v: Any) -> Any:
        u = scale * (v + cubic * v * v * v)
        small = math.exp(-abs(u))
        return (small if u < zero else one) / (one + small)

    return _gated(real, gate)


def _silu(real: Any, alpha: Any) -> Any:
    return _gated(real, _sigmoid(real, alpha))


def _hardsigmoid(real: Any, alpha: Any) -> Any:
    zero, one, three, sixth = real(0), real(1), real(3), real(1 / 6)

    def hardsigmoid(v: Any) -> Any:
        if v <= -three:
            return zero
        return one if v >= three else (v + three) * sixth

    return hardsigmoid


def _hardswish(real: Any, alpha: Any) -> Any:
    return _gated(real, _hardsigmoid(real, alpha))


def _elu(real: Any, alpha: Any) -> Any:
    zero = real(0)

    def elu(v: Any) -> Any:
        return alpha * math.expm1(v) if v < zero else v

    return elu


def _selu(real: Any, alpha: Any) -> Any:
    zero, scale, steep = real(0), real(SELU_SCALE), real(SELU_SCALE * SELU_ALPHA)

    def selu(v: Any) -> Any:
        return steep * math.expm1(v) if v < zero else scale * v

    return selu


def _mish(real: Any, alpha: Any) -> Any:
    zero, one, two = real(0), real(1), real(2)

    def gate(v: Any) -> Any:
        """tanh(log(1 + e^v)): with n = e^v * (e^v + 2), n / (n + 2)."""
        small = math.exp(-abs(v))
        if v < zero:
            n = small * (small + two)
            return n / (n + two)
        n = one + two * small
        return n / (n + two * small * small)

    return _gated(real, gate)


def _softplus(real: Any, alpha: Any) -> Any:
    zero = real(0)

    def softplus(v: Any) -> Any:
        return math.log1p(math.exp(-abs(v))) + (zero if v < zero else v)

    return softplus


_MAKERS: Final = {
    None: _none, "relu": _relu, "relu6": _relu6, "leaky_relu": _leaky_relu, "sigmoid": _sigmoid, "tanh": _tanh,
    "gelu": _gelu, "gelu_tanh": _gelu_tanh, "silu": _silu, "hardswish": _hardswish, "elu": _elu, "selu": _selu,
    "hardsigmoid": _hardsigmoid, "mish": _mish, "softplus": _softplus,
}  # fmt: skip
