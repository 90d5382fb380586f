"""Arithmetic of indices, which Python's own division would burden with signs and zeros."""

from typing import Any

from cnnfast.backends.cuda.toolchain import types

from .build import I64, instruction


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
