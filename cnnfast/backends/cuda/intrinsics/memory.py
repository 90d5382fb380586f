"""Loads and stores of one element, and of 16 bytes at once."""

from typing import Any

import numpy as np
from llvmlite import ir

from cnnfast.backends.cuda.toolchain import device, types

from .build import F32, HALF, I16, I32, address, assembly, instruction, unpacked

COUNTS = {"float32": 4, "float64": 2, "float16": 8, "bfloat16": 8, "int64": 2}
"""Elements in 16 bytes."""


def _widen_half(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.fpext(builder.bitcast(args[0], HALF), F32)


def _narrow_half(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.bitcast(builder.fptrunc(args[0], HALF), I16)


def _widen_brain(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.bitcast(builder.shl(builder.zext(args[0], I32), ir.Constant(I32, 16)), F32)


def _narrow_brain(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return assembly(builder, "cvt.rn.bf16.f32 $0, $1;", I16, "=h,f", args[0])


def half_to_float(bits: Any) -> Any:
    """The value of a float16."""
    return np.float32(np.uint16(bits).view(np.float16))


def float_to_half(value: Any) -> Any:
    """The float16 nearest to a float32, as bits."""
    return np.float32(value).astype(np.float16).view(np.uint16)


def brain_to_float(bits: Any) -> Any:
    """The value of a bfloat16: a float32's upper half."""
    return np.uint32(int(bits) << 16).view(np.float32)


def float_to_brain(value: Any) -> Any:
    """The bfloat16 nearest to a float32, ties to even, as bits."""
    bits = int(np.float32(value).view(np.uint32))
    if (bits & 0x7FFFFFFF) > 0x7F800000:
        return np.uint16(0x7FFF)
    return np.uint16(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) & 0xFFFF)


widen_half = instruction(lambda bits: types.float32, _widen_half, half_to_float)
narrow_half = instruction(lambda value: types.uint16, _narrow_half, float_to_half)
widen_brain = instruction(lambda bits: types.float32, _widen_brain, brain_to_float)
narrow_brain = instruction(lambda value: types.uint16, _narrow_brain, float_to_brain)

CONVERSIONS = {"float16": (widen_half, narrow_half), "bfloat16": (widen_brain, narrow_brain)}


def _words(element: Any, bits: int, count: int) -> Any:
    """The vector that an access moves: halves by twos, since PTX has no vector of eight."""
    return ir.VectorType(I32, count // 2) if bits == 16 and count > 1 else ir.VectorType(element, count)


def load_vector(count: int) -> Any:
    """load(p, i): the `count` elements from p[i] on, which lie at a multiple of their bytes together, as a tuple."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = address(context, builder, signature.args[0], args[0], args[1], signature.args[1])
        bits = signature.return_type.dtype.bitwidth
        vector = _words(at.type.pointee, bits, count)
        value = builder.load(builder.bitcast(at, vector.as_pointer(at.type.addrspace)))
        value.align = count * bits // 8
        parts = [builder.extract_element(value, ir.Constant(I32, i)) for i in range(vector.count)]
        if vector.count < count:
            parts = [
                builder.trunc(builder.lshr(word, ir.Constant(I32, shift)), I16) for word in parts for shift in (0, 16)
            ]
        return context.make_tuple(builder, signature.return_type, parts)

    def load(p: Any, i: Any) -> Any:
        assert int(i) in range(0, len(p) - count + 1, count), f"a load of {count} at {i} of {len(p)}"
        return tuple(p[i : i + count])

    return instruction(lambda p, i: types.UniTuple(p.dtype, count), emit, load)


def store_vector(count: int) -> Any:
    """store(p, i, values): `count` elements to p[i] and after, as `load_vector` reads them."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> None:
        at = address(context, builder, signature.args[0], args[0], args[1], signature.args[1])
        bits = signature.args[2].dtype.bitwidth
        vector = _words(at.type.pointee, bits, count)
        value = ir.Constant(vector, ir.Undefined)
        parts = unpacked(builder, args[2], signature.args[2])
        if vector.count < count:
            words = [builder.zext(part, I32) for part in parts]
            pairs = zip(words[::2], words[1::2], strict=True)
            parts = [builder.or_(low, builder.shl(high, ir.Constant(I32, 16))) for low, high in pairs]
        for i, part in enumerate(parts):
            value = builder.insert_element(value, part, ir.Constant(I32, i))
        done = builder.store(value, builder.bitcast(at, vector.as_pointer(at.type.addrspace)))
        done.align = count * bits // 8

    def store(p: Any, i: Any, values: Any) -> None:
        assert int(i) in range(0, len(p) - count + 1, count), f"a store of {count} at {i} of {len(p)}"
        p[i : i + count] = values

    return instruction(lambda p, i, values: types.void, emit, store)


def accesses(name: str) -> tuple[Any, Any, Any, Any]:
    """load, store, load_wide and store_wide of a dtype, as `Element` has them."""
    count = COUNTS[name]
    load_wide, store_wide = load_vector(count), store_vector(count)
    if name not in CONVERSIONS:

        def load(p: Any, i: Any) -> Any:
            return p[i]

        def store(p: Any, i: Any, value: Any) -> None:
            p[i] = value

        return device(load), device(store), load_wide, store_wide
    widen, narrow = CONVERSIONS[name]

    def load_half(p: Any, i: Any) -> Any:
        return widen(p[i])

    def store_half(p: Any, i: Any, value: Any) -> None:
        p[i] = narrow(value)

    def load_halves(p: Any, i: Any) -> Any:
        a, b, c, d, e, f, g, h = load_wide(p, i)
        return widen(a), widen(b), widen(c), widen(d), widen(e), widen(f), widen(g), widen(h)

    def store_halves(p: Any, i: Any, values: Any) -> None:
        a, b, c, d, e, f, g, h = values
        store_wide(
            p, i,
            (narrow(a), narrow(b), narrow(c), narrow(d), narrow(e), narrow(f), narrow(g), narrow(h)),
        )  # fmt: skip

    return device(load_half), device(store_half), device(load_halves), device(store_halves)


