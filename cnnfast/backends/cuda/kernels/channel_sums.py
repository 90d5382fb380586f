"""The gradient with respect to a bias: each channel's sum over pixels, in fixed parts, and then of the parts.

A block has 32 channels and 8 pixels at a time where channels lie side by side, else 8 channels and 32 pixels; it reads
each element once.
"""

from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.integers import divisor, quotient
from cnnfast.backends.cuda.intrinsics.repeat import repeated
from cnnfast.backends.cuda.intrinsics.tile import gather
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.problem import Strides
from cnnfast.backends.cuda.toolchain import cuda, types

from .product import LIMIT, PROCESSORS
from .sum_parts import second_step

THREADS = 256
AHEAD = 4
"""Loads of a thread that are under way at once."""


class Sums(NamedTuple):
    """sums[k] = the sum over n, p, q of y[n,p,q,k]; strides as in `Conv`."""

    N: int
    P: int
    Q: int
    K: int
    dtype: str
    y_strides: Strides


@kernel
def channel_sums(dtype: str, across: bool) -> Kernel:
    """parts[part][k]; across: channels lie side by side."""
    element = ELEMENTS[dtype]
    zero, read, computed = element.computed(0), gather(dtype, 1), element.computed
    channels = 32 if across else 8
    pixels = THREADS // channels

    def at(j: Any, y: Any, i: Any, end: Any, first: Any, P: Any, Q: Any, yn: Any, yp: Any, yq: Any) -> Any:
        m = np.int32(i + j * pixels)
        line = quotient(m, Q[1], Q[2])
        n = quotient(line, P[1], P[2])
        return read(y, np.int32(first + n * yn + (line - n * P[0]) * yp + (m - line * Q[0]) * yq), m < end)[0]

    reads = repeated(at, AHEAD)

    def sums(
        y: Any, parts: Any, count: Any, part: Any, K: Any, P: Any, P_factor: Any, P_shift: Any, Q: Any, Q_factor: Any,
        Q_shift: Any, yn: Any, yp: Any, yq: Any, yk: Any,
    ) -> None:  # fmt: skip
        shared = cuda.shared.array(THREADS, computed)
        t = np.int32(cuda.threadIdx.x)
        c, pixel = (t % channels, t // channels) if across else (t // pixels, t % pixels)
        k = np.int32(cuda.blockIdx.x * channels + c)
        i = np.int32(cuda.blockIdx.y * part + pixel)
        end = min(np.int32((cuda.blockIdx.y + 1) * part), count) if k < K else np.int32(0)
        total = zero
        while i < end:
            a, b, d, e = reads(y, i, end, k * yk, (P, P_factor, P_shift), (Q, Q_factor, Q_shift), yn, yp, yq)
            total += (a + b) + (d + e)
            i = np.int32(i + AHEAD * pixels)
        shared[np.int32(pixel * channels + c)] = total
        cuda.syncthreads()
        if t < channels:
            k = np.int32(cuda.blockIdx.x * channels + t)
            total = zero
            for j in range(pixels):
                total += shared[np.int32(j * channels + t)]
            if k < K:
                parts[np.int32(cuda.blockIdx.y * K + k)] = total

    out = ELEMENTS[computed.name].pointer
    scalars = [types.int64 if i in (4, 7) else types.int32 for i in range(13)]
    return Kernel("", sums, (element.pointer, out, *scalars), (THREADS, 1, 1), needs=("ld.global.nc",))


def plan(problem: Sums, tile: None) -> Plan:
    """The parts, and their sums."""
    N, P, Q, K, dtype, (yn, yp, yq, yk) = problem
    across = yk == 1 and (yq != 1 or Q == 1)
    channels, count = 32 if across else 8, N * P * Q
    blocks = -(K // -channels)
    part = -(count // -min(max(1, 4 * PROCESSORS // blocks), -(count // -256)))
    parts = -(count // -part)
    scalars = count, part, K, P, *divisor(P), Q, *divisor(Q), yn, yp, yq, yk
    first = Step(channel_sums(dtype, across), (blocks, parts, 1), ("y", "parts"), scalars)
    scratch = {"parts": (parts * K, ELEMENTS[dtype].computed.name)}
    return Plan((first, second_step(dtype, K, parts, ("parts", "", "", "bias"))), scratch)


def takes(problem: Sums) -> bool:
    """An array within 32 bits."""
    return sum((n - 1) * step for n, step in zip(problem[:4], problem.y_strides, strict=True)) < LIMIT


ROW = Row("direct", takes, plan)
