"""im2col: what each output pixel meets written out as a row, then a product of two matrices.

It writes and reads R * S times the input, which `direct` does not: it takes the other paddings, and few channels of
many taps, of which a slice of `direct` would be mostly zeros.
"""

from typing import Any

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.integers import over
from cnnfast.backends.cuda.kernel import GRID, Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import cuda, types

from . import product
from .conv_plain import border
from .pack import packing
from .product import LIMIT, Product, Setting

THREADS = 128


@kernel
def unfold(dtype: str, mode: str) -> Kernel:
    """columns[pixel][group][r, s, c], one thread an element; a row is rounded up with zeros."""
    element, inside = ELEMENTS[dtype], border(mode)
    stored = element.stored

    def unfolded(
        x: Any, columns: Any, count: Any, row: Any, groups: Any, C: Any, R: Any, S: Any, H: Any, W: Any, P: Any, Q: Any,
        stride_h: Any, stride_w: Any, dilation_h: Any, dilation_w: Any, top: Any, left: Any, xn: Any, xh: Any, xw: Any,
        xc: Any,
    ) -> None:  # fmt: skip
        i = np.int32(cuda.grid(1))
        if i >= count:
            return
        part = over(i, row)
        tap, pixel = np.int32(i - part * row), over(part, groups)
        point, line = over(tap, C), over(pixel, Q)
        r, n = over(point, S), over(line, P)
        h = inside((line - n * P) * stride_h - top + r * dilation_h, H)
        w = inside((pixel - line * Q) * stride_w - left + (point - r * S) * dilation_w, W)
        if r < R and h >= 0 and w >= 0:
            c = (part - pixel * groups) * C + tap - point * C
            columns[i] = x[n * xn + h * xh + w * xw + c * xc]
        else:
            columns[i] = stored(0)

    return Kernel("", unfolded, (element.pointer, element.pointer, *(types.int32,) * 20), (THREADS, 1, 1))


def rows(problem: Conv) -> int:
    """Elements of a pixel's row and group, rounded up to 16 bytes of any dtype."""
    return -(problem.R * problem.S * problem.C // problem.groups // -8) * 8


def matrices(problem: Conv) -> Product:
    """The product of the columns by the weights, as a convolution of 1 x 1."""
    filters, length = problem.K // problem.groups, rows(problem)
    wide = -(filters // -4) * 4
    full = length * problem.groups
    conv = problem._replace(
        H=problem.P, W=problem.Q, C=full, R=1, S=1, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1),
        x_strides=(problem.P * problem.Q * full, problem.Q * full, full, 1), weight_strides=(0, 0, wide, 1),
        padding_mode="zeros",
    )  # fmt: skip
    return Product(conv, length * wide, arrays=("columns", "matrix", "y"), rounded=True)


def plan(problem: Conv, tile: Setting) -> Plan:
    """The columns, the matrix of weights, and their product."""
    groups = problem.groups
    channels, filters = problem.C // groups, problem.K // groups
    count = problem.pixels * groups * rows(problem)
    scalars = (
        count, rows(problem), groups, channels, problem.R, problem.S, problem.H, problem.W, problem.P, problem.Q,
        *problem.stride, *problem.dilation, problem.padding[0][0], problem.padding[1][0], *problem.x_strides,
    )  # fmt: skip
    made = unfold(problem.dtype, problem.padding_mode)
    columns = Step(made, (-(count // -THREADS), 1, 1), ("x", "columns"), scalars)
    strides = filters * problem.weight_strides[3], *problem.weight_strides
    sizes = groups, problem.R, problem.S, channels, filters
    matrix, weights, _ = packing(problem.dtype, ("weight", "matrix"), sizes, strides, 0, 8)
    last = product.plan(matrices(problem), tile)
    scratch = {"columns": (count, problem.dtype), "matrix": (weights, problem.dtype), **last.scratch}
    return Plan((columns, matrix, *last.steps), scratch)


def takes(problem: Conv) -> bool:
    """Where the columns, too, are within 32 bits; as `direct` of groups that fill a tile somewhat."""
    size = max(*product.reach(problem), problem.pixels * problem.groups * rows(problem))
    return size < LIMIT and problem.groups <= GRID[1] and product.filled(problem)


ROW = Row("im2col", takes, plan, lambda problem: product.settings(matrices(problem)))
