"""reduced: sums over rows (and pixels) of functions of each element: statistics, the gradients of biases and scales,
means over whole images.

In two steps, so that the bits are the same every time: fixed parts of the rows, each by a block into a scratch buffer;
then the parts in order. Where one part is enough there is one step. A thread loads four rows before it adds them.

Bytes moved: each operand once, the least there is; the parts are a few thousandths of that.
"""

from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS, access, wide_needs
from cnnfast.backends.cuda.generate import generated, member
from cnnfast.backends.cuda.intrinsics.arithmetic import quotient
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.toolchain import types

from .functions import Key
from .sums import Finish, finishes, terms

THREADS, BLOCKS, ROWS = 256, 1024, 4
"""BLOCKS: how many fill any device; ROWS: whose loads a thread has under way."""


class Sums(NamedTuple):
    """totals[o, k] = the sum over rows (and pixels) of terms(operands), and results = finish(totals).

    pixels 0: k lies along the fastest axis, and rows are summed. Else pixels lie along it.
    strides: of each operand along (o, k, row, pixel).
    """

    key: Key
    finish: Finish
    outer: int
    kept: int
    rows: int
    pixels: int
    strides: tuple[tuple[int, int, int, int], ...]
    dtypes: tuple[str, ...]
    """Of the operands, then of the results."""
    aligned: bool = True


class Form(NamedTuple):
    """lanes: of a load. block: threads along (k or pixels, rows). direct: one part, which is finished at once.
    steps: of each operand: (moves along o, along rows, 1 or 0 along the fastest axis)."""

    pixels: bool
    lanes: int
    block: tuple[int, int]
    direct: bool
    steps: tuple[tuple[bool, bool, int], ...]


def _finish(count: int, results: int, at: str, operands: int, steps: tuple[tuple[bool, bool, int], ...]) -> list[str]:
    """results[at] = finish(totals, scale, the operands at their first row)."""
    given = [f"load{i}(x{i}, {at} * k{i})" for i in range(operands)]
    values = ", ".join([*(f"t{s}" for s in range(count)), "scale", *given])
    return [f"store_result{s}(y{s}, {at}, finish{s}({values}))" for s in range(results)]


