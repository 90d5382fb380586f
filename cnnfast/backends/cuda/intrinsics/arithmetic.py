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
    assert 0 <= a < 2**32
    assert 0 < b < 2**32
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
    refined = call(builder, "llvm.fma.f32", F32, half, error, guess)
    # of 0 and infinity the step is 0 * infinity, and the guess exact
    return builder.select(builder.fcmp_unordered("uno", refined, refined), guess, refined)


def inverse_root_twin(v: Any) -> Any:
    """1 / sqrt(v) of a positive v, not denormal, within a unit of its last place; of 0 infinity."""
    return type(v)(1 / math.sqrt(v)) if v > 0 else type(v)(np.nan if v != v or v < 0 else np.inf)


inverse_root = instruction(lambda v: v, _inverse_root, inverse_root_twin)


def _extreme(word: str) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = args
        if a.type == F32:
            return assembly(builder, f"{word}.NaN.f32 $0, $1, $2;", F32, "=f,f,f", a, b)
        better = builder.fcmp_ordered(">" if word == "max" else "<", b, a)
        return builder.select(builder.or_(better, builder.fcmp_unordered("uno", b, b)), b, a)

    return emit


def maximum_twin(a: Any, b: Any) -> Any:
    """The larger, or NaN where either is."""
    return b if b > a or b != b else a


def minimum_twin(a: Any, b: Any) -> Any:
    """The smaller, or NaN where either is."""
    return b if b < a or b != b else a


maximum = instruction(lambda a, b: a, _extreme("max"), maximum_twin)
minimum = instruction(lambda a, b: a, _extreme("min"), minimum_twin)


def _chosen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.select(args[0], args[1], args[2])


def chosen_twin(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b, without a branch: a and b are of one type."""
    return a if condition else b


def _beats(ordered: str) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = args
        first_nan = builder.and_(builder.fcmp_unordered("uno", b, b), builder.fcmp_ordered("ord", a, a))
        return builder.or_(builder.fcmp_ordered(ordered, b, a), first_nan)

    return emit


def larger_twin(a: Any, b: Any) -> Any:
    """Whether b takes a's place as the maximum: NaN wins, the first of equals stays."""
    return b > a or (b != b and a == a)


def smaller_twin(a: Any, b: Any) -> Any:
    """Whether b takes a's place as the minimum."""
    return b < a or (b != b and a == a)


chosen = instruction(lambda condition, a, b: a, _chosen, chosen_twin)
larger = instruction(lambda a, b: types.boolean, _beats(">"), larger_twin)
smaller = instruction(lambda a, b: types.boolean, _beats("<"), smaller_twin)
