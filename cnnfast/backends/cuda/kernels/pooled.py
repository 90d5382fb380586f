"""pooled: one thread a window, of 16 bytes of channels where those lie side by side, else of one.

`unrolled`: a small window of known size: all its loads are under way at once. A tap outside reads the nearest pixel,
which is the window's own when it is not dilated: a maximum stays the same, a sum leaves it out.
`looped`: any window, adaptive ones too, over the taps inside alone.

Bytes moved: x once and y once, the least there is; what windows share comes from the cache: a block is a tile of
rows, columns and channels, so that of a 3x3's rows at stride 2 it asks (2 * 8 + 1) / (2 * 8) of what it must.
"""

from typing import NamedTuple

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS, INDEX, access, wide_needs
from cnnfast.backends.cuda.generate import generated, member, tuple_of
from cnnfast.backends.cuda.intrinsics.arithmetic import chosen, larger, quotient, smaller
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.problem import Pair, Strides
from cnnfast.backends.cuda.toolchain import types

from .places import counted, threads, tiled
from .pool_functions import reduction

THREADS = 256
UNROLLED = 16
"""Taps of the largest window that is written out."""


class Pool(NamedTuple):
    """y[n,p,q,c] = a reduction of x's window at (p, q); indices and y lie alike. Strides: along N, H, W, C."""

    kind: str
    N: int
    H: int
    W: int
    C: int
    P: int
    Q: int
    kernel: Pair
    stride: Pair
    padding: Pair
    """top, left."""
    dilation: Pair
    dtype: str
    x_strides: Strides
    y_strides: Strides
    padded: Pair = (0, 0)
    """H and W with all their padding, where it counts in a mean; else 0."""
    norm_type: float = 1.0
    indices: bool = False
    adaptive: bool = False
    aligned: bool = True


class Form(NamedTuple):
    """last: threads along channels first, else along pixels. taps: (R, S) where they are written out. block: threads
    along (channels, q, p), or along (q, p, channels). items: windows of a thread, one below the other."""

    last: bool
    lanes: int
    taps: Pair | None
    stride: Pair
    block: tuple[int, int, int]
    items: int


SCALARS = ("H", "W", "C", "P", "Q", "R", "S", "SH", "SW", "DH", "DW", "top", "left", "padded_h", "padded_w",
           "x_tiles", "y_tiles", "z_tiles", "count", "xn", "xh", "xw", "xc", "yn", "yp", "yq", "yc")  # fmt: skip


def _place(form: Form) -> list[str]:
    """n, p, q, c of a thread."""
    d, lines = form.block[2], tiled(form.block)
    if form.last:
        return [
            *lines, "n = quotient(rest, z_tiles)",
            f"p = ((rest - n * z_tiles) * {d} + cuda.threadIdx.z) * {form.items}",
            f"c, q = i * {form.lanes}, j", "if c >= C or q >= Q or p >= P:", "    return",
        ]  # fmt: skip
    return [
        *lines, f"m = rest * {d} + cuda.threadIdx.z", f"q, p = i, j * {form.items}",
        "if q >= Q or p >= P or m >= count:", "    return", "n = quotient(m, C)", "c = m - n * C",
    ]  # fmt: skip


