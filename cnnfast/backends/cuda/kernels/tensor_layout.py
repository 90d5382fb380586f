"""Arrays as tensor cores want them, and back: pixels and filters in rows of contiguous channels.

Both kernels take a square of 32 x 32 elements a block through shared memory, so that it is read along one axis and
written along the other, each time by neighbouring threads in neighbouring places.
"""

from typing import Any

from cnnfast.backends.cuda.activations import activation
from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.kernel import Kernel, Step, kernel
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import cuda, types

SIDE, PITCH, STRIPE = 32, 33, 8
"""Of a square, from row to row in shared memory, and its rows at a time."""


def squares(rows: int, columns: int) -> tuple[int, int, int]:
    """The grid."""
    return -(rows // -SIDE), -(columns // -SIDE), 1


@kernel
def gather(dtype: str, along_rows: bool) -> Kernel:
    """out[i, j], rows x columns, from source by three axes of each: i = (i // (A1 A2), i // A2 % A1, i % A2), and j by
    B1, B2 alike; the innermost of j has `held` places in source, and zeros beyond. along_rows: source is contiguous
    along i."""
    element = ELEMENTS[dtype]
    stored = element.stored
    nothing = stored(0)

    def gather(
        source: Any, out: Any, rows: Any, columns: Any, held: Any, A1: Any, A2: Any, a0: Any, a1: Any, a2: Any, B1: Any,
        B2: Any, b0: Any, b1: Any, b2: Any,
    ) -> None:  # fmt: skip
        square = cuda.shared.array((SIDE, PITCH), stored)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        row, column = cuda.blockIdx.x * SIDE, cuda.blockIdx.y * SIDE
        for k in range(y, SIDE, STRIPE):
            i, j = (x, k) if along_rows else (k, x)
            at, to = row + i, column + j
            found = nothing
            if at < rows and to < columns and to % B2 < held:
                first = at // (A1 * A2) * a0 + at // A2 % A1 * a1 + at % A2 * a2
                found = source[first + to // (B1 * B2) * b0 + to // B2 % B1 * b1 + to % B2 * b2]
            square[i, j] = found
        cuda.syncthreads()
        for k in range(y, SIDE, STRIPE):
            if row + k < rows and column + x < columns:
                out[(row + k) * columns + column + x] = square[k, x]

    return Kernel("", gather, (element.pointer,) * 2 + (types.int64,) * 13, (SIDE, STRIPE, 1))


def weights_by_filter(problem: Conv, channels: int) -> Step:
    """rearranged[k, r, s, c], zero from the weights' own channels to `channels`."""
    places, held = problem.R * problem.S * channels, problem.C // problem.groups
    wr, ws, wc, wk = problem.weight_strides
    scalars = problem.K, places, held, 1, problem.K, 0, 0, wk, problem.S, channels, wr, ws, wc
    return Step(gather(problem.dtype, wk == 1), squares(problem.K, places), ("weight", "rearranged"), scalars)


def channels_last(problem: Conv, channels: int) -> Step:
    """packed[n, h, w, c], zero from x's own channels to `channels`."""
    xn, xh, xw, xc = problem.x_strides
    pixels = problem.N * problem.H * problem.W
    scalars = pixels, channels, problem.C, problem.H, problem.W, xn, xh, xw, 1, channels, 0, 0, xc
    return Step(gather(problem.dtype, xw == 1), squares(pixels, channels), ("x", "packed"), scalars)


@kernel
def turn_parts(dtype: str, after: tuple[str | None, float], has_bias: bool, has_residual: bool) -> Kernel:
    """y, of any strides, from its sums' parts [part, pixel, k], added in their order."""
    element = ELEMENTS[dtype]
    load, store, activate = element.load, element.store, activation(*after)

    def turned(
        parts: Any, bias: Any, residual: Any, y: Any, splits: Any, pixels: Any, K: Any, P: Any, Q: Any, yn: Any,
        yp: Any, yq: Any, yk: Any,
    ) -> None:  # fmt: skip
        square = cuda.shared.array((SIDE, PITCH), types.float32)
        tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
        pixel, k = cuda.blockIdx.x * SIDE, cuda.blockIdx.y * SIDE
        for i in range(ty, SIDE, STRIPE):
            if pixel + i < pixels and k + tx < K:
                at = (pixel + i) * K + k + tx
                total = parts[at]
                for part in range(1, splits):
                    total += parts[part * pixels * K + at]
                square[i, tx] = total
        cuda.syncthreads()
        m = pixel + tx
        base = m // (P * Q) * yn + m // Q % P * yp + m % Q * yq
        for i in range(ty, SIDE, STRIPE):
            if m < pixels and k + i < K:
                total = square[tx, i]
                if has_bias:
                    total += load(bias, k + i)
                if has_residual:
                    total += load(residual, base + (k + i) * yk)
                store(y, base + (k + i) * yk, activate(total))

    parameters = (ELEMENTS["float32"].pointer, *(element.pointer,) * 3, *(types.int64,) * 9)
    return Kernel("", turned, parameters, (SIDE, STRIPE, 1))
