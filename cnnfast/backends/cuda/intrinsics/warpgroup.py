"""wgmma (sm_90a): tensor cores, a warpgroup of 128 threads at a time, from shared memory alone.

A's tile is 64 rows, B's `columns` columns; both lie in rows of 128 bytes, whose 16-byte chunks are xored by the row's
last three bits (the 128-byte swizzle). A's rows run along the sum, B's too ("K-major"), or, halves alone, along its
columns, in slabs of 64 ("MN-major"). PTX ISA, "Asynchronous warpgroup-level matrix instructions". The accumulators lie
as mma.sync's: warp w of the group has rows 16 w on, by tiles of 8 columns.
"""

import threading
from typing import Any, Final

import numpy as np
from llvmlite import ir

from cnnfast.backends.cuda.toolchain import types

from .build import F32, I32, I64, assembly, instruction, shared_address, unpacked
from .matrix import values

KINDS: Final = {"float16": ("k16", "f16"), "bfloat16": ("k16", "bf16"), "float32": ("k8", "tf32")}
ROW, ATOM = 128, 1024
"""Bytes of a row, and of the eight after which the swizzle repeats."""
STEPS = 4
"""Instructions over a row along the sum: 32 bytes each."""


def _descriptor(builder: Any, at: Any, leading: int) -> Any:
    """The matrix at a shared address: its 128-byte swizzle, 1024 bytes from eight rows to the next, and `leading` bytes
    from slab to slab. All in units of 16 bytes."""
    first = builder.and_(builder.lshr(at, ir.Constant(I32, 4)), ir.Constant(I32, 0x3FFF))
    fixed = 1 << 62 | ATOM >> 4 << 32 | leading >> 4 << 16
    return builder.or_(builder.zext(first, I64), ir.Constant(I64, fixed))


def multiply_group(dtype: str, columns: int, slab: int = 0) -> Any:
    """wgmma(c, shared, a, b): c + a b, one row of 128 bytes along the sum; under way until waited for, as a group.

    a, b: where the tiles start in shared, in its elements, at multiples of 1024 bytes (a's at the group's 64 rows).
    slab: 0 where B's rows run along the sum; otherwise they run along its columns, and this is the bytes of 64 of them.
    """
    depth, kind = KINDS[dtype]
    count = columns // 2
    registers = ", ".join(f"${i}" for i in range(count))
    turned = "" if dtype == "float32" else f", 0, {int(bool(slab))}"
    name = f"wgmma.mma_async.sync.aligned.m64n{columns}{depth}.f32.{kind}.{kind}"
    lines = [f"{name} {{{registers}}}, ${2 * count + step}, ${2 * count + STEPS + step}, p, 1, 1{turned};"
             for step in range(STEPS)]  # fmt: skip
    begin, end = "{.reg .pred p; setp.ne.u32 p, 1, 0; wgmma.fence.sync.aligned;", "wgmma.commit_group.sync.aligned;}"
    text = " ".join([begin, *lines, end])
    constraints = ",".join(["=f"] * count + [str(i) for i in range(count)] + ["l"] * 2 * STEPS + ["~{memory}"])
    b_step = 16 * ROW if slab else 32

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        c = unpacked(builder, args[0], signature.args[0])
        kind_of = signature.args[1]
        starts = (shared_address(context, builder, kind_of, args[1], args[i], signature.args[i]) for i in (2, 3))
        a, b = (_descriptor(builder, at, leading or 16) for at, leading in zip(starts, (0, slab), strict=True))
        along = [builder.add(a, ir.Constant(I64, 32 * i >> 4)) for i in range(STEPS)]
        along += [builder.add(b, ir.Constant(I64, b_step * i >> 4)) for i in range(STEPS)]
        result = ir.LiteralStructType([F32] * count)
        found = assembly(builder, text, result, constraints, *c, *along, volatile=True)
        return context.make_tuple(
            builder, signature.return_type, [builder.extract_value(found, i) for i in range(count)]
        )

    def wgmma(c: Any, shared: Any, a: Any, b: Any) -> Any:
        thread: Any = threading.current_thread()
        lane, warp = thread.thread_id % 32, thread.thread_id // 32 % 4
        memory = np.asarray(shared).view(np.uint8)
        size = shared.itemsize
        rows = np.array([16 * warp + lane // 4, 16 * warp + lane // 4 + 8])
        own = np.array([8 * j + lane % 4 * 2 + odd for j in range(columns // 8) for odd in (0, 1)])
        left, right = read(memory, a * size, rows), (read_slabs if slab else read)(memory, b * size, own, slab)
        product = values(left, dtype) @ values(right, dtype).T
        found = product.reshape(2, columns // 8, 2).transpose(1, 0, 2).reshape(-1)
        return tuple((np.array(c, np.float64) + found).astype(np.float32))

    return instruction(lambda c, shared, a, b: c, emit, wgmma)


def swizzled(address: Any) -> Any:
    """A byte's address with the 128-byte swizzle: bits 4 to 6 xored by bits 7 to 9."""
    return address ^ (address >> 7 & 7) << 4


def read(memory: Any, start: int, rows: Any, slab: int = 0) -> Any:
    """Rows of 128 bytes of a K-major tile, as words."""
    assert start % ATOM == 0
    at = start + rows[:, None] // 8 * ATOM + rows[:, None] % 8 * ROW + np.arange(ROW)
    return memory[swizzled(at)].view(np.uint32)


def read_slabs(memory: Any, start: int, columns: Any, slab: int) -> Any:
    """Columns of an MN-major tile of halves, 64 places of the sum each, as words."""
    assert start % ATOM == 0
    place = np.arange(64)
    at = start + columns[:, None] // 64 * slab + place // 8 * ATOM + place % 8 * ROW + columns[:, None] % 64 * 2
    low, high = memory[swizzled(at)], memory[swizzled(at + 1)]
    return np.ascontiguousarray(np.stack([low, high], -1)).reshape(len(columns), -1).view(np.uint32)


def wait_groups(pending: int) -> Any:
    """wait(c): c once at most `pending` of the warpgroup's products are under way; c is what they add to."""
    text = f"wgmma.wait_group.sync.aligned {pending};"

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        assembly(builder, text, ir.VoidType(), "~{memory}", volatile=True)
        return args[0]

    def wait(c: Any) -> Any:
        return c

    return instruction(lambda c: c, emit, wait)


def _publish(context: Any, builder: Any, signature: Any, args: Any) -> None:
    assembly(builder, "fence.proxy.async.shared::cta;", ir.VoidType(), "~{memory}", volatile=True)


def publish_shared() -> None:
    """What this thread has written to shared memory, copies waited for among it, is seen by wgmma and bulk copies."""


publish_shared = instruction(lambda: types.void, _publish, publish_shared)
