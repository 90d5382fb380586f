"""Winograd's ways in and out: kernels that transform the weights, the input's tiles, and the sums of products.

A thread has one tile of one channel in registers: 36 values, which lie `plane` apart in scratch. Where the picture and
scratch have different fastest axes a warp covers 8 of the one and 4 of the other, so that both are met in whole sectors
of 32 bytes.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from cnnfast.backends.cuda.activations import activation
from cnnfast.backends.cuda.intrinsics.arithmetic import quotient
from cnnfast.backends.cuda.intrinsics.memory import load_vector, store_vector
from cnnfast.backends.cuda.intrinsics.repeat import repeated
from cnnfast.backends.cuda.intrinsics.tuples import collect, masked, scatter, transpose
from cnnfast.backends.cuda.kernel import Kernel, kernel
from cnnfast.backends.cuda.toolchain import cuda, device, pointer, types

from .winograd_tiles import inputs, outputs, taps

FLOAT: Final = pointer(types.float32)
THREADS: Final = 128
ZERO, FOUR = np.float32(0), np.int32(4)


class Lanes(NamedTuple):
    """A block's threads: how many tiles lie side by side, and how many channels."""

    tiles: int
    channels: int


def _weights(n: Any, p: Any, i: Any, step: Any, valid: Any) -> Any:
    return p[i + n * step] if valid else ZERO


def _offset(i: Any, first: Any, size: Any, step: Any) -> Any:
    return np.int32(min(max(first + i, 0), size - 1) * step)


def _mask(i: Any, first: Any, size: Any) -> Any:
    return np.int32(-1) if first + i >= 0 and first + i < size else np.int32(0)


def _row(i: Any, offset: Any, mask: Any, x: Any, at: Any, columns: Any, masks: Any) -> Any:
    """B^T of a row of pixels, of which those beyond an edge are zeros."""
    return inputs(masked(x, np.int32(at + offset), columns, mask, masks))


def _taps(i: Any, values: Any) -> Any:
    return taps(values)


def _inputs(i: Any, values: Any) -> Any:
    return inputs(values)


def _outputs(i: Any, values: Any) -> Any:
    return outputs(values)


def _plus(i: Any, value: Any, b: Any) -> Any:
    return value + b


def _put(i: Any, row: Any, to: Any, at: Any, plane: Any) -> Any:
    scatter(to, at + 6 * i * plane, plane, row)
    return 0


_weights_3, _offsets, _masks, _collect = repeated(_weights, 3), repeated(_offset, 6), repeated(_mask, 6), collect(6)
_rows, _inputs_6 = repeated(_row, 6, offset=1, mask=1), repeated(_inputs, 6, values=1)
_outputs_4 = repeated(_outputs, 4, values=1)
_taps_3, _taps_6, _add = repeated(_taps, 3, values=1), repeated(_taps, 6, values=1), repeated(_plus, 4, value=1)
_put_tile = repeated(_put, 6, row=1)
"""Product (i, j) of a tile's six rows to plane 6 i + j."""


@kernel
def winograd_weights() -> Kernel:
    """U[f][c][k] of weight[r][s][c][k], (G g G^T)[f]; zeros where there is no such channel."""

    def transform(
        weight: Any, u: Any, C: Any, K: Any, all_k: Any, plane: Any, wr: Any, ws: Any, wc: Any, wk: Any
    ) -> None:  # fmt: skip
        k, c = np.int32(cuda.grid(1)), np.int32(cuda.blockIdx.y)
        if k >= all_k:
            return
        there, at = c < C and k < K, c * wc + k * wk
        rows = _taps_3(
            (
                _weights_3(weight, at, ws, there), _weights_3(weight, at + wr, ws, there),
                _weights_3(weight, at + wr + wr, ws, there),
            )
        )  # fmt: skip
        _put_tile(transpose(_taps_6(transpose(rows))), u, c * all_k + k, plane)

    return Kernel("", transform, (FLOAT, FLOAT, *(types.int32,) * 8), (THREADS, 1, 1))


