"""How a tile's sums leave the registers: through shared memory, so that they are stored 16 bytes at a time."""

from typing import Any

from cnnfast.backends.cuda.activations import activation
from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.matrix import store_pairs
from cnnfast.backends.cuda.intrinsics.memory import load_vector
from cnnfast.backends.cuda.kernel import Kernel, kernel
from cnnfast.backends.cuda.kernels.tensor_loads import Tile
from cnnfast.backends.cuda.toolchain import cuda, device, types
from cnnfast.backends.cuda.tuples import each

load4 = load_vector(4)


@device
def load8(p: Any, i: Any) -> Any:
    """Eight floats, in two accesses."""
    a, b, c, d = load4(p, i)
    e, f, g, h = load4(p, i + 4)
    return a, b, c, d, e, f, g, h


@device
def plus(a: Any, b: Any) -> Any:
    return a + b


def keep(tile: Tile, row_tiles: int, column_tiles: int) -> Any:
    """keep(sums, row, column, acc): a lane's fragments (intrinsics/matrix.py) of row_tiles x column_tiles, whose first
    is at (row, column), to their places in shared memory. Groups of 8 columns are swizzled by the row: four rows' pairs
    fill the banks once."""
    places = tuple(
        (8 * j, (16 * i + 8 * half) * tile.columns)
        for i in range(row_tiles) for j in range(column_tiles) for half in (0, 1)
    )  # fmt: skip
    store = store_pairs(places)
    columns = tile.columns

    def keep(sums: Any, row: Any, column: Any, lane: Any, acc: Any) -> None:
        at = row + lane // 4
        store(sums, at * columns + (column // 8 ^ at & 3) * 8 + lane % 4 * 2, acc)

    return device(keep)


def output(dtype: str, after: tuple[str | None, float], has_bias: bool, has_residual: bool) -> Any:
    """put(values, k, at, bias, residual, y): 16 bytes of y from y[at] on, its filters from k on."""
    element = ELEMENTS[dtype]
    activate = each(activation(*after), element.width)
    load_wide, store_wide = element.load_wide, element.store_wide

    add = each(plus, element.width, 2)

    def put(values: Any, k: Any, at: Any, bias: Any, residual: Any, y: Any) -> None:
        if has_bias:
            values = add(values, load_wide(bias, k))
        if has_residual:
            values = add(values, load_wide(residual, at))
        store_wide(y, at, activate(values))

    return device(put)


def finish(dtype: str, tile: Tile, after: tuple[str | None, float], has_bias: bool, has_residual: bool) -> Any:
    """finish(thread, sums, m, count, k, filters, first, bias, residual, y, pitch): bias, residual, activation, and y.

    m, k: the tile's first pixel and filter of `count` and `filters` (of the group, whose first is `first`); pitch:
    elements from one pixel of y to the next.
    """
    width = ELEMENTS[dtype].width
    put = output(dtype, after, has_bias, has_residual)
    columns, pieces, threads = tile.columns // width, tile.rows * tile.columns // width, tile.threads
    wide = tile.columns

    def load_eight(sums: Any, row: Any, piece: Any) -> Any:
        at = row * wide + (piece ^ row & 3) * 8
        return load8(sums, at)

    def load_four(sums: Any, row: Any, piece: Any) -> Any:
        return load4(sums, row * wide + (piece // 2 ^ row & 3) * 8 + piece % 2 * 4)

    load = device(load_eight if width == 8 else load_four)

    def finish(
        thread: Any, sums: Any, m: Any, count: Any, k: Any, filters: Any, first: Any, bias: Any, residual: Any, y: Any,
        pitch: Any,
    ) -> None:  # fmt: skip
        for i in range(thread, pieces, threads):
            row, piece = i // columns, i % columns
            at_m, at_k = m + row, k + piece * width
            if at_m < count and at_k < filters:
                at_y = types.int64(at_m) * pitch + first + at_k
                put(load(sums, row, piece), first + at_k, at_y, bias, residual, y)

    return device(finish)


@kernel
def add_parts(dtype: str, after: tuple[str | None, float], has_bias: bool, has_residual: bool) -> Kernel:
    """y from its sums' parts, one whole set after the other: added in their order, so that y's bits are always the
    same. A thread has 16 bytes of y."""
    element = ELEMENTS[dtype]
    width = element.width
    put = output(dtype, after, has_bias, has_residual)

    add = each(plus, width, 2)

    load = load8 if width == 8 else load4

    def added(
        parts: Any, bias: Any, residual: Any, y: Any, splits: Any, count: Any, K: Any, pitch: Any
    ) -> None:
        i = types.int64(cuda.grid(1)) * width
        if i < count:
            total = load(parts, i)
            for part in range(1, splits):
                total = add(total, load(parts, part * count + i))
            put(total, i % K, i // K * pitch + i % K, bias, residual, y)

    parameters = (ELEMENTS["float32"].pointer, *(element.pointer,) * 3, *(types.int64,) * 4)
    return Kernel("", added, parameters, (128, 1, 1), 0, 0, ("ld.global.v4", "st.global.v4"))
