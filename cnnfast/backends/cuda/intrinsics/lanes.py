"""Arithmetic of lanes: tuples of registers, or single numbers, written out in full."""

from functools import cache
from typing import Any

from llvmlite import ir

from cnnfast.backends.cuda.toolchain import types

from .build import call, instruction, unpacked


def _parts(builder: Any, value: Any, kind: Any) -> list[Any]:
    return unpacked(builder, value, kind) if isinstance(kind, types.UniTuple) else [value]


def _whole(context: Any, builder: Any, kind: Any, parts: list[Any]) -> Any:
    return context.make_tuple(builder, kind, parts) if isinstance(kind, types.UniTuple) else parts[0]


@cache
def multiply_add(lanes: int) -> Any:
    """multiply_add(total, a, b): total + a * b of each lane, rounded once."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.return_type
        total, a, b = (_parts(builder, arg, kind) for arg in args)
        name = "llvm.fma.f32" if a[0].type == ir.FloatType() else "llvm.fma.f64"
        sums = [call(builder, name, a[0].type, x, y, z) for x, y, z in zip(a, b, total, strict=True)]
        return _whole(context, builder, kind, sums)

    def multiply_add_twin(total: Any, a: Any, b: Any) -> Any:
        if lanes == 1:
            return total + a * b
        return tuple(z + x * y for z, x, y in zip(total, a, b, strict=True))

    return instruction(lambda total, a, b: total, emit, multiply_add_twin)


@cache
def kept(lanes: int) -> Any:
    """kept(condition, v): v, or zeros where the condition does not hold."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.return_type
        parts = _parts(builder, args[1], kind)
        return _whole(context, builder, kind, [builder.select(args[0], v, ir.Constant(v.type, 0.0)) for v in parts])

    def kept_twin(condition: Any, v: Any) -> Any:
        if lanes == 1:
            return v if condition else type(v)(0)
        return v if condition else tuple(type(each)(0) for each in v)

    return instruction(lambda condition, v: v, emit, kept_twin)
