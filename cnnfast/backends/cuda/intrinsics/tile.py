"""What a tile of a product is made of: predicated loads, stores across, and a slice's multiply-adds in registers."""

from typing import Any

import numpy as np
from llvmlite import ir

from cnnfast.backends.cuda.toolchain import types

from .build import F32, F64, HALF, I16, I32, address, assembly, call, instruction, unpacked
from .memory import brain_to_float, half_to_float

_PTX = {  # LLVM's type, PTX's, the register's letter, a zero
    "float32": (F32, "f32", "f", "0f00000000"),
    "float64": (F64, "f64", "d", "0d0000000000000000"),
    "float16": (I16, "u16", "h", "0"),
    "bfloat16": (I16, "u16", "h", "0"),
}


def gather(name: str, count: int) -> Any:
    """load(p, i, valid): `count` values of a dtype from p[i] on as float32 or float64, zeros where not valid.

    One predicated load of memory that no one writes meanwhile; i is a multiple of count.
    """
    stored, kind, letter, zero = _PTX[name]
    computed = types.float64 if name == "float64" else types.float32
    vector = f".v{count}" if count > 1 else ""
    zeros = " ".join(f"mov.{kind} ${i}, {zero};" for i in range(count))
    results = ", ".join(f"${i}" for i in range(count))
    found = f"{{{results}}}" if count > 1 else results
    read = f"setp.ne.b32 p, ${count + 1}, 0; {zeros} @p ld.global.nc{vector}.{kind} {found}, [${count}];"
    text = f"{{ .reg .pred p; {read} }}"
    constraints = ",".join([f"=&{letter}"] * count + ["l", "r"])

    def widened(builder: Any, value: Any) -> Any:
        if name == "float16":
            return builder.fpext(builder.bitcast(value, HALF), F32)
        if name == "bfloat16":
            return builder.bitcast(builder.shl(builder.zext(value, I32), ir.Constant(I32, 16)), F32)
        return value

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = address(context, builder, signature.args[0], args[0], args[1], signature.args[1])
        where = builder.ptrtoint(at, ir.IntType(64))
        valid = builder.zext(context.cast(builder, args[2], signature.args[2], types.boolean), I32)
        result = ir.LiteralStructType([stored] * count) if count > 1 else stored
        # volatile: it stays before the multiply-adds that hide its way
        found = assembly(builder, text, result, constraints, where, valid, volatile=True)
        parts = [builder.extract_value(found, i) for i in range(count)] if count > 1 else [found]
        return context.make_tuple(builder, signature.return_type, [widened(builder, part) for part in parts])

    twins: Any = {"float16": half_to_float, "bfloat16": brain_to_float}
    widen = twins.get(name, lambda value: value)
    nothing = np.float64(0) if name == "float64" else np.float32(0)

    def load(p: Any, i: Any, valid: Any) -> Any:
        if not valid:
            return (nothing,) * count
        assert int(i) in range(0, len(p) - count + 1, count), f"a load of {count} at {i} of {len(p)}"
        return tuple(widen(value) for value in p[i : i + count])

    return instruction(lambda p, i, valid: types.UniTuple(computed, count), emit, load)


