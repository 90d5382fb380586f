"""mapped: y = f(a, b, ...) of each element, every operand broadcast by its strides: what activations, add, multiply,
prelu, batch_norm and their gradients are.

Axes that lie alike in all operands are made one, so that what lies densely is one line. The last axis is read in
16-byte vectors where every operand steps by 1 or 0 along it; a thread makes several along that axis or the one before
it, and reads once what does not change between them. All loads stand before the first store, so that they overlap.

Bytes moved: each operand once and y once, the least there is; what is broadcast comes from the cache.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from cnnfast.backends.cuda.elements import ELEMENTS, access, wide_needs
from cnnfast.backends.cuda.generate import generated, member, tuple_of
from cnnfast.backends.cuda.intrinsics.arithmetic import quotient
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.toolchain import types

from .functions import Key, function

THREADS = 256


class Map(NamedTuple):
    """y[i] = f(operands[i]). shape: without what could be merged (`collapsed`); strides: y's, then each operand's."""

    key: Key
    shape: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    """y's, then each operand's."""
    aligned: bool = True
    """Every array that steps along the last axis starts at a multiple of 16 bytes."""


def collapsed(
    shape: Sequence[int], strides: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The same walk with fewer axes, in the order of the first strides: (shape, strides)."""
    axes = sorted((i for i, size in enumerate(shape) if size != 1), key=lambda i: -abs(strides[0][i]))
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for i in axes:
        if sizes and all(mine[-1] == given[i] * shape[i] for mine, given in zip(steps, strides, strict=True)):
            sizes[-1] *= shape[i]
            for mine, given in zip(steps, strides, strict=True):
                mine[-1] = given[i]
            continue
        sizes.append(shape[i])
        for mine, given in zip(steps, strides, strict=True):
            mine.append(given[i])
    return tuple(sizes) or (1,), tuple(tuple(each) if sizes else (0,) for each in steps)


class Form(NamedTuple):
    """How a thread walks. lanes: of a vector. items: vectors of a thread, `along` the "inner" axis or the "row" one
    before it. width: threads of a block along the inner axis. axes: how many there are."""

    axes: int
    lanes: int
    items: int
    along: str
    width: int


