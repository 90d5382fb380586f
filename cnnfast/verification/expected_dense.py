"""What the ops without a window must give, as `expected.py` does for those with one, and the two that differ there."""

from collections.abc import Callable

import numpy as np

from cnnfast.backends import reference
from cnnfast.verification import expected
from cnnfast.verification.case import Array, Case
from cnnfast.verification.expected import (
    PRECISIONS,
    Expected,
    Precision,
    absolute,
    activated,
    activation_error,
    chain,
    is_exact,
    oracle,
)  # fmt: skip

_LINEAR = {"activation": (None, 0.0)}
_CHAINS_OF_TERMS = 64
"""softmax sums chains of so many terms, and then the chains."""


def _copied(case: Case) -> Expected:
    """Numbers as they are."""
    return Expected(oracle(case.op, case.inputs, case.lowered), None)


def _concatenated(case: Case) -> Expected:
    parts = [part for part in case.inputs.values() if part is not None]
    return Expected(reference.concatenate(parts, **case.lowered), None)


def _linear(case: Case) -> Expected:
    """One chain, as a convolution's."""
    z = oracle("linear", case.inputs, _LINEAR)
    value = reference.activate(z, case.lowered["activation"])
    if is_exact(case):
        return Expected(value, None)
    if case.kind == "exact":
        return Expected(value, *activated(case, z, value, 0.0, 0.0))
    size = oracle("linear", absolute(case.inputs), _LINEAR)
    return Expected(value, *activated(case, z, value, *chain(_precision(case), case.x.shape[-1], size, case.kind)))


def _combined(case: Case) -> Expected:
    """One rounding, then the activation."""
    z = oracle(case.op, case.inputs, _LINEAR)
    value = reference.activate(z, case.lowered["activation"])
    if case.lowered["activation"] == (None, 0.0):
        return Expected(value, None)
    # Which zero relu makes of -0 is not promised: equal numbers will do where the bound is 0.
    error = 0.0 if case.kind == "exact" else _precision(case).u * _finite(z) + _precision(case).least
    return Expected(value, *activated(case, z, value, error, 0.0))


def _activation(case: Case) -> Expected:
    """Within 4 ulp, and what csrc/simd/activation.h adds: leaky_relu and prelu round a product, relu nothing."""
    value = oracle(case.op, case.inputs, case.lowered)
    precision = _precision(case)
    if case.op in ("relu", "relu6"):
        return Expected(value, np.zeros_like(value))
    if case.op in ("leaky_relu", "prelu"):
        return Expected(value, precision.factor * (2 * precision.u * _finite(value) + precision.least))
    name = "gelu_tanh" if case.lowered.get("approximate") == "tanh" else case.op
    bound = np.asarray(activation_error(case, name, case.x.astype(np.float64), value) + precision.least)
    if case.op == "softplus":  # beta*x is rounded, which the tail multiplies
        w = np.minimum(0, _finite(case.x, signed=True)) * case.lowered.get("beta", 1.0)
        bound = bound + np.abs(w) * precision.u * _finite(value)
    return Expected(value, precision.factor * bound)


def _softmax(case: Case) -> Expected:
    """softmax: 4 ulp and gamma(the terms of a chain, and the chains) of it; its logarithm: the same of 1 + |y|. The
    oracle's own difference x - max is rounded, and the exponential makes that a relative error."""
    value = oracle(case.op, case.inputs, case.lowered)
    precision, double = _precision(case), PRECISIONS["float64"]
    n = case.x.shape[case.lowered["axis"]]
    relative = precision.gamma(min(n, _CHAINS_OF_TERMS + 4) + n / _CHAINS_OF_TERMS + 8)
    size = _finite(value)
    if case.op == "log_softmax":
        return Expected(value, precision.factor * relative * (1 + size))
    with np.errstate(all="ignore"):
        reach = _finite(case.x - case.x.max(axis=case.lowered["axis"], keepdims=True)) if n else case.x
    return Expected(value, precision.factor * (relative * size + 2 * precision.least) + 2 * double.u * reach * size)


def _batch_norm(case: Case) -> Expected:
    """4u*(|(x - mean)*scale| + |bias|), then the activation."""
    lowered = case.lowered | _LINEAR
    z = oracle("batch_norm", case.inputs, lowered)
    value = reference.activate(z, case.lowered["activation"])
    scaled = _finite(oracle("batch_norm", case.inputs | {"bias": None}, lowered))
    bias = absolute(case.inputs)["bias"]
    error = 4 * _precision(case).u * (scaled if bias is None else scaled + bias) + 2 * _precision(case).least
    return Expected(value, *activated(case, z, value, 0.0 if case.kind == "exact" else error, 0.0))


def _local_response_norm(case: Case) -> Expected:
    """(beta*(size + 3) + 3)u of it: csrc/kernels/local_response_norm/window.c."""
    value = oracle(case.op, case.inputs, case.lowered)
    precision = _precision(case)
    window = min(case.lowered["size"], 2 * case.x.shape[-1])
    relative = precision.gamma(case.lowered["beta"] * (window + 3) + 3)
    return Expected(value, precision.factor * (relative * _finite(value) + precision.least))


def _upsampled(case: Case) -> Expected:
    """Two lerps: each weight, product and sum is rounded once. Halves and quarters of small integers are exact."""
    value = oracle(case.op, case.inputs, case.lowered)
    if case.lowered["mode"] == "nearest":
        return Expected(value, None)
    powers = all(scale in (1, 2, 4) for scale in case.lowered["scale_factor"])
    if case.kind == "exact" and powers and not case.lowered["align_corners"]:
        return Expected(value, None)
    precision = _precision(case)
    size = oracle(case.op, absolute(case.inputs), case.lowered)
    return Expected(value, precision.factor * (8 * precision.u * size + 4 * precision.least))


def _average_3d(case: Case) -> Expected:
    """A mean of means: one division more than `expected.py`'s, for the planes and then the depth."""
    value = oracle(case.op, case.inputs, case.lowered)
    precision = _precision(case)
    mean = oracle(case.op, absolute(case.inputs), case.lowered)
    bound = precision.gamma(int(np.prod(case.lowered["kernel_size"])) + 2) * mean + 2 * precision.least
    return Expected(value, precision.factor * bound)


def _precision(case: Case) -> Precision:
    return PRECISIONS[case.dtype.name]


def _finite(values: Array, signed: bool = False) -> Array:
    """Their sizes, or they themselves, in float64; what is not finite as 0, for there is no bound to work out."""
    kept = np.where(np.isfinite(values), values, 0).astype(np.float64)
    return kept if signed else np.abs(kept)


_EXPECTED: dict[str, Callable[[Case], Expected]] = {
    "linear": _linear, "softmax": _softmax, "log_softmax": _softmax, "add": _combined, "multiply": _combined,
    "concatenate": _concatenated, "batch_norm": _batch_norm, "local_response_norm": _local_response_norm,
    "pad2d": _copied, "upsample2d": _upsampled, "avg_pool3d": _average_3d,
    **dict.fromkeys(
        ("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "sigmoid", "hardsigmoid", "tanh", "gelu", "silu",
         "hardswish", "mish", "softplus"), _activation,
    ),
}  # fmt: skip


def expected_of(case: Case) -> Expected:
    """The oracle's answer to a case of any op, and the bound of a kernel's error."""
    return _EXPECTED.get(case.op, expected.expected)(case)