def spread(count: int, step: int) -> Any:
    """store(p, i, values): `count` values to p[i], p[i + step], ..."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> None:
        at = address(context, builder, signature.args[0], args[0], args[1], signature.args[1])
        for i, part in enumerate(unpacked(builder, args[2], signature.args[2])):
            builder.store(part, builder.gep(at, [ir.Constant(I32, i * step)]))

    def store(p: Any, i: Any, values: Any) -> None:
        p[i : i + count * step : step] = values

    return instruction(lambda p, i, values: types.void, emit, store)


class Fragment:
    """A thread's share of an operand's slice in shared memory: `count` groups of `width` neighbours, `apart` elements
    from one group to the next, and `row` elements from one step of the sum to the next."""

    def __init__(self, width: int, count: int, apart: int, row: int) -> None:
        self.width, self.count, self.apart, self.row = width, count, apart, row

    def loads(self, builder: Any, base: Any, step: int) -> list[Any]:
        """The values at a step of the sum, each group by one wide load."""
        found = []
        for group in range(self.count):
            at = builder.gep(base, [ir.Constant(I32, step * self.row + group * self.apart)])
            vector = ir.VectorType(at.type.pointee, self.width)
            value = builder.load(builder.bitcast(at, vector.as_pointer(at.type.addrspace)))
            value.align = 16
            found += [builder.extract_element(value, ir.Constant(I32, i)) for i in range(self.width)]
        return found

    def values(self, p: Any, at: Any, depth: int) -> Any:
        """All steps', (depth, width * count): the twin's."""
        parts = [
            p[at + step * self.row + g * self.apart :][: self.width] for step in range(depth) for g in range(self.count)
        ]
        return np.concatenate(parts).reshape(depth, -1)


def multiply(slow: Fragment, fast: Fragment, depth: int) -> Any:
    """multiply(sums, p, at, q, to): sums[i * fast's + j] += p's i-th * q's j-th value, over `depth` steps.

    p and q are shared memory; the thread's groups begin at p[at] and q[to]. The sums are registers.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        sums = unpacked(builder, args[0], kinds[0])
        at = address(context, builder, kinds[1], args[1], args[2], kinds[2])
        to = address(context, builder, kinds[3], args[3], args[4], kinds[4])
        name = f"llvm.fma.f{kinds[0].dtype.bitwidth}"
        for step in range(depth):
            a, b = slow.loads(builder, at, step), fast.loads(builder, to, step)
            for i, left in enumerate(a):
                for j, right in enumerate(b):
                    n = i * len(b) + j
                    sums[n] = call(builder, name, left.type, left, right, sums[n])
        return context.make_tuple(builder, signature.return_type, sums)

    def multiply(sums: Any, p: Any, at: Any, q: Any, to: Any) -> Any:
        a, b = slow.values(p, at, depth), fast.values(q, to, depth)
        total = np.asarray(sums)
        for left, right in zip(a, b, strict=True):
            total = total + np.outer(left, right).ravel()
        return tuple(total)

    return instruction(lambda sums, p, at, q, to: sums, emit, multiply)


def rotated(by: int) -> Any:
    """rotate(values): the tuple from its `by`-th member on, then those before it. So a loop that is not unrolled may
    take a part at a time of what stands in registers."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = unpacked(builder, args[0], signature.args[0])
        return context.make_tuple(builder, signature.return_type, parts[by:] + parts[:by])

    def rotate(values: Any) -> Any:
        return values[by:] + values[:by]

    return instruction(lambda values: values, emit, rotate)


def dots(n: int, m: int, size: int) -> Any:
    """multiply(sums, a, b): sums[i * n + j] += the product of a's j-th and b's i-th `size` values.

    a and b are tuples of loads, tuples themselves.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums, (a, b) = unpacked(builder, args[0], signature.args[0]), (
            [value for load in unpacked(builder, arg, kind) for value in unpacked(builder, load, kind.dtype)]
            for arg, kind in zip(args[1:], signature.args[1:], strict=True)
        )
        name = f"llvm.fma.f{signature.args[0].dtype.bitwidth}"
        for c in range(size):
            for i in range(m):
                for j in range(n):
                    left, right, at = a[j * size + c], b[i * size + c], i * n + j
                    sums[at] = call(builder, name, left.type, left, right, sums[at])
        return context.make_tuple(builder, signature.return_type, sums)

    def multiply(sums: Any, a: Any, b: Any) -> Any:
        left, right = np.asarray(a).reshape(n, size), np.asarray(b).reshape(m, size)
        return tuple(np.asarray(sums) + (right @ left.T).ravel())

    return instruction(lambda sums, a, b: sums, emit, multiply)