@kernel
def winograd_inputs(lanes: Lanes) -> Kernel:
    """V[f][c][t] of the tiles from the `first` on, (B^T d B)[f]."""

    def transform(
        x: Any, v: Any, first: Any, tiles: Any, down: Any, across: Any, H: Any, W: Any, C: Any, all_c: Any, all_t: Any,
        top: Any, left: Any, xn: Any, xh: Any, xw: Any, xc: Any,
    ) -> None:  # fmt: skip
        i, j = cuda.grid(2)
        t, c = np.int32(i), np.int32(j)
        if c >= all_c or t >= all_t:
            return
        tile = min(first + t, tiles - np.int32(1))  # beyond the last one: a product that nothing reads
        row = quotient(tile, across)
        n = quotient(row, down)
        w, h = (tile - row * across) * FOUR - left, (row - n * down) * FOUR - top
        at = n * xn + min(c, C - 1) * xc  # beyond the last channel the weights are zeros
        columns, masks = _offsets(w, W, xw), _masks(w, W)
        rows = _rows(_offsets(h, H, xh), _masks(h, H), x, at, columns, masks)
        _put_tile(transpose(_inputs_6(transpose(rows))), v, c * all_t + t, all_c * all_t)

    return Kernel("", transform, (FLOAT, FLOAT, *(types.int32,) * 15), (lanes.tiles, lanes.channels, 1))


@kernel
def winograd_outputs(
    lanes: Lanes, wide: bool, after: tuple[str | None, float], has_bias: bool, has_residual: bool
) -> Kernel:
    """y of the tiles from the `first` on: A^T M A of M[f][t][k], with the epilogue. `wide`: Q is a multiple of 4, and a
    row's four outputs are one access."""
    activate = activation(*after)
    load, store = load_vector(4), store_vector(4)

    def finished(i: Any, value: Any, y: Any, residual: Any, at: Any, step: Any, q: Any, Q: Any) -> Any:
        if q + i < Q:
            if has_residual:
                value += residual[at + i * step]
            y[at + i * step] = activate(value)
        return 0

    def ended(i: Any, value: Any, added: Any) -> Any:
        return activate(value + added if has_residual else value)

    finish, end = repeated(finished, 4, value=1), repeated(ended, 4, value=1, added=1)

    @device
    def put_row(y: Any, residual: Any, at: Any, step: Any, q: Any, Q: Any, values: Any) -> None:
        if not wide:
            finish(values, y, residual, at, step, q, Q)
        else:
            store(y, at, end(values, load(residual, at) if has_residual else values))

    def sums_of_row(i: Any, m: Any, at: Any, plane: Any) -> Any:
        return outputs(_collect(m, at + 6 * i * plane, plane))

    sums = repeated(sums_of_row, 6)

    def transform(
        m: Any, bias: Any, residual: Any, y: Any, first: Any, tiles: Any, down: Any, across: Any, P: Any, Q: Any,
        K: Any, all_k: Any, all_t: Any, yn: Any, yp: Any, yq: Any, yk: Any,
    ) -> None:  # fmt: skip
        i, j = cuda.grid(2)
        k, t = np.int32(i), np.int32(j)
        tile = first + t
        if k >= K or t >= all_t or tile >= tiles:
            return
        row = quotient(tile, across)
        n = quotient(row, down)
        q, p = (tile - row * across) * FOUR, (row - n * down) * FOUR
        found = _outputs_4(transpose(sums(m, t * all_k + k, all_k * all_t)))
        rows = transpose(found)
        start = bias[k] if has_bias else ZERO
        at = n * yn + p * yp + q * yq + k * yk
        for below in range(4):
            if p + np.int32(below) < P:
                put_row(y, residual, at, yq, q, Q, _add(rows[0], start))
            rows = (rows[1], rows[2], rows[3], rows[0])  # one copy of the epilogue's code
            at += yp

    return Kernel("", transform, (*(FLOAT,) * 4, *(types.int32,) * 13), (lanes.channels, lanes.tiles, 1))
