"""Arithmetic on tuples: values that stand in registers, and loops over them that are gone when the code is made."""

from typing import Any

import numpy as np

from cnnfast.backends.cuda.toolchain import types

from .build import F32, I32, I64, address, instruction, unpacked


def _transpose_type(rows: Any) -> Any:
    return types.UniTuple(types.UniTuple(rows.dtype.dtype, rows.count), rows.dtype.count)


def _transpose(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    (given,), result = signature.args, signature.return_type
    rows = [unpacked(builder, row, given.dtype) for row in unpacked(builder, args[0], given)]
    columns = [context.make_tuple(builder, result.dtype, list(column)) for column in zip(*rows, strict=True)]
    return context.make_tuple(builder, result, columns)


def transpose_twin(rows: Any) -> Any:
    """A tuple of rows as one of columns."""
    return tuple(zip(*rows, strict=True))


def _scatter(context: Any, builder: Any, signature: Any, args: Any) -> None:
    at = address(context, builder, signature.args[0], args[0], args[1], signature.args[1])
    step = context.cast(builder, args[2], signature.args[2], types.int64)
    for part in unpacked(builder, args[3], signature.args[3]):
        builder.store(part, at)
        at = builder.gep(at, [step])


def scatter_twin(p: Any, i: Any, step: Any, values: Any) -> None:
    """p[i], p[i + step], ... = the values."""
    for n, value in enumerate(values):
        p[i + n * step] = value


def collect(count: int) -> Any:
    """load(p, i, step): p[i], p[i + step], ..., as many."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = address(context, builder, signature.args[0], args[0], args[1], signature.args[1])
        step = context.cast(builder, args[2], signature.args[2], types.int64)
        parts = []
        for _ in range(count):
            parts.append(builder.load(at))
            at = builder.gep(at, [step])
        return context.make_tuple(builder, signature.return_type, parts)

    def load(p: Any, i: Any, step: Any) -> Any:
        return tuple(p[i + n * step] for n in range(count))

    return instruction(lambda p, i, step: types.UniTuple(p.dtype, count), emit, load)


def _masked(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    p, at, mask = args[0], args[1], args[3]
    offsets, masks = unpacked(builder, args[2], signature.args[2]), unpacked(builder, args[4], signature.args[4])
    parts = []
    for offset, each in zip(offsets, masks, strict=True):
        value = builder.load(builder.gep(p, [builder.sext(builder.add(at, offset), I64)]))
        bits = builder.and_(builder.bitcast(value, I32), builder.and_(mask, each))
        parts.append(builder.bitcast(bits, F32))
    return context.make_tuple(builder, signature.return_type, parts)


def masked_twin(p: Any, at: Any, offsets: Any, mask: Any, masks: Any) -> Any:
    """p[at + each offset], a float32 whose bits stand where both masks' do: a zero costs one instruction, no branch.
    The offsets, at and the masks are int32."""
    return tuple(
        p[at + offset] if mask & each else np.float32(0) for offset, each in zip(offsets, masks, strict=True)
    )  # fmt: skip


transpose = instruction(_transpose_type, _transpose, transpose_twin)
scatter = instruction(lambda p, i, step, values: types.void, _scatter, scatter_twin)
masked = instruction(
    lambda p, at, offsets, mask, masks: types.UniTuple(types.float32, offsets.count), _masked, masked_twin
)
