"""cp.async: 16 bytes from global to shared memory past the registers, complete when their group has been waited for."""

from typing import Any

import numpy as np
from llvmlite import ir

from cnnfast.backends.cuda.toolchain import types

from .build import I32, address, assembly, instruction, shared_address

VOID = ir.VoidType()


def _copy(context: Any, builder: Any, signature: Any, args: Any) -> None:
    to = shared_address(context, builder, signature.args[0], args[0], args[1], signature.args[1])
    source = address(context, builder, signature.args[2], args[2], args[3], signature.args[3])
    inside = context.cast(builder, args[4], signature.args[4], types.boolean)
    size = builder.select(inside, ir.Constant(I32, 16), ir.Constant(I32, 0))
    text = "cp.async.cg.shared.global.L2::128B [$0], [$1], 16, $2;"
    assembly(builder, text, VOID, "r,l,r,~{memory}", to, source, size, volatile=True)


def copy_async(shared: Any, to: Any, p: Any, i: Any, inside: Any) -> None:
    """16 bytes from p[i] on to shared[to] and after; zeros, and nothing read, where not inside.

    Both lie at multiples of 16 bytes. The twin copies at once.
    """
    assert to in range(0, len(shared), 16 // shared.itemsize)
    count = 16 // p.dtype.itemsize
    held = np.zeros(16, np.uint8)
    if inside:
        assert i in range(0, len(p) - count + 1, count), f"a copy of {count} at {i} of {len(p)}"
        held = np.array(p[i : i + count]).view(np.uint8)
    shared[to : to + 16 // shared.itemsize] = held.view(shared.dtype)


def _commit(context: Any, builder: Any, signature: Any, args: Any) -> None:
    assembly(builder, "cp.async.commit_group;", VOID, "~{memory}", volatile=True)


def commit_copies() -> None:
    """The copies since the last call are a group."""


def wait_copies(pending: int) -> Any:
    """wait(): until at most `pending` groups of this thread's are under way."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> None:
        assembly(builder, f"cp.async.wait_group {pending};", VOID, "~{memory}", volatile=True)

    def wait() -> None:
        pass

    return instruction(lambda: types.void, emit, wait)


copy_async = instruction(lambda *given: types.void, _copy, copy_async)
commit_copies = instruction(lambda: types.void, _commit, commit_copies)
