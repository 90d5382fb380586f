"""How a tile's sums leave the registers: through shared memory, so that they are stored 16 bytes at a time."""

from typing import Any

from cnnfast.backends.cuda.activations import activation
from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.matrix import store_pairs
from cnnfast.backends.cuda.intrinsics.memory import load_vector
from cnnfast.backends.cuda.kernels.tensor_loads import Tile
from cnnfast.backends.cuda.toolchain import device, types
from cnnfast.backends.cuda.tuples import each

load4 = load_vector(4)


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


def finish(dtype: str, tile: Tile, after: tuple[str | None, float], has_bias: bool, has_residual: bool) -> Any:
    """finish(thread, sums, m, count, k, filters, first, bias, residual, y, pitch): bias, residual, activation, and y.

    m, k: the tile's first pixel and filter of `count` and `filters` (of the group, whose first is `first`); pitch:
    elements from one pixel of y to the next.
    """
    element = ELEMENTS[dtype]
    width = element.width
    activate = each(activation(*after), width)
    load_wide, store_wide = element.load_wide, element.store_wide
    columns, pieces, threads = tile.columns // width, tile.rows * tile.columns // width, tile.threads
    wide = tile.columns

    def plus(a: Any, b: Any) -> Any:
        return a + b

    add = each(device(plus), width, 2)

    def load_eight(sums: Any, row: Any, piece: Any) -> Any:
        at = row * wide + (piece ^ row & 3) * 8
        a, b, c, d = load4(sums, at)
        e, f, g, h = load4(sums, at + 4)
        return a, b, c, d, e, f, g, h

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
                values = load(sums, row, piece)
                if has_bias:
                    values = add(values, load_wide(bias, first + at_k))
                if has_residual:
                    values = add(values, load_wide(residual, at_y))
                store_wide(y, at_y, activate(values))

    return device(finish)