@kernel
def reduced(key: Key, finish: Finish, dtypes: tuple[str, ...], form: Form) -> Kernel:
    """The parts' kernel; `direct`: the whole op's."""
    lanes, (bx, by) = form.lanes, form.block
    computed = "float64" if "float64" in dtypes else "float32"
    functions, ends = terms(key, computed), finishes(finish, computed)
    sums, operands = len(functions), len(form.steps)
    known: dict[str, Any] = {f"term{s}": each for s, each in enumerate(functions)}
    known |= {f"finish{s}": each for s, each in enumerate(ends)}
    real = np.float64 if computed == "float64" else np.float32
    known |= {"quotient": quotient, "zero": real(0), "kind": types.float64 if computed == "float64" else types.float32}
    for i, (_, _, fast) in enumerate(form.steps):
        known[f"wide{i}"] = access(dtypes[i], lanes if fast else 1)[0]
        known[f"load{i}"] = access(dtypes[i], 1)[0]
    for s in range(len(ends)):
        known[f"store_result{s}"] = access(dtypes[operands + s], 1)[1]
    outs = [f"y{s}" for s in range(len(ends))] if form.direct else ["parts"]
    scalars = ["outer", "kept", "rows", "pixels", "tiles", "chunks", "chunk", "scale"]
    scalars += [f"{name}{i}" for i in range(operands) for name in "okr"]
    lines = [
        f"shared = cuda.shared.array({bx * by * (1 if form.pixels else lanes)}, kind)",
        "tx, ty = cuda.threadIdx.x, cuda.threadIdx.y",
        "rest = quotient(cuda.blockIdx.x, tiles)", "tile = cuda.blockIdx.x - rest * tiles",
        "part = rest", "rest = quotient(rest, chunks)", "part = part - rest * chunks", "o = rest",
        "k = tile" if form.pixels else f"k = (tile * {bx} + tx) * {lanes}",
        "end = min(rows, (part + 1) * chunk)", "r = part * chunk + ty",
    ]  # fmt: skip
    lines += [f"t{s}_{k} = zero" for s in range(sums) for k in range(lanes)]
    for i, (has_outer, _, _) in enumerate(form.steps):
        outer = f"o * o{i} + " if has_outer else ""
        lines.append(f"b{i} = {outer}" + (f"k * k{i}" if form.pixels else f"min(k, kept - {lanes}) * k{i}"))
    ahead = ROWS if lanes < 8 else ROWS // 2

    def one_pass(items: int, indent: str) -> list[str]:
        made = []
        values: list[list[str]] = []
        for u in range(items):
            row, step = ("r", f"j + {u * bx * lanes}") if form.pixels else (f"(r + {u * by})", "0")
            mine = []
            for i, (_, has_row, fast) in enumerate(form.steps):
                moves = has_row if not form.pixels else fast
                if u and not moves:
                    mine.append(f"v0_{i}")
                    continue
                at = f"b{i}" + (f" + {row} * r{i}" if has_row else "") + (f" + {step}" if form.pixels and fast else "")
                made.append(f"{indent}v{u}_{i} = wide{i}(x{i}, {at})")
                mine.append(f"v{u}_{i}")
            values.append(mine)
        for mine in values:
            for k in range(lanes):
                given = ", ".join(member(v, k, lanes if form.steps[i][2] else 1) for i, v in enumerate(mine))
                made += [f"{indent}t{s}_{k} += term{s}({given})" for s in range(sums)]
        return made

    if form.pixels:
        reach = bx * lanes
        lines += ["while r < end:", f"    j = tx * {lanes}", f"    while j + {(ahead - 1) * reach} < pixels:",
                  *one_pass(ahead, " " * 8), f"        j += {ahead * reach}", "    while j < pixels:",
                  *one_pass(1, " " * 8), f"        j += {reach}", f"    r += {by}"]  # fmt: skip
    else:
        lines += [f"while r + {(ahead - 1) * by} < end:", *one_pass(ahead, "    "), f"    r += {ahead * by}",
                  "while r < end:", *one_pass(1, "    "), f"    r += {by}"]  # fmt: skip
    for s in range(sums):
        if form.pixels:
            lines += [f"shared[ty * {bx} + tx] = {' + '.join(f't{s}_{k}' for k in range(lanes))}", "cuda.syncthreads()"]
            half = 1 << (bx * by - 1).bit_length()
            while half > 1:
                half //= 2
                lines += [f"i = ty * {bx} + tx", f"if i < {half} and i + {half} < {bx * by}:",
                          f"    shared[i] += shared[i + {half}]", "cuda.syncthreads()"]  # fmt: skip
            lines += [f"t{s} = shared[0]", "cuda.syncthreads()"]
        else:
            lines += [f"shared[(ty * {bx} + tx) * {lanes} + {k}] = t{s}_{k}" for k in range(lanes)]
            lines += ["cuda.syncthreads()", "if ty == 0:", f"    for i in range(1, {by}):"]
            lines += [f"        t{s}_{k} += shared[(i * {bx} + tx) * {lanes} + {k}]" for k in range(lanes)]
            lines.append("cuda.syncthreads()")
    where = "tx == 0 and ty == 0" if form.pixels else "ty == 0 and k < kept"
    lines.append(f"if {where}:")
    for lane in range(1 if form.pixels else lanes):
        at = "o * kept + k" + (f" + {lane}" if lane else "")
        if not form.pixels:
            lines += [f"    t{s} = t{s}_{lane}" for s in range(sums)]
        if form.direct:
            lines += [f"    at = k + {lane}"]
            lines += [f"    {line}" for line in _finish(sums, len(ends), "(o * kept + at)", 0, form.steps)]
        else:
            lines += [f"    parts[(part * {sums} + {s}) * outer * kept + {at}] = t{s}" for s in range(sums)]
    made = generated("reduced", [*(f"x{i}" for i in range(operands)), *outs, *scalars], lines, **known)
    out_types = [ELEMENTS[dtype].pointer for dtype in (dtypes[operands:] if form.direct else [computed])]
    parameters = (
        *(ELEMENTS[dtype].pointer for dtype in dtypes[:operands]), *out_types, *(types.int64,) * 7,
        known["kind"], *(types.int64,) * (3 * operands),
    )  # fmt: skip
    return Kernel("", made, parameters, (bx, by, 1), needs=wide_needs(dtypes[0])[:1] if lanes > 1 else ())