def _unrolled(form: Form, indices: bool, sums: bool) -> list[str]:
    """The items' windows: of one below the other they share rows."""
    assert form.taps is not None
    (R, S), (down, across) = form.taps, form.stride
    lines = [f"h, w = p * {down} - top, q * {across} - left"]
    height = (form.items - 1) * down + R
    for r in range(height):
        lines += [f"h{r} = min(max(h + {r}, 0), H - 1)", f"r{r} = h{r} == h + {r}"]
    lines += [f"w{s} = min(max(w + {s}, 0), W - 1)\ns{s} = w{s} == w + {s}" for s in range(S)]
    lines += [f"x{r}_{s} = load(x, base + h{r} * xh + w{s} * xw)" for r in range(height) for s in range(S)]
    taps = [(r, s) for r in range(R) for s in range(S)]
    for item in range(form.items):
        for k in range(form.lanes):
            t, i = f"t{item}_{k}", f"i{item}_{k}"
            for r, s in ((item * down + r, s) for r, s in taps):
                v = member(f"x{r}_{s}", k, form.lanes)
                first = (r, s) == (item * down, 0)
                if sums:
                    lines.append(f"{t} = {'' if first else f'{t} + '}chosen(r{r} & s{s}, term({v}), zero)")
                elif first:
                    lines.append(f"{t} = {v}" + (f"\n{i} = h{r} * W + w{s}" if indices else ""))
                elif indices:
                    lines += [f"better = beats({t}, {v})", f"{t} = chosen(better, {v}, {t})"]
                    lines.append(f"{i} = chosen(better, h{r} * W + w{s}, {i})")
                else:
                    lines.append(f"{t} = step({t}, {v})")
        if sums:
            at = f"h + {item * down}"
            lines += [
                f"rows = min({at} + R, H) - max({at}, 0)", "columns = min(w + S, W) - max(w, 0)",
                "if padded_h > 0:", f"    rows, columns = min({at} + top + R, padded_h) - ({at}) - top, "
                "min(w + left + S, padded_w) - w - left", f"share{item} = one / real(rows * columns)",
            ]  # fmt: skip
    return lines


def _looped(form: Form, indices: bool, sums: bool, adaptive: bool) -> list[str]:
    if adaptive:
        lines = ["h, h_end = quotient(p * H, P), quotient((p + 1) * H + P - 1, P)",
                 "w, w_end = quotient(q * W, Q), quotient((q + 1) * W + Q - 1, Q)", "DH = DW = 1",
                 "rows, columns = h_end - h, w_end - w"]  # fmt: skip
    else:
        lines = [
            "h, w = p * SH - top, q * SW - left", "rows, columns = 0, 0",
            "if padded_h > 0:", "    rows, columns = min(h + top + R, padded_h) - h - top, "
            "min(w + left + S, padded_w) - w - left",
            "else:", "    rows, columns = min(h + R, H) - max(h, 0), min(w + S, W) - max(w, 0)",
            "h_end, w_end = min(H, h + (R - 1) * DH + 1), min(W, w + (S - 1) * DW + 1)",
            "if h < 0:", "    h += quotient(DH - 1 - h, DH) * DH",
            "if w < 0:", "    w += quotient(DW - 1 - w, DW) * DW",
        ]  # fmt: skip
    if sums:
        lines.append("share0 = one / real(rows * columns)")
    lines += [f"t0_{k} = zero" for k in range(form.lanes)]
    if not sums:
        # a window without a pixel is 0, as the oracle has it
        lines += ["if h < h_end and w < w_end:", "    v = load(x, base + h * xh + w * xw)"]
        lines += [f"    t0_{k} = {member('v', k, form.lanes)}" for k in range(form.lanes)]
    if indices:
        lines += ["first = h * W + w if h < h_end and w < w_end else -1"]
        lines += [f"i0_{k} = first" for k in range(form.lanes)]
    lines += ["while h < h_end:", "    at = w", "    while at < w_end:", "        v = load(x, base + h * xh + at * xw)"]
    for k in range(form.lanes):
        v, t, i = member("v", k, form.lanes), f"t0_{k}", f"i0_{k}"
        if indices:
            lines += [f"        better = beats({t}, {v})", f"        {t} = chosen(better, {v}, {t})"]
            lines.append(f"        {i} = chosen(better, h * W + at, {i})")
        else:
            lines.append(f"        {t} = {f'{t} + term({v})' if sums else f'step({t}, {v})'}")
    return [*lines, "        at += DW", "    h += DH"]


