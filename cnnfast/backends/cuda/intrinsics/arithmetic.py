"""Arithmetic that has an instruction of its own: Python's division would look at signs and zeros first."""

import math
from typing import Any

import numpy as np
from llvmlite import ir

from cnnfast.backends.cuda.toolchain import types

from .build import F32, I64, assembly, call, instruction


def _quotient(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    a, b = (
        context.cast(builder, arg, kind, types.uint32) for arg, kind in zip(args, signature.args, strict=True)
    )  # fmt: skip
    return builder.zext(builder.udiv(a, b), I64)


def quotient_twin(a: Any, b: Any) -> Any:
    """a // b of numbers from 0 to 2^32 - 1, b not 0."""
    assert 0 <= a < 2**32 and 0 < b < 2**32
    return int(a) // int(b)


quotient = instruction(lambda a, b: types.int64, _quotient, quotient_twin)


def _inverse_root(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    (v,) = args
    if v.type != F32:
        return builder.fdiv(ir.Constant(v.type, 1.0), call(builder, "llvm.sqrt.f64", v.type, v))
    guess = assembly(builder, "rsqrt.approx.f32 $0, $1;", F32, "=f,f", v)
    # one of Newton's steps: guess + guess/2 * (1 - v * guess**2)
    negative = builder.fmul(builder.fsub(ir.Constant(F32, -0.0), v), guess)
    error = call(builder, "llvm.fma.f32", F32, negative, guess, ir.Constant(F32, 1.0))
    half = builder.fmul(guess, ir.Constant(F32, 0.5))
    return call(builder, "llvm.fma.f32", F32, half, error, guess)


def inverse_root_twin(v: Any) -> Any:
    """1 / sqrt(v) of a positive v, not denormal, within a unit of its last place."""
    return type(v)(1 / math.sqrt(v)) if v > 0 else type(v)(np.nan if v != v or v < 0 else np.inf)


inverse_root = instruction(lambda v: v, _inverse_root, inverse_root_twin)
