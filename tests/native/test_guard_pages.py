"""No byte is read or written outside an array: every buffer lies against a page that may not be touched.

The cases are verify's, whose channel counts sweep each tail of 1..2 vectors; each runs on every instruction set,
algorithm and layout, in a child process, where a fault is a failed test.
"""

import ctypes
import mmap
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from cnnfast.backends import native, reference
from cnnfast.ops import dispatch
from cnnfast.ops.signatures import FLOATS, SIGNATURES
from cnnfast.verification import draw, judge
from cnnfast.verification.case import Array, Case, channels_last, in_layout, layouts
from cnnfast.verification.draw import OPS, SCHEDULE
from cnnfast.verification.expected_dense import expected_of
from cnnfast.verification.expected_transforms import expected_by
from cnnfast.verification.run import CHOOSES, Call, call

PAGE = mmap.PAGESIZE
PROT_NONE = 0
SIDES = ("start", "end")
DTYPES = [*FLOATS, np.dtype(np.int8), np.dtype(np.uint16), np.dtype(np.int64)]

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def guarded(shape: tuple[int, ...], dtype: Any, side: str) -> Array:
    """An array of 0xFF bytes that starts, or ends, where memory does."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    inside = (size // PAGE + 1) * PAGE
    memory = mmap.mmap(-1, inside + 2 * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for wall in (address, address + PAGE + inside):
        if libc.mprotect(wall, PAGE, PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
    start = PAGE if side == "start" else PAGE + inside - size
    bytes_ = np.frombuffer(memory, np.uint8, size, start)
    bytes_[:] = 0xFF
    return bytes_.view(dtype).reshape(shape)


def against_wall(array: Array, side: str) -> Array:
    """A copy that starts, or ends, where memory does."""
    copy = guarded(array.shape, array.dtype, side)
    copy[...] = array
    copy.flags.writeable = False
    return copy


def cases(op: str, dtype: np.dtype[Any], count: int) -> Iterator[Case]:
    """The first cases of an op and dtype, large ones left out."""
    index = -1
    while count:
        index += 1
        if SCHEDULE[index % len(SCHEDULE)] == (op, dtype):
            case = draw(1, index)
            if not case.large and case.x.size:
                count -= 1
                yield case


def faults(case: Case) -> list[str]:
    """What is wrong with a case's outputs on any combination, with every array against a wall."""
    right = expected_of(case)
    rows = dispatch.algorithms(case.op) if case.op in CHOOSES else ("",)
    found = []
    for layout in layouts(case.op):
        for side in SIDES:
            inputs = {
                name: against_wall(array, side) for name, array in in_layout(case, layout).items() if array is not None
            }
            shape = right.value.shape
            if layout != layouts(case.op)[0]:
                shape = shape[0], shape[-1], *shape[1:-1]
            for isa in native.isas():
                native.set_isa(isa)
                for row in rows:
                    y = guarded(shape, case.y_dtype, side)
                    try:
                        result = call(case, inputs, Call(layout, row), y)
                    except ValueError as error:
                        if "does not take this problem" in str(error):
                            continue
                        raise
                    indices = channels_last(result[1], case.op, layout) if isinstance(result, tuple) else None
                    given = channels_last(y, case.op, layout)
                    allowed = expected_by(row, case, right)
                    wrong = judge.fault(given, indices, allowed, isa != "baseline", case.zero_sign)
                    if wrong:
                        found.append(f"{isa} {row} {layout} {side}: {case}: {wrong}")
    return found


@pytest.mark.parametrize(
    ("op", "dtype"),
    [(op, dtype) for op in OPS for dtype in DTYPES if dtype in SIGNATURES[op].dtypes],
    ids=str,
)
def test_every_array_against_a_wall(op: str, dtype: np.dtype[Any], isolated: Callable[..., Any]) -> None:
    """70 float32 cases: every channel count from 1 to 33 twice at least."""
    count = 70 if dtype == np.float32 else 20
    outcome = isolated(lambda: [fault for case in cases(op, dtype, count) for fault in faults(case)])
    assert not outcome.error, f"{outcome.error[0]}: {outcome.message}"
    assert outcome.value == []


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8], ids=lambda dtype: dtype.__name__)
def test_indices_against_a_wall(layout: str, dtype: type, isolated: Callable[..., Any]) -> None:
    """Pooling writes them and unpooling reads them, of 1..33 channels."""

    def run() -> int:
        right = 0
        for isa in native.isas():
            native.set_isa(isa)
            for C in range(1, 34):
                for side in SIDES:
                    right += _pool_and_unpool(C, layout, np.dtype(dtype), side)
        return right

    outcome = isolated(run)
    assert not outcome.error, f"{outcome.error[0]}: {outcome.message}"
    assert outcome.value == 33 * 2 * len(native.isas())


def _pool_and_unpool(C: int, layout: str, dtype: np.dtype[Any], side: str) -> bool:
    values = np.random.default_rng(C).integers(0, 9, (2, 5, 4, C)).astype(dtype)
    window = {"kernel_size": (3, 2), "stride": (2, 1)}
    y_right, index_right = reference.max_pool2d(values, **window, return_indices=True)
    x, shape = _in(values, layout), _in(index_right, layout).shape
    plan = native.plan_pool2d(x.shape, dtype=dtype.name, layout=layout, kind="max", return_indices=True, **window)
    y, indices = guarded(shape, dtype, side), guarded(shape, np.int64, side)
    assert plan.run(against_wall(x, side), None, y, indices)
    back = native.plan_max_unpool2d(shape, (5, 4), dtype=dtype.name, layout=layout)
    z = guarded(x.shape, dtype, side)
    assert back.run(y, None, z, indices)
    z_right = reference.max_unpool2d(y_right, index_right, output_size=(5, 4))
    pairs = ((y, y_right), (indices, index_right), (z, z_right))
    return all(np.array_equal(array, _in(right, layout)) for array, right in pairs)


def _in(array: Array, layout: str) -> Array:
    return np.ascontiguousarray(array if layout == "NHWC" else np.moveaxis(array, -1, 1))


@pytest.mark.parametrize("side", SIDES)
def test_a_wall_is_a_wall(side: str) -> None:
    """A byte beyond it ends the process that reads it: the tests above can fail."""
    array = guarded((5,), np.float32, side)
    array[:] = 1
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(array.ctypes.data - 1 if side == "start" else array.ctypes.data + array.nbytes, 1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) in (signal.SIGSEGV, signal.SIGBUS)
