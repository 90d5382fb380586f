"""The instructions become the PTX that they are to be: those that no kernel uses yet, and one's odd cases."""

import re
from collections.abc import Callable
from typing import Any

import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if toolchain.SIMULATED:
    pytest.skip("the compiler runs where NUMBA_ENABLE_CUDASIM is not set", allow_module_level=True)
pytest.importorskip("nvidia.cu13", reason='pip install "cnnfast[cuda-check]"')

from cnnfast.backends.cuda.intrinsics import barrier
from cnnfast.backends.cuda.intrinsics.arithmetic import inverse_root
from cnnfast.backends.cuda.kernel import Kernel

cuda, types = toolchain.cuda, toolchain.types
begin_barrier, publish, arrive = barrier.begin_barrier, barrier.publish_barriers, barrier.arrive
arrive_expecting, try_wait, copy_bulk = barrier.arrive_expecting, barrier.try_wait, barrier.copy_bulk


def test_barriers_and_bulk_copies(assemble: Callable[..., Any]) -> None:
    def copied(x: Any, y: Any) -> None:
        shared = cuda.shared.array(1028, types.uint32, 16)
        thread = cuda.threadIdx.x
        if thread == 0:
            begin_barrier(shared, 1024, 1)
            begin_barrier(shared, 1026, 128)
            publish()
        cuda.syncthreads()
        if thread == 0:
            arrive_expecting(shared, 1024, 4096)
            copy_bulk(shared, 0, x, 0, 4096, 1024)
        while not try_wait(shared, 1024, 0):
            pass
        y[thread] = shared[thread * 8]
        arrive(shared, 1026)

    pointer = toolchain.pointer(types.uint32)
    code = assemble(Kernel("copied", copied, (pointer, pointer), (128, 1, 1), arch="a"), (9, 0))
    assert (code.spills, code.stack) == (0, 0)
    for line in (
        "mbarrier.init.shared::cta.b64", "fence.mbarrier_init", "mbarrier.arrive.shared::cta.b64",
        "mbarrier.arrive.expect_tx", "mbarrier.try_wait.parity", "cp.async.bulk.shared::cluster.global.mbarrier",
    ):  # fmt: skip
        assert line in code.ptx
    for name in ("SYNCS", "UBLKCP"):
        assert name in code.sass


def test_an_inverse_root_of_0_or_infinity_is_the_guess(assemble: Callable[..., Any]) -> None:
    def roots(x: Any) -> None:
        x[0] = inverse_root(x[0])

    ptx = assemble(Kernel("roots", roots, (toolchain.pointer(types.float32),), (1, 1, 1)), (8, 0)).ptx
    (guess,) = re.findall(r"rsqrt\.approx\.f32 (%f\d+|%r\d+)", ptx)
    assert re.search(rf"setp\.nan\.f32\s+%p\d+, (\S+), \1;\s+selp\.f32\s+\S+, {guess}, \1, %p\d+;", ptx), ptx
