"""Weights that lie otherwise, brought to where a product's wide loads find them: [group][r][s][c][k], 16 bytes a row."""

from typing import Any

import numpy as np

from cnnfast.backends.cuda.kernel import Kernel, Step, kernel
from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.toolchain import cuda, types

THREADS = 128


@kernel
def pack(dtype: str) -> Kernel:
    """One thread an element of the copy; what rounds up a row is zero."""
    element = ELEMENTS[dtype]
    stored = element.stored

    def packed(
        weight: Any, out: Any, count: Any, row: Any, K: Any, C: Any, S: Any, R: Any, wr: Any, ws: Any, wc: Any, wk: Any,
        w_group: Any, first: Any,
    ) -> None:  # fmt: skip
        i = np.int32(cuda.grid(1))
        if i >= count:
            return
        k = i % row
        c = i // row % C
        s = i // (row * C) % S
        r = i // (row * C * S) % R
        group = i // (row * C * S * R)
        out[i] = weight[first + group * w_group + r * wr + s * ws + c * wc + k * wk] if k < K else stored(0)

    return Kernel("", packed, (element.pointer, element.pointer, *(types.int32,) * 12), (THREADS, 1, 1))


def packing(
    dtype: str, arrays: tuple[str, str], sizes: tuple[int, int, int, int, int], strides: tuple[int, int, int, int, int],
    first: int,
) -> tuple[Step, int, tuple[int, int, int, int, int]]:  # fmt: skip
    """The step, the copy's elements and its strides. Sizes and strides go over groups, R, S, C and K."""
    groups, R, S, C, K = sizes
    w_group, wr, ws, wc, wk = strides
    row = -(K // -4) * 4
    count = groups * R * S * C * row
    scalars = count, row, K, C, S, R, wr, ws, wc, wk, w_group, first
    step = Step(pack(dtype), (-(count // -THREADS), 1, 1), arrays, scalars)
    return step, count, (R * S * C * row, S * C * row, C * row, row, 1)
