"""What a case's output must be: the oracle's values, and how far from them rounding may lead.

Letters: u is half the distance from 1 to the next number, gamma(n) = n*u / (1 - n*u) bounds the relative error of n
roundings one after the other (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends import reference
from cnnfast.verification.case import Array, Case

# Largest |slope| of each activation: errors of its argument grow by no more.
_LIPSCHITZ = {
    "relu": 1.0, "relu6": 1.0, "sigmoid": 0.25, "tanh": 1.0, "gelu": 1.13, "silu": 1.1, "hardswish": 1.5,
    "selu": 1.76, "hardsigmoid": 0.17, "gelu_tanh": 1.13, "mish": 1.09,
}  # fmt: skip
_EXACT_ACTIVATIONS = (None, "relu", "relu6")


@dataclass(frozen=True)
class Expected:
    """`value` is the oracle's, float64 or int64; `bound` is of |y - value|, None where y must be the value's bits.

    `loose` is what an ISA without FMA may err more: its products are rounded too.
    """

    value: Array
    bound: Array | None
    loose: Array | float = 0.0
    indices: Array | None = None


@dataclass(frozen=True)
class Precision:
    u: float
    least: float  # the error of a result in the denormals
    factor: float  # the float64 oracle errs as much as the float64 kernel does

    def gamma(self, n: float) -> float:
        return n * self.u / (1 - n * self.u)


PRECISIONS = {"float32": Precision(2.0**-24, 2.0**-150, 1.0), "float64": Precision(2.0**-53, 2.0**-1074, 2.0)}


def expected(case: Case) -> Expected:
    """The oracle's answer to a case and the bound of a kernel's error."""
    if case.op == "separable_conv2d":
        return _separable(case)
    if case.op == "inverted_residual2d":
        return _inverted_residual(case)
    if case.op == "conv2d_max_pool2d":
        return _conv_pool(case)
    if "weight" in case.inputs:
        return _convolution(case)
    if case.op in ("avg_pool2d", "avg_pool1d", "global_avg_pool2d", "adaptive_avg_pool2d"):
        return _average(case)
    if case.op == "lp_pool2d":
        return _lp(case)
    result = oracle(case.op, case.inputs, case.lowered)  # a pixel is taken as it is
    value, indices = result if isinstance(result, tuple) else (result, None)
    return Expected(value, None, indices=indices)


def oracle(op: str, inputs: dict[str, Array | None], lowered: dict[str, Any]) -> Any:
    with np.errstate(all="ignore"):
        return getattr(reference, op)(**inputs, **lowered)


def absolute(inputs: dict[str, Array | None]) -> dict[str, Array | None]:
    """Their sizes, infinities among them as zeros: where one takes part there is no bound to work out."""
    return {
        name: None if each is None else np.where(np.isfinite(each), np.abs(each), 0).astype(np.float64)
        for name, each in inputs.items()
    }


def _convolution(case: Case) -> Expected:
    """A chain of K products from the bias on: |y - value| <= gamma(K+1)*S, S = sum |x||w| + |b| + |residual|, and
    (K+1)*2^-150 for denormals; on random data an error above 8*sqrt(K+1)*u*S is an alarm."""
    linear = case.lowered | {"activation": (None, 0.0)}
    z = oracle(case.op, case.inputs, linear)
    value = reference.activate(z, case.lowered["activation"])
    if is_exact(case):
        return Expected(value, None)
    precision = PRECISIONS[case.dtype.name]
    if case.kind == "exact":
        return Expected(value, *activated(case, z, value, 0.0, 0.0))
    size = oracle(case.op, absolute(case.inputs), linear)
    weight = case.inputs["weight"]
    assert weight is not None
    K = _depth(case.op, weight)
    return Expected(value, *activated(case, z, value, *chain(precision, K, size, case.kind)))


def is_exact(case: Case) -> bool:
    """Whether neither the sums nor the activation round."""
    name, alpha = case.lowered["activation"]
    return case.kind == "exact" and (name in _EXACT_ACTIVATIONS or (name == "leaky_relu" and alpha in (0.5, 0.25)))


def _depth(op: str, weight: Array) -> int:
    """How many products an output sums."""
    *taps, inner, outer = (int(size) for size in weight.shape)
    products = int(np.prod(taps)) * {"depthwise_conv2d": 1, "conv_transpose2d": outer}.get(op, inner)
    return products + taps[0] if op == "conv3d" else products  # conv3d: each next chain starts at the last one's end


def chain(precision: Precision, K: int, size: Array, kind: str) -> tuple[Array, Array]:
    """(bound, what a chain without FMA may err more)."""
    bound = precision.gamma(K + 1) * size + (K + 1) * precision.least
    if kind == "random":
        bound = np.minimum(bound, 8 * np.sqrt(K + 1) * precision.u * size)
    return bound, (precision.gamma(K + 2) - precision.gamma(K + 1)) * size


def activated(case: Case, z: Array, value: Array, error: Array | float, loose: Array | float) -> tuple[Array, Array]:
    """The bound and its loose part after the activation, which itself is within 4 ulp."""
    name, alpha = case.lowered["activation"]
    precision = PRECISIONS[case.dtype.name]
    slope = max(1.0, abs(alpha)) if name == "leaky_relu" else _LIPSCHITZ.get(name, 1.0)
    known = np.isfinite(z)  # an infinite argument has no error: the activation's limit is due
    bound = np.where(known, slope * error, 0.0) + activation_error(case, name, z, value)
    return precision.factor * bound, precision.factor * np.where(known, slope * loose, 0.0)


def activation_error(case: Case, name: str | None, z: Array, value: Array) -> Array | float:
    if name in _EXACT_ACTIVATIONS:
        return 0.0
    with np.errstate(all="ignore"):
        error = 4 * np.where(np.isfinite(value), np.spacing(np.abs(value).astype(case.dtype)), 0).astype(np.float64)
        if name == "gelu":
            # The oracle's own: erfc's argument z/sqrt(2) has two roundings, which its tail multiplies by z^2.
            error += np.where(np.isfinite(z), 2 * 2.0**-53 * z * z * np.abs(value), 0)
        if name == "gelu_tanh":  # csrc/simd/activation.h: 2|t| ulp more, t what the logistic function is taken of
            t = np.where(np.isfinite(z), np.minimum(1.6 * np.abs(z) + 0.0714 * np.abs(z) ** 3, 2000), 0)
            error += 4 * t * PRECISIONS[case.dtype.name].u * np.where(np.isfinite(value), np.abs(value), 0)
        if name in ("gelu", "silu", "gelu_tanh", "mish"):  # the oracle's factor of z may be a denormal
            error += np.where(np.isfinite(z), np.abs(z) * 2.0**-1074, 0)
    return error


class _Stage(NamedTuple):
    """One convolution of several: the op, its weight, bias, residual and attributes."""

    op: str
    weight: Array | None
    bias: Array | None
    residual: Array | None
    lowered: dict[str, Any]


def _staged(case: Case, stages: Sequence[_Stage]) -> Expected:
    """Chains one after another: each takes over the error of the one before through its weights."""
    precision, exact = PRECISIONS[case.dtype.name], case.kind == "exact"
    known = Expected(case.x, np.zeros(case.x.shape))
    for stage in stages:
        given = {"x": known.value, "weight": stage.weight, "bias": stage.bias, "residual": stage.residual}
        linear = stage.lowered | {"activation": (None, 0.0)}
        z = oracle(stage.op, given, linear)
        value = reference.activate(z, stage.lowered["activation"])
        bound: Array | float = 0.0
        loose: Array | float = 0.0
        if not exact:
            assert known.bound is not None
            assert stage.weight is not None
            error, more = known.bound, known.loose + np.zeros_like(known.bound)
            sizes = absolute(given)
            x = np.where(np.isfinite(known.value), np.abs(known.value) + error + more, 0)
            size = oracle(stage.op, sizes | {"x": x}, linear)
            bound, loose = chain(precision, _depth(stage.op, stage.weight), size, "special")
            alone = sizes | {"bias": None, "residual": None}
            bound = bound + oracle(stage.op, alone | {"x": error}, linear)
            loose = loose + oracle(stage.op, alone | {"x": more}, linear)
        ended = replace(case, lowered=case.lowered | {"activation": stage.lowered["activation"]})
        known = Expected(value, *activated(ended, z, value, bound, loose))
    return Expected(known.value, None) if is_exact(case) else known


def _separable(case: Case) -> Expected:
    return _staged(case, _separable_stages(case, "pointwise_weight"))


def _inverted_residual(case: Case) -> Expected:
    inputs = case.inputs
    expand = _Stage("conv2d", inputs["expand_weight"], inputs["expand_bias"], None,
                    {"activation": case.lowered["expand_activation"]})  # fmt: skip
    return _staged(case, [expand, *_separable_stages(case, "project_weight")])


def _separable_stages(case: Case, pointwise: str) -> list[_Stage]:
    inputs = case.inputs
    place = {name: case.lowered[name] for name in ("stride", "padding", "dilation", "padding_mode")}
    return [
        _Stage("depthwise_conv2d", inputs["depthwise_weight"], inputs["depthwise_bias"], None,
               place | {"activation": case.lowered["depthwise_activation"]}),
        _Stage("conv2d", inputs[pointwise], inputs["bias"], inputs["residual"],
               {"activation": case.lowered["activation"]}),
    ]  # fmt: skip


def _conv_pool(case: Case) -> Expected:
    """A maximum errs by no more than the worst of its window."""
    pool = {name: value for name, value in case.lowered.items() if name.startswith("pool_")}
    rest = {name: value for name, value in case.lowered.items() if name not in pool}
    conv = _convolution(replace(case, op="conv2d", inputs=case.inputs | {"residual": None}, lowered=rest))

    def pooled(y: Any) -> Array:
        window = {name.removeprefix("pool_"): value for name, value in pool.items()}
        return np.asarray(reference.max_pool2d(y, kernel_size=window.pop("size"), **window))

    value = oracle(case.op, case.inputs, case.lowered)
    if conv.bound is None:
        return Expected(value, None)
    bound = np.broadcast_to(conv.bound, conv.value.shape)
    return Expected(value, pooled(bound), pooled(np.zeros_like(bound) + conv.loose))


def _average(case: Case) -> Expected:
    """n pixels summed in any order, n-1 roundings, and a division: gamma(n) * sum |x| / divisor. Where the integers'
    sums are exact, the division alone rounds, and float64 rounded to float32 is that (Figueroa 1995)."""
    value = oracle(case.op, case.inputs, case.lowered)
    if case.kind == "exact":
        return Expected(value, None)
    precision = PRECISIONS[case.dtype.name]
    mean = oracle(case.op, absolute(case.inputs), case.lowered)
    bound = precision.gamma(_largest_window(case)) * mean + precision.least
    return Expected(value, precision.factor * bound)


def _largest_window(case: Case) -> int:
    H, W = case.x.shape[1:3]
    if "kernel_size" in case.lowered:
        return int(np.prod(case.lowered["kernel_size"]))
    P, Q = case.lowered.get("output_size", (1, 1))
    return int(-(H // -P) + 1) * int(-(W // -Q) + 1)


def _lp(case: Case) -> Expected:
    """Summed in double: n-1 roundings, each power within 4 ulp, and the root divides the sum's relative error by p.
    Powers that underflow err by 2^-1074 absolutely. Float32 rounds the result once more."""
    value = oracle(case.op, case.inputs, case.lowered)
    p, n = case.lowered["norm_type"], _largest_window(case)
    double, precision = PRECISIONS["float64"], PRECISIONS[case.dtype.name]
    relative = (double.gamma(n) + 8 * double.u) / p + 8 * double.u
    bound = 2 * relative * np.where(np.isfinite(value), value, 0)
    if p >= 1:
        bound += (4 * n * 2.0**-1074) ** (1 / p)
    if case.dtype == np.float32:
        bound += precision.u * np.where(np.isfinite(value), value, 0) + precision.least
    return Expected(value, bound)