@kernel
def pooled(kind: str, dtype: str, norm_type: float, indices: bool, adaptive: bool, form: Form) -> Kernel:
    """The kernel of a reduction, for a form."""
    element, lanes = ELEMENTS[dtype], form.lanes
    real = np.float64 if dtype == "float64" else np.float32
    found = reduction(kind, norm_type, element.computed.name)
    load, store = access(dtype, lanes)
    known = {
        "load": load, "store": store, "store_index": access("int64", lanes)[1], "quotient": quotient,
        "term": found.term, "step": found.step, "finish": found.finish, "chosen": chosen,
        "beats": larger if kind == "max" else smaller, "zero": real(0), "one": real(1),
        "real": real,
    }  # fmt: skip
    lines = [*_place(form), "base = n * xn + c * xc"]
    lines += _unrolled(form, indices, found.sums) if form.taps else _looped(form, indices, found.sums, adaptive)
    for item in range(form.items):
        share = f"share{item}" if found.sums else "one"
        lines += [f"to = n * yn + (p + {item}) * yp + q * yq + c * yc", f"if p + {item} < P:"]
        lines.append(f"    store(y, to, {tuple_of(f'finish(t{item}_{k}, {share})' for k in range(lanes))})")
        if indices:
            lines.append(f"    store_index(places, to, {tuple_of(f'i{item}_{k}' for k in range(lanes))})")
    made = generated("pooled", ["x", "places", "y", *SCALARS], lines, **known)
    parameters = (element.pointer, INDEX.pointer, element.pointer, *(types.int64,) * len(SCALARS))
    return Kernel("", made, parameters, form.block, needs=wide_needs(dtype) if lanes > 1 else ())


def form(problem: Pool) -> Form:
    """Along channels where they lie side by side, in vectors where they come in fours (or eights)."""
    last = problem.x_strides[3] == problem.y_strides[3] == 1 and problem.C > 1
    lanes = ELEMENTS[problem.dtype].width
    steps = (problem.C, *problem.x_strides[:3], *problem.y_strides[:3])
    if not (last and problem.aligned and all(step % lanes == 0 for step in steps)):
        lanes = 1
    R, S = problem.kernel
    plain = not problem.adaptive and problem.dilation == (1, 1) and R * S <= UNROLLED
    within = problem.padding[0] < R and problem.padding[1] < S
    taps = (R, S) if plain and within else None
    # scalars along pixels: the sums of indices are shared by four windows
    items = min(4, problem.P) if taps and not last else 1
    C, rows = problem.C // lanes, -(problem.P // -items)
    sizes = (C, problem.Q, rows) if last else (problem.Q, rows, problem.N * problem.C)
    a = threads(sizes[0], 8 * 16 // ELEMENTS[problem.dtype].bytes // lanes if last else 64)
    b = threads(sizes[1], min(THREADS // a, 4 if last else 8))
    block = a, b, threads(sizes[2], THREADS // a // b)
    if block[1:] == (1, 1):
        block = threads(sizes[0], 64), 1, 1
    return Form(last, lanes, taps, problem.stride if taps else (0, 0), block, items)


def adaptive_sizes(problem: Pool) -> None:
    """ValueError: where adaptive windows begin and end takes more than 32 bits."""
    if problem.adaptive:
        counted("an adaptive pool's (H + 1) * (P + 1)", (problem.H + 1) * (problem.P + 1))
        counted("an adaptive pool's (W + 1) * (Q + 1)", (problem.W + 1) * (problem.Q + 1))


def plan(problem: Pool, tile: None) -> Plan:
    """One launch."""
    found = form(problem)
    adaptive_sizes(problem)
    made = pooled(problem.kind, problem.dtype, problem.norm_type, problem.indices, problem.adaptive, found)
    count = counted("images' channels", problem.N * problem.C)
    C, rows = problem.C // found.lanes, -(problem.P // -found.items)
    sizes = (C, problem.Q, rows) if found.last else (problem.Q, rows, count)
    tiles = [-(size // -threads) for size, threads in zip(sizes, found.block, strict=True)]
    blocks = tiles[0] * tiles[1] * tiles[2] * (problem.N if found.last else 1)
    scalars = (
        problem.H, problem.W, problem.C, problem.P, problem.Q, *problem.kernel, *problem.stride, *problem.dilation,
        *problem.padding, *problem.padded, *tiles, count, *problem.x_strides, *problem.y_strides,
    )  # fmt: skip
    names = ("x", "indices" if problem.indices else "x", "y")
    return Plan((Step(made, (blocks, 1, 1), names, scalars),) if blocks else ())


ROW = Row("pooled", lambda problem: True, plan)
