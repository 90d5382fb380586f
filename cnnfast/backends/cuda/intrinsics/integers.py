"""Divisions of numbers of 32 bits that are not negative: Numba's own take 64 bits, and several times as long."""

from typing import Any

import numpy as np
from llvmlite import ir

from cnnfast.backends.cuda.toolchain import types

from .build import I32, I64, instruction


def _narrow(context: Any, builder: Any, signature: Any, args: Any) -> list[Any]:
    return [context.cast(builder, arg, kind, types.int32) for arg, kind in zip(args, signature.args, strict=True)]


def _division(name: str) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, name)(*_narrow(context, builder, signature, args))

    return emit


def _over(a: Any, b: Any) -> Any:
    return np.int32(a // b)


def _modulo(a: Any, b: Any) -> Any:
    return np.int32(a % b)


over = instruction(lambda a, b: types.int32, _division("udiv"), _over)
"""a // b."""
modulo = instruction(lambda a, b: types.int32, _division("urem"), _modulo)
"""a % b."""


def divisor(d: int) -> tuple[int, int]:
    """(factor, shift) by which `quotient` divides by d (Granlund and Montgomery 1994)."""
    shift = (d - 1).bit_length()
    return -(-(1 << (31 + shift)) // d), shift


def _multiplied(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    n, factor, shift = _narrow(context, builder, signature, args)
    twice = builder.shl(n, ir.Constant(I32, 1))
    product = builder.mul(builder.zext(twice, I64), builder.zext(factor, I64))
    return builder.lshr(builder.trunc(builder.lshr(product, ir.Constant(I64, 32)), I32), shift)


def _quotient(n: Any, factor: Any, shift: Any) -> Any:
    return np.int32((2 * int(n) * int(factor) >> 32) >> int(shift))


quotient = instruction(lambda n, factor, shift: types.int32, _multiplied, _quotient)
"""n // d for 0 <= n < 2**31 and `divisor(d)`: a multiplication and two shifts."""