@kernel
def joined(key: Key, finish: Finish, dtypes: tuple[str, ...], shifted: bool) -> Kernel:
    """The second step: the parts of each place in order, then finish; `shifted`: the last operand is its argument."""
    computed = "float64" if "float64" in dtypes else "float32"
    sums, ends = len(terms(key, computed)), finishes(finish, computed)
    real = np.float64 if computed == "float64" else np.float32
    first = dtypes[0]
    known: dict[str, Any] = {f"finish{s}": each for s, each in enumerate(ends)} | {"zero": real(0)}
    known |= {f"store{s}": access(dtype, 1)[1] for s, dtype in enumerate(dtypes[1:])}
    known["load"] = access(first, 1)[0]
    lines = ["i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x", "if i >= count:", "    return"]
    lines += [f"t{s} = zero" for s in range(sums)] + ["for part in range(chunks):"]
    lines += [f"    t{s} += parts[(part * {sums} + {s}) * count + i]" for s in range(sums)]
    given = [*(f"t{s}" for s in range(sums)), "scale", *(["load(x, i * step)"] if shifted else [])]
    lines += [f"store{s}(y{s}, i, finish{s}({', '.join(given)}))" for s in range(len(ends))]
    names = ["x", "parts", *(f"y{s}" for s in range(len(ends))), "count", "chunks", "step", "scale"]
    parameters = (
        ELEMENTS[first].pointer, ELEMENTS[computed].pointer, *(ELEMENTS[dtype].pointer for dtype in dtypes[1:]),
        *(types.int64,) * 3, types.float64 if computed == "float64" else types.float32,
    )  # fmt: skip
    return Kernel("", generated("joined", names, lines, **known), parameters, (128, 1, 1))


def _power(size: int, most: int) -> int:
    threads = 1
    while threads < size and threads * 2 <= most:
        threads *= 2
    return threads


def plan(problem: Sums, tile: None) -> Plan:
    """The parts, then their sum."""
    operands = len(problem.strides)
    fast = problem.pixels or problem.kept
    lanes = ELEMENTS[problem.dtypes[0]].width
    axis = 3 if problem.pixels else 1
    wide = problem.aligned and fast % lanes == 0 and all(
        each[axis] == 0 or (each[axis] == 1 and all(step % lanes == 0 for i, step in enumerate(each) if i != axis))
        for each in problem.strides
    ) and problem.strides[0][axis] == 1  # fmt: skip
    lanes = lanes if wide else 1
    steps = tuple((o != 0, r != 0, 1 if (p if problem.pixels else k) else 0) for o, k, r, p in problem.strides)
    bx = _power(fast // lanes, THREADS if problem.pixels else 32)
    by = _power(problem.rows, THREADS // bx)
    tiles = problem.kept if problem.pixels else -(problem.kept // lanes // -bx)
    least = by * (1 if problem.pixels else 2 * ROWS)
    chunks = max(1, min(-(BLOCKS // -(tiles * problem.outer)), problem.rows // least, 256))
    chunk = -(problem.rows // -chunks)
    shifted = problem.finish[0] == "statistics"
    form = Form(bool(problem.pixels), lanes, (bx, by), chunks == 1 and not shifted, steps)
    made = reduced(problem.key, problem.finish, problem.dtypes, form)
    scale = 1 / problem.finish[1] if problem.finish[1] else 0.0
    scalars = (problem.outer, problem.kept, problem.rows, problem.pixels, tiles, chunks, chunk, scale,
               *(step for each in problem.strides for step in each[:3]))  # fmt: skip
    xs = tuple(f"x{i}" for i in range(operands))
    ys = tuple(f"y{i}" for i in range(len(problem.dtypes) - operands))
    grid = tiles * chunks * problem.outer, 1, 1
    if form.direct:
        return Plan((Step(made, grid, xs + ys, scalars),))
    count = problem.outer * problem.kept
    computed = "float64" if "float64" in problem.dtypes else "float32"
    last = joined(problem.key, problem.finish, (problem.dtypes[operands - 1], *problem.dtypes[operands:]), shifted)
    end = Step(last, (-(count // -128), 1, 1), (xs[-1], "parts", *ys), (count, chunks, problem.strides[-1][1], scale))
    size = count * chunks * len(terms(problem.key, "float32"))
    return Plan((Step(made, grid, (*xs, "parts"), scalars), end), {"parts": (size, computed)})


ROW = Row("reduced", lambda problem: True, plan)