@kernel
def mapped(key: Key, dtypes: tuple[str, ...], steps: tuple[tuple[Any, bool], ...], form: Form) -> Kernel:
    """steps: of y and each operand: (0, 1 or "s", how it steps along the inner axis; whether it does along rows)."""
    elements = [ELEMENTS[dtype] for dtype in dtypes]
    computed = "float64" if "float64" in dtypes else "float32"
    axes, lanes, items, along, width = form
    names = [f"p{i}" for i in range(len(dtypes))]
    outer = axes - 1
    known: dict[str, Any] = {"f": function(key, computed), "quotient": quotient}
    scalars = ["inner", "inner_tiles", *(["rows", "row_tiles"] if outer else []), *(f"n{k}" for k in range(1, outer))]
    lines = ["rest = tile = cuda.blockIdx.x", "inner_tile = tile"]
    if outer:
        lines += ["rest = quotient(tile, inner_tiles)", "inner_tile = tile - rest * inner_tiles"]
    per_tile = width * (items if along == "inner" else 1)
    lines.append(f"j = (inner_tile * {per_tile} + cuda.threadIdx.x) * {lanes}")
    for u in range(items if along == "inner" else 1):
        lines += [f"j{u} = j + {u * width * lanes}", f"c{u} = min(j{u}, inner - {lanes})"]
    if outer:
        height = THREADS // width
        per_tile = height * (items if along == "row" else 1)
        lines += ["tile = rest", "rest = quotient(tile, row_tiles)"]
        lines.append(f"r = (tile - rest * row_tiles) * {per_tile} + cuda.threadIdx.y")
        for u in range(items if along == "row" else 1):
            lines += [f"r{u} = r + {u * height}", f"d{u} = min(r{u}, rows - 1)"]
    for k in range(1, outer):  # o1 is the axis before the rows, then outwards
        split = ["tile = rest", f"rest = quotient(tile, n{k})", f"o{k} = tile - rest * n{k}"]
        lines += [f"o{k} = rest"] if k == outer - 1 else split
    places: list[list[str]] = []
    for i, (inner_step, has_row) in enumerate(steps):
        base = [f"o{k} * s{i}_{k}" for k in range(1, outer)]
        scalars += [f"s{i}_{k}" for k in range(1, outer)]
        if has_row:
            scalars.append(f"s{i}_row")
        if inner_step == "s":
            scalars.append(f"s{i}_inner")
        lines.append(f"b{i} = {' + '.join(base) or 0}")
        own = []
        for u in range(items):
            c, d = (u, 0) if along == "inner" else (0, u)
            at = f"b{i}" + (f" + d{d} * s{i}_row" if has_row else "")
            own.append(at + {0: "", 1: f" + c{c}", "s": f" + c{c} * s{i}_inner"}[inner_step])
        places.append(own)
        known[f"load{i}"], known[f"store{i}"] = access(dtypes[i], lanes if inner_step == 1 else 1)
    seen: dict[tuple[int, str], str] = {}
    for u in range(items):
        for i in range(1, len(dtypes)):
            if (i, places[i][u]) not in seen:
                seen[i, places[i][u]] = f"v{i}_{u}"
                lines.append(f"v{i}_{u} = load{i}({names[i]}, {places[i][u]})")
    for u in range(items):
        values = [(seen[i, places[i][u]], lanes if steps[i][0] == 1 else 1) for i in range(1, len(dtypes))]
        calls = (f"f({', '.join(member(name, lane, n) for name, n in values)})" for lane in range(lanes))
        lines.append(f"y{u} = {tuple_of(calls)}")  # ahead of all the ifs: what they share is computed once
    for u in range(items):
        c, d = (u, 0) if along == "inner" else (0, u)
        lines.append(f"if j{c} < inner{f' and r{d} < rows' if outer else ''}:")
        lines.append(f"    store0(p0, {places[0][u]}, y{u})")
    written_last = [*range(1, len(dtypes)), 0]
    parameters = (*(elements[i].pointer for i in written_last), *(types.int64,) * len(scalars))
    made = generated("mapped", [*(names[i] for i in written_last), *scalars], lines, **known)
    needs = wide_needs(dtypes[0]) if lanes > 1 else ()
    return Kernel("", made, parameters, (width, THREADS // width if outer else 1, 1), needs=needs)


def form(problem: Map, items: int) -> Form:
    """The form that moves the widest vectors."""
    inner, axes = problem.shape[-1], len(problem.shape)
    width = max(ELEMENTS[dtype].bytes for dtype in problem.dtypes)
    lanes = 16 // min(ELEMENTS[problem.dtypes[0]].bytes, width)
    at_once = problem.aligned and inner % lanes == 0 and all(
        steps[-1] in (0, 1) and all(step % lanes == 0 for step in steps[:-1] if steps[-1] == 1)
        for steps in problem.strides
    ) and problem.strides[0][-1] == 1  # fmt: skip
    lanes = lanes if at_once else 1
    vectors = inner // lanes
    if axes == 1:
        return Form(1, lanes, items, "inner", THREADS)
    row_held = any(steps[-1] == 1 and steps[-2] == 0 for steps in problem.strides)
    if row_held or vectors < 32:
        # twice the rows: what is held is read and prepared once for all of them
        return Form(axes, lanes, 2 * items, "row", math.ceil(vectors / math.ceil(vectors / THREADS)))
    walks = [(n, width) for n in (items, items // 2, 1) if n for width in (256, 128, 64, 32)]

    def busy(walk: tuple[int, int]) -> float:
        """The share of the threads' vectors that there are."""
        return vectors / (math.ceil(vectors / math.prod(walk)) * math.prod(walk))

    n, width = max(walks, key=lambda walk: (min(0.85, busy(walk)), walk))
    return Form(axes, lanes, n, "inner", width)


def plan(problem: Map, items: int) -> Plan:
    """One launch."""
    shape, strides = problem.shape, problem.strides
    found = form(problem, items)
    steps = tuple(
        (each[-1] if each[-1] in (0, 1) else "s", len(shape) > 1 and each[-2] != 0) for each in strides
    )  # fmt: skip
    made = mapped(problem.key, problem.dtypes, steps, found)
    tiles = -(shape[-1] // -(found.lanes * found.width * (found.items if found.along == "inner" else 1)))
    scalars, blocks = [shape[-1], tiles], tiles
    if len(shape) > 1:
        height = THREADS // found.width
        row_tiles = -(shape[-2] // -(height * (found.items if found.along == "row" else 1)))
        scalars += [shape[-2], row_tiles]
        blocks *= row_tiles * math.prod(shape[:-2])
        scalars += reversed(shape[:-2])
    for each, (inner_step, has_row) in zip(strides, steps, strict=True):
        scalars += reversed(each[:-2])
        scalars += [each[-2]] if has_row else []
        scalars += [each[-1]] if inner_step == "s" else []
    names = (*(f"x{i}" for i in range(1, len(strides))), "y")
    return Plan((Step(made, (blocks, 1, 1), names, tuple(scalars)),) if blocks else ())


def tiles(problem: Map) -> tuple[int, ...]:
    """Vectors of a thread: two keep 64 KiB of loads under way in a full multiprocessor, twice what latency asks."""
    return (2,)


ROW = Row("mapped", lambda problem: True, plan, tiles)
