"""gathered: the gradient of a pool with respect to its input, one thread a pixel, which adds up what the windows that
hold it give: of a maximum those whose index is the pixel's, of a mean all, over their sizes. So no two threads write to
one place, and the order of a sum is that of the windows' rows. In 16-byte vectors of channels where those lie side by
side.

Bytes moved: grad_output (and indices, 8 bytes each) and grad_input once, the least there is; windows that overlap
read a gradient again, from the cache.

scattered: of indices alone, where no window is known: one thread a channel of an image walks through the windows.
"""

from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS, INDEX, access, wide_needs
from cnnfast.backends.cuda.generate import generated, member, tuple_of
from cnnfast.backends.cuda.intrinsics.arithmetic import chosen, quotient
from cnnfast.backends.cuda.intrinsics.lanes import multiply_add
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.toolchain import types

from .places import counted
from .pooled import Pool, adaptive_sizes

THREADS = 256
SCALARS = ("H", "W", "C", "P", "Q", "R", "S", "SH", "SW", "DH", "DW", "top", "left", "padded_h", "padded_w", "count",
           "vectors", "xn", "xh", "xw", "xc", "yn", "yp", "yq", "yc")  # fmt: skip


class Form(NamedTuple):
    """last: threads along channels first, else along pixels."""

    last: bool
    lanes: int


def _size(which: str) -> list[str]:
    """A mean's share: 1 over the window's size along rows or columns."""
    at, R, H, top, step, p = {
        "rows": ("a", "R", "H", "top", "SH", "p"), "columns": ("b", "S", "W", "left", "SW", "q")
    }[which]  # fmt: skip
    padded = {"rows": "padded_h", "columns": "padded_w"}[which]
    return [f"{at} = {p} * {step} - {top}", f"{which} = min({at} + {R}, {H}) - max({at}, 0)", f"if {padded} > 0:",
            f"    {which} = min({at} + {top} + {R}, {padded}) - {at} - {top}"]  # fmt: skip


def _windows(adaptive: bool) -> list[str]:
    """p0, p_end, q0, q_end: the windows that may hold the pixel. Taps between dilated ones are seen by the index."""
    if adaptive:
        return ["p0, p_end = quotient(h * P, H), quotient((h + 1) * P + H - 1, H)",
                "q0, q_end = quotient(w * Q, W), quotient((w + 1) * Q + W - 1, W)"]  # fmt: skip
    return [
        "p0, q0 = h + top - (R - 1) * DH, w + left - (S - 1) * DW",
        "p0 = quotient(max(p0, 0) + SH - 1, SH)", "q0 = quotient(max(q0, 0) + SW - 1, SW)",
        "p_end = min(P, quotient(h + top, SH) + 1)", "q_end = min(Q, quotient(w + left, SW) + 1)",
    ]  # fmt: skip


@kernel
def gathered(indexed: bool, dtype: str, adaptive: bool, form: Form) -> Kernel:
    """The kernel of a maximum (`indexed`) or a mean."""
    element, (last, lanes) = ELEMENTS[dtype], form
    real = np.float64 if dtype == "float64" else np.float32
    load, store = access(dtype, lanes)
    zero = real(0)
    known: dict[str, Any] = {
        "load": load, "store": store, "load_index": access("int64", lanes)[0], "quotient": quotient, "chosen": chosen,
        "multiply_add": multiply_add(lanes), "zero": zero, "real": real, "one": real(1),
    }  # fmt: skip
    lines = ["i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x", "if i >= count:", "    return"]
    if last:
        lines += ["rest = quotient(i, vectors)", f"c = (i - rest * vectors) * {lanes}", "i = rest"]
    lines += ["rest = quotient(i, W)", "w = i - rest * W", "i = rest", "rest = quotient(i, H)", "h = i - rest * H"]
    lines += ["n = rest"] if last else ["n = quotient(rest, C)", "c = rest - n * C"]
    lines += [*_windows(adaptive), "base = n * yn + c * yc", "mine = h * W + w"]
    lines += [f"t{k} = zero" for k in range(lanes)] if indexed else [f"t = {tuple_of(['zero'] * lanes)}"]
    lines += ["p = p0", "while p < p_end:"]
    if not indexed:
        rows = ["rows = quotient((p + 1) * H + P - 1, P) - quotient(p * H, P)"] if adaptive else _size("rows")
        lines += [f"    {line}" for line in rows]
    lines += ["    q = q0", "    while q < q_end:", "        at = base + p * yp + q * yq", "        g = load(grad, at)"]
    if indexed:
        lines.append("        place = load_index(places, at)")
        for k in range(lanes):
            g, place = member("g", k, lanes), member("place", k, lanes)
            lines.append(f"        t{k} += chosen({place} == mine, {g}, zero)")
    else:
        columns = ["columns = quotient((q + 1) * W + Q - 1, Q) - quotient(q * W, Q)"] if adaptive else _size("columns")
        lines += [f"        {line}" for line in columns] + ["        share = one / real(rows * columns)"]
        lines.append(f"        t = multiply_add(t, g, {tuple_of(['share'] * lanes)})")
    lines += ["        q += 1", "    p += 1"]
    total = tuple_of(f"t{k}" for k in range(lanes)) if indexed else "t"
    lines.append(f"store(result, n * xn + h * xh + w * xw + c * xc, {total})")
    made = generated("gathered", ["grad", "places", "result", *SCALARS], lines, **known)
    parameters = (element.pointer, INDEX.pointer, element.pointer, *(types.int64,) * len(SCALARS))
    return Kernel("", made, parameters, (THREADS, 1, 1), needs=wide_needs(dtype) if lanes > 1 else ())


