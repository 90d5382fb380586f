"""Tensor cores, a warp at a time: ldmatrix and mma.sync (sm_80 on), over a warp's whole tile.

Words are 32 bits: two halves or one float. Where a lane's fragments lie, with g = lane // 4 and t = lane % 4 (PTX ISA,
"Matrix fragments for mma.m16n8k16"; m16n8k8 of tf32 is the same in words):
    A, 16 rows of 8 words: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)
    B, 8 columns of 8 words: (t of column g), (t + 4 of column g)
    C, 16 x 8 floats: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
"""

from typing import Any, Final

import numpy as np
from llvmlite import ir

from cnnfast.backends.cuda.toolchain import types

from .build import F32, I32, assembly, instruction, shared_address, unpacked
from .exchange import warp

Places = tuple[tuple[int, int], ...]
"""(flip, step): for each access beside index the one at (index ^ flip) + step; so swizzled addresses cost an xor at
most, and plain ones nothing."""

SHAPES: Final = {
    "float16": "m16n8k16.row.col.f32.f16.f16.f32",
    "bfloat16": "m16n8k16.row.col.f32.bf16.bf16.f32",
    "float32": "m16n8k8.row.col.f32.tf32.tf32.f32",
}


def moved(builder: Any, index: Any, place: tuple[int, int]) -> Any:
    """(index ^ flip) + step, of i32."""
    flipped = builder.xor(index, ir.Constant(I32, place[0])) if place[0] else index
    return builder.add(flipped, ir.Constant(I32, place[1])) if place[1] else flipped


def load_matrices(places: Places, transposed: bool = False) -> Any:
    """load(shared, index): for each place four 8x8 matrices of halves, or 8x4 of words.

    Lane l gives the row l % 8 of matrix l // 8: four words from shared[index] on. Word t of row g comes to the lane
    (g, t); transposed, the halves (2t, g) and (2t + 1, g).
    """
    kind = ".trans" if transposed else ""
    text = f"ldmatrix.sync.aligned.m8n8.x4{kind}.shared.b16 {{$0,$1,$2,$3}}, [$4];"

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = context.cast(builder, args[1], signature.args[1], types.int32)
        parts = []
        for place in places:
            at = moved(builder, index, place)
            source = shared_address(context, builder, signature.args[0], args[0], at, types.int32)
            four = ir.LiteralStructType([I32] * 4)
            found = assembly(builder, text, four, "=r,=r,=r,=r,r,~{memory}", source, volatile=True)
            parts += [builder.extract_value(found, i) for i in range(4)]
        return context.make_tuple(builder, signature.return_type, parts)

    def load(shared: Any, index: Any) -> Any:
        indices, lane = warp(index)
        g, t = lane // 4, lane % 4
        found = []
        for flip, step in places:
            for matrix in range(4):
                rows = [(row ^ flip) + step for row in indices[8 * matrix : 8 * matrix + 8]]
                assert all(row % 4 == 0 for row in rows)
                if transposed:
                    low, high = (int(shared[row + g // 2]) >> g % 2 * 16 & 0xFFFF for row in rows[2 * t : 2 * t + 2])
                    found.append(np.uint32(low | high << 16))
                else:
                    found.append(shared[rows[g] + t])
        return tuple(found)

    return instruction(lambda shared, index: types.UniTuple(types.uint32, 4 * len(places)), emit, load)


def values(words: Any, dtype: str) -> Any:
    """What the tensor cores see in words: float64 of halves, or of floats cut to tf32."""
    words = np.ascontiguousarray(words, np.uint32)
    if dtype == "float16":
        return words.view(np.float16).astype(np.float64)
    if dtype == "bfloat16":
        return (words.view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return (words & 0xFFFFE000).view(np.float32).astype(np.float64)


def multiply(dtype: str, rows: int, columns: int) -> Any:
    """mma(c, a, b): c + a b of a warp, rows x columns tiles of 16 x 8; c by tiles in row order, four floats each.

    Its last axis is 8 words. All are fragments as the module describes them: of a 4 words a row tile, of b 2 a column
    tile.
    """
    text = f"mma.sync.aligned.{SHAPES[dtype]} {{$0,$1,$2,$3}}, {{$4,$5,$6,$7}}, {{$8,$9}}, {{$10,$11,$12,$13}};"

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        c, a, b = (unpacked(builder, args[i], signature.args[i]) for i in range(3))
        four = ir.LiteralStructType([F32] * 4)
        constraints = "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f"
        for i in range(rows):
            for j in range(columns):
                at = 4 * (i * columns + j)
                given = *a[4 * i : 4 * i + 4], *b[2 * j : 2 * j + 2], *c[at : at + 4]
                found = assembly(builder, text, four, constraints, *given, volatile=True)
                c[at : at + 4] = [builder.extract_value(found, part) for part in range(4)]
        return context.make_tuple(builder, signature.return_type, c)

    def mma(c: Any, a: Any, b: Any) -> Any:
        held, lane = warp((a, b))
        g, t = lane // 4, lane % 4
        # rows g and g + 8 of each tile, columns 2t and 2t + 1 of each: all that this lane's part of c needs
        left = [[held[4 * g + u][0][4 * i + half + 2 * side] for side in (0, 1) for u in range(4)]
                for i in range(rows) for half in (0, 1)]  # fmt: skip
        right = [[held[4 * (2 * t + odd) + u][1][2 * j + side] for side in (0, 1) for u in range(4)]
                 for j in range(columns) for odd in (0, 1)]  # fmt: skip
        product = values(left, dtype) @ values(right, dtype).T
        found = product.reshape(rows, 2, columns, 2).transpose(0, 2, 1, 3).reshape(-1)
        return tuple((np.array(c, np.float64) + found).astype(np.float32))

    return instruction(lambda c, a, b: types.UniTuple(types.float32, 4 * rows * columns), emit, mma)


def _round(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    parts = [
        assembly(builder, "cvt.rna.tf32.f32 $0, $1;", I32, "=r,f", builder.bitcast(part, F32))
        for part in unpacked(builder, args[0], signature.args[0])
    ]
    return context.make_tuple(builder, signature.return_type, parts)


def round_tf32(words: Any) -> Any:
    """Floats, as words, to the nearest tf32, ties away from zero: the tensor cores by themselves cut."""
    finite = [int(word) & 0x7F800000 != 0x7F800000 for word in words]
    return tuple(
        np.uint32(int(word) + 0x1000 & 0xFFFFE000) if is_finite else word
        for word, is_finite in zip(words, finite, strict=True)
    )


def store_pairs(places: Places) -> Any:
    """store(shared, index, values): a pair of floats to each place."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> None:
        index = context.cast(builder, args[1], signature.args[1], types.int32)
        parts = unpacked(builder, args[2], signature.args[2])
        for i, place in enumerate(places):
            at = moved(builder, index, place)
            to = shared_address(context, builder, signature.args[0], args[0], at, types.int32)
            given = to, parts[2 * i], parts[2 * i + 1]
            text = "st.shared.v2.f32 [$0], {$1, $2};"
            assembly(builder, text, ir.VoidType(), "r,f,f,~{memory}", *given, volatile=True)

    def store(shared: Any, index: Any, values: Any) -> None:
        for i, (flip, step) in enumerate(places):
            at = (index ^ flip) + step
            shared[at : at + 2] = values[2 * i : 2 * i + 2]

    return instruction(lambda shared, index, values: types.void, emit, store)


round_tf32 = instruction(lambda words: words, _round, round_tf32)
