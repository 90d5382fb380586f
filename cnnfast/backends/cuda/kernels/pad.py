"""Images padded otherwise than with zeros: a copy with its border, and the gradient of that copy."""

from typing import Any

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.integers import over
from cnnfast.backends.cuda.kernel import Kernel, Step, kernel
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import cuda, types

from .conv_plain import border
from .im2col import unfold

THREADS = 128
NONE = (0, 0), (0, 0)


def padded(problem: Conv) -> tuple[Conv, int]:
    """The convolution of the copy (NHWC, without gaps), and the copy's elements."""
    H, W = (size + sum(sides) for size, sides in zip((problem.H, problem.W), problem.padding, strict=True))
    row, image = W * problem.C, H * W * problem.C
    conv = problem._replace(H=H, W=W, padding=NONE, padding_mode="zeros", x_strides=(image, row, problem.C, 1))
    return conv, problem.N * image


def padding(problem: Conv, arrays: tuple[str, str]) -> Step:
    """x to the copy."""
    conv, count = padded(problem)
    scalars = (
        count, conv.C, 1, conv.C, 1, 1, problem.H, problem.W, conv.H, conv.W, 1, 1, 1, 1, problem.padding[0][0],
        problem.padding[1][0], *problem.x_strides,
    )  # fmt: skip
    return Step(unfold(problem.dtype, problem.padding_mode), (-(count // -THREADS), 1, 1), arrays, scalars)


@kernel
def fold(dtype: str, mode: str) -> Kernel:
    """x[n,h,w,c] = the sum of the copy's pixels that stand for (h, w): itself, and those of the border."""
    element, inside = ELEMENTS[dtype], border(mode)
    load, store, zero = element.load, element.store, element.computed(0)

    def folded(
        copy: Any, x: Any, count: Any, H: Any, W: Any, C: Any, top: Any, left: Any, rows: Any, columns: Any, xn: Any,
        xh: Any, xw: Any, xc: Any,
    ) -> None:  # fmt: skip
        i = np.int32(cuda.grid(1))
        if i >= count:
            return
        pixel = over(i, C)
        line = over(pixel, W)
        n = over(line, H)
        c, w, h = i - pixel * C, pixel - line * W, line - n * H
        total = zero
        for a in range(rows - H + 1):
            r = np.int32(a if a < top else h + top if a == top else a + H - 1)
            if inside(r - top, H) == h:
                for b in range(columns - W + 1):
                    s = np.int32(b if b < left else w + left if b == left else b + W - 1)
                    if inside(s - left, W) == w:
                        total += load(copy, ((n * rows + r) * columns + s) * C + c)
        store(x, n * xn + h * xh + w * xw + c * xc, total)

    return Kernel("", folded, (element.pointer, element.pointer, *(types.int32,) * 12), (THREADS, 1, 1))


def folding(problem: Conv, arrays: tuple[str, str]) -> Step:
    """The copy's gradient to x's."""
    conv, count = padded(problem)[0], problem.N * problem.H * problem.W * problem.C
    scalars = (
        count, problem.H, problem.W, problem.C, problem.padding[0][0], problem.padding[1][0], conv.H, conv.W,
        *problem.x_strides,
    )  # fmt: skip
    return Step(fold(problem.dtype, problem.padding_mode), (-(count // -THREADS), 1, 1), arrays, scalars)