@kernel
def powers(dtype: str, norm_type: float) -> Kernel:
    """The kernel of a p-norm: each pixel adds up sign(x) |x|**(p-1) y**(1-p) grad_output over its windows."""
    element = ELEMENTS[dtype]
    real = np.float64 if dtype == "float64" else np.float32
    known: dict[str, Any] = {
        "load": element.load, "store": element.store, "quotient": quotient, "zero": real(0),
        "power": real(norm_type - 1), "root": real(1 - norm_type),
    }  # fmt: skip
    lines = [
        "i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x", "if i >= count:", "    return",
        "rest = quotient(i, vectors)", "c = i - rest * vectors", "i = rest", "rest = quotient(i, W)",
        "w = i - rest * W", "n = quotient(rest, H)", "h = rest - n * H", *_windows(False), "base = n * yn + c * yc",
        "to = n * xn + h * xh + w * xw + c * xc", "t = zero", "p = p0", "while p < p_end:", "    q = q0",
        "    a = h + top - p * SH", "    while q < q_end:", "        b = w + left - q * SW",
        "        if quotient(a, DH) * DH == a and quotient(b, DW) * DW == b:",
        "            at = base + p * yp + q * yq", "            t += load(grad, at) * load(y, at) ** root",
        "        q += 1", "    p += 1", "v = load(x, to)", "slope = abs(v) ** power", "if v < zero:",
        "    slope = -slope", "if v == zero:", "    t, slope = zero, zero", "store(result, to, t * slope)",
    ]  # fmt: skip
    made = generated("powers", ["grad", "x", "y", "result", *SCALARS], lines, **known)
    parameters = (*(element.pointer,) * 4, *(types.int64,) * len(SCALARS))
    return Kernel("", made, parameters, (THREADS, 1, 1))


@kernel
def scattered(dtype: str) -> Kernel:
    """The kernel of indices without windows: it zeroes a channel's pixels, then adds to them."""
    element = ELEMENTS[dtype]
    known: dict[str, Any] = {
        "load": element.load, "store": element.store, "quotient": quotient, "zero": element.computed(0)
    }  # fmt: skip
    lines = [
        "i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x", "if i >= count:", "    return",
        "n = quotient(i, C)", "c = i - n * C", "to, base = n * xn + c * xc, n * yn + c * yc", "for h in range(H):",
        "    for w in range(W):", "        store(result, to + h * xh + w * xw, zero)", "for p in range(P):",
        "    for q in range(Q):", "        at = base + p * yp + q * yq", "        place = places[at]",
        "        h = quotient(place, W)", "        there = to + h * xh + (place - h * W) * xw",
        "        store(result, there, load(result, there) + load(grad, at))",
    ]  # fmt: skip
    made = generated("scattered", ["grad", "places", "result", *SCALARS], lines, **known)
    parameters = (element.pointer, INDEX.pointer, element.pointer, *(types.int64,) * len(SCALARS))
    return Kernel("", made, parameters, (64, 1, 1))


def _scalars(problem: Pool, count: int, vectors: int) -> tuple[int, ...]:
    return (
        problem.H, problem.W, problem.C, problem.P, problem.Q, *problem.kernel, *problem.stride, *problem.dilation,
        *problem.padding, *problem.padded, count, vectors, *problem.x_strides, *problem.y_strides,
    )  # fmt: skip


def _gathered(problem: Pool, tile: None) -> Plan:
    last = problem.x_strides[3] == problem.y_strides[3] == 1 and problem.C > 1
    lanes = ELEMENTS[problem.dtype].width
    steps = (problem.C, *problem.x_strides[:3], *problem.y_strides[:3])
    if not (last and problem.aligned and all(step % lanes == 0 for step in steps)):
        lanes = 1
    adaptive_sizes(problem)
    made = gathered(problem.indices, problem.dtype, problem.adaptive, Form(last, lanes))
    count = problem.N * problem.H * problem.W * problem.C // lanes
    names = "grad", "indices" if problem.indices else "grad", "result"
    return _launch(made, count, names, _scalars(problem, count, problem.C // lanes))


def _scattered(problem: Pool, tile: None) -> Plan:
    count = problem.N * problem.C
    return _launch(scattered(problem.dtype), count, ("grad", "indices", "result"), _scalars(problem, count, 1))


def _launch(made: Kernel, count: int, names: tuple[str, ...], scalars: tuple[int, ...]) -> Plan:
    counted("pixels' channels (or vectors of them)", count)
    return Plan((Step(made, (-(count // -made.block[0]), 1, 1), names, scalars),) if count else ())


def _powers(problem: Pool, tile: None) -> Plan:
    count = problem.N * problem.H * problem.W * problem.C
    made = powers(problem.dtype, problem.norm_type)
    return _launch(made, count, ("grad", "x", "y", "result"), _scalars(problem, count, problem.C))


ROWS: tuple[Row, ...] = (
    Row("powers", lambda problem: bool(problem.kind == "lp"), _powers),
    Row("gathered", lambda problem: problem.adaptive or problem.kernel[0] > 0, _gathered),
    Row("scattered", lambda problem: problem.indices, _scattered),
)
"""A problem's kernel of (0, 0) says that its windows are not known."""
