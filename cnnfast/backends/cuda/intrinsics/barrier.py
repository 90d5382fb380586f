"""mbarrier and bulk copies (sm_90 on): a barrier in shared memory that counts arrivals, and bytes still to come.

A barrier is 8 bytes, two words of an array of 32 bits, from an even index on. A phase ends when as many threads have
arrived as `begin_barrier` said and all the bytes expected have come; the next then begins by itself. Phases alternate
in parity; a wait names the parity of the phase whose end it waits for.

The twins keep in a barrier's first word the arrivals still due and those of each phase, and in its second the parity
and, above NONE, the bytes still to come.
"""

import threading
import time
from typing import Any

import numpy as np
from llvmlite import ir

from cnnfast.backends.cuda.toolchain import types

from .build import I32, address, assembly, instruction, shared_address

VOID = ir.VoidType()
LOCK = threading.Lock()
NONE, PARITY = 1 << 30, 1 << 31


def _count(shared: Any, i: int, arrivals: int, size: int) -> None:
    """Twins: so many arrivals, and bytes still to come; the phase ends where neither is left."""
    with LOCK:
        due, count = divmod(int(shared[i]) - (arrivals << 16), 1 << 16)
        state = int(shared[i + 1]) + size
        assert due >= 0
        if not due and state & ~PARITY == NONE:
            due, state = count, state ^ PARITY
        shared[i], shared[i + 1] = due << 16 | count, state


def _at(context: Any, builder: Any, signature: Any, args: Any, i: int = 0) -> Any:
    return shared_address(context, builder, signature.args[i], args[i], args[i + 1], signature.args[i + 1])


def _begin(context: Any, builder: Any, signature: Any, args: Any) -> None:
    count = context.cast(builder, args[2], signature.args[2], types.int32)
    at = _at(context, builder, signature, args)
    assembly(builder, "mbarrier.init.shared::cta.b64 [$0], $1;", VOID, "r,r,~{memory}", at, count, volatile=True)


def begin_barrier(shared: Any, i: Any, count: Any) -> None:
    """shared[i] and the word after become a barrier of `count` arrivals. One thread does it, then all synchronise."""
    assert i % 2 == 0
    shared[i], shared[i + 1] = count << 16 | count, NONE


def _arrive(context: Any, builder: Any, signature: Any, args: Any) -> None:
    at = _at(context, builder, signature, args)
    assembly(builder, "mbarrier.arrive.shared::cta.b64 _, [$0];", VOID, "r,~{memory}", at, volatile=True)


def arrive(shared: Any, i: Any) -> None:
    """This thread has arrived: what it wrote is seen by those whose wait the phase ends."""
    _count(shared, i, 1, 0)


def _expect(context: Any, builder: Any, signature: Any, args: Any) -> None:
    size = context.cast(builder, args[2], signature.args[2], types.int32)
    at = _at(context, builder, signature, args)
    text = "mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;"
    assembly(builder, text, VOID, "r,r,~{memory}", at, size, volatile=True)


def arrive_expecting(shared: Any, i: Any, size: Any) -> None:
    """`arrive`, and the phase ends no sooner than `size` bytes have come by bulk copies."""
    _count(shared, i, 1, size)


def _wait(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    parity = context.cast(builder, args[2], signature.args[2], types.int32)
    text = "{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [$1], $2; selp.u32 $0, 1, 0, p;}"
    at = _at(context, builder, signature, args)
    found = assembly(builder, text, I32, "=r,r,r,~{memory}", at, parity, volatile=True)
    return builder.icmp_unsigned("!=", found, ir.Constant(I32, 0))


def try_wait(shared: Any, i: Any, parity: Any) -> Any:
    """Whether the phase of this parity has ended, after a while of waiting for it: to be called until it is."""
    ended = (int(shared[i + 1]) >> 31) != parity
    if not ended:
        time.sleep(1e-4)
    return ended


def _publish_barrier(context: Any, builder: Any, signature: Any, args: Any) -> None:
    assembly(builder, "fence.mbarrier_init.release.cluster;", VOID, "~{memory}", volatile=True)


def publish_barriers() -> None:
    """Barriers begun by this thread are seen by the copies that will arrive at them."""


def _bulk(context: Any, builder: Any, signature: Any, args: Any) -> None:
    to = _at(context, builder, signature, args)
    source = address(context, builder, signature.args[2], args[2], args[3], signature.args[3])
    size = context.cast(builder, args[4], signature.args[4], types.int32)
    barrier = shared_address(context, builder, signature.args[0], args[0], args[5], signature.args[5])
    text = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1], $2, [$3];"
    assembly(builder, text, VOID, "r,l,r,r,~{memory}", to, source, size, barrier, volatile=True)


def copy_bulk(shared: Any, to: Any, p: Any, i: Any, size: Any, barrier: Any) -> None:
    """`size` bytes from p[i] on to shared[to] and after, by one thread; the barrier at shared[barrier] is told of them.

    All are multiples of 16 bytes.
    """
    count, width = size // p.dtype.itemsize, shared.itemsize
    assert size % 16 == i * p.dtype.itemsize % 16 == to * width % 16 == 0
    assert 0 <= i <= len(p) - count, f"a copy of {count} at {i} of {len(p)}"
    shared[to : to + size // width] = np.array(p[i : i + count]).view(shared.dtype)
    _count(shared, barrier, 0, -size)


begin_barrier = instruction(lambda *given: types.void, _begin, begin_barrier)
arrive = instruction(lambda *given: types.void, _arrive, arrive)
arrive_expecting = instruction(lambda *given: types.void, _expect, arrive_expecting)
try_wait = instruction(lambda *given: types.boolean, _wait, try_wait)
publish_barriers = instruction(lambda: types.void, _publish_barrier, publish_barriers)
copy_bulk = instruction(lambda *given: types.void, _bulk, copy_bulk)
