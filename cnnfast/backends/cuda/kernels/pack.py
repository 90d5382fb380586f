"""Weights that lie otherwise, brought to where a product's wide loads find them: [group][r, s, c][k]."""

from typing import Any

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.integers import over
from cnnfast.backends.cuda.kernel import Kernel, Step, kernel
from cnnfast.backends.cuda.toolchain import cuda, types

THREADS = 128


@kernel
def pack(dtype: str) -> Kernel:
    """One thread an element of the copy; the rows and columns that round it up are zero."""
    element = ELEMENTS[dtype]
    stored = element.stored

    def packed(
        weight: Any, out: Any, count: Any, columns: Any, rows: Any, K: Any, C: Any, S: Any, R: Any, w_group: Any,
        wr: Any, ws: Any, wc: Any, wk: Any, first: Any,
    ) -> None:  # fmt: skip
        i = np.int32(cuda.grid(1))
        if i >= count:
            return
        row = over(i, columns)
        group = over(row, rows)
        tap = np.int32(row - group * rows)
        point = over(tap, C)
        r = over(point, S)
        k, c, s = i - row * columns, tap - point * C, point - r * S
        if k < K and r < R:
            out[i] = weight[first + group * w_group + r * wr + s * ws + c * wc + k * wk]
        else:
            out[i] = stored(0)

    return Kernel("", packed, (element.pointer, element.pointer, *(types.int32,) * 13), (THREADS, 1, 1))


def packing(
    dtype: str, arrays: tuple[str, str], sizes: tuple[int, int, int, int, int], strides: tuple[int, int, int, int, int],
    first: int, rounded: int = 1,
) -> tuple[Step, int, tuple[int, int, int, int, int]]:  # fmt: skip
    """The step, the copy's elements and its strides. Sizes and strides go over groups, R, S, C and K; a group's
    R * S * C rows are rounded up to a multiple of `rounded`."""
    groups, R, S, C, K = sizes
    columns, rows = -(K // -4) * 4, -(R * S * C // -rounded) * rounded
    count = groups * rows * columns
    step = Step(pack(dtype), (-(count // -THREADS), 1, 1), arrays, (count, columns, rows, K, C, S, R, *strides, first))
    return step, count, (rows * columns, S * C * columns, C * columns, columns, 1)
