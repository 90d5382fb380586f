"""rows: a few rows of x by many filters, as fast as the weights come: each is read once, 16 bytes a thread.

A warp has `filters` of them and all of x's rows; its threads share the channels. The threads' sums meet in shared
memory, where each thread adds up 32 of them, in one order.
"""

from typing import Any

import numpy as np

from cnnfast.backends.cuda.activations import activation
from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.repeat import repeated
from cnnfast.backends.cuda.intrinsics.tile import dots, gather
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import cuda, types

from .product import LIMIT, multiple, reach
from .tile import width_of

WARPS = 4
MOST = 8
"""Rows of x: beyond, `direct` reads the weights no more often than it multiplies with them."""


@kernel
def linear_rows(dtype: str, M: int, after: tuple[str | None, float], has_bias: bool) -> Kernel:
    """The kernel for M rows. The fewer, the more loads of one filter are under way at once instead of filters."""
    element, width = ELEMENTS[dtype], width_of(dtype)
    filters, ahead = (1, 4) if M <= 2 else (2, 2) if M <= 4 else (4, 1)
    count = filters * M
    load, store, zero = element.load, element.store, element.computed(0)
    computed, read = element.computed, gather(dtype, width)
    activate = activation(*after, computed=computed.name)
    step, shared_size, nothing = 32 * width * ahead, WARPS * 33 * count, (zero,) * count
    multiply = dots(filters, M, width * ahead)

    def read_x(j: Any, x: Any, c: Any, C: Any, xw: Any) -> Any:
        at = np.int32(c + j % ahead * (32 * width))
        return read(x, np.int32(j // ahead * xw + at), at < C)

    def read_w(j: Any, weight: Any, k: Any, K: Any, c: Any, C: Any, wk: Any) -> Any:
        at, n = np.int32(c + j % ahead * (32 * width)), np.int32(k + j // ahead)
        return read(weight, np.int32(n * wk + at), at < C and n < K)

    def keep(j: Any, sums: Any, shared: Any, at: Any) -> Any:
        shared[np.int32(at + j * 33)] = sums
        return np.int32(0)

    reads_x, reads_w = repeated(read_x, M * ahead), repeated(read_w, filters * ahead)
    keeps = repeated(keep, count, sums=1)

    def linear(
        x: Any, weight: Any, bias: Any, y: Any, C: Any, K: Any, xw: Any, wk: Any, yq: Any, yk: Any
    ) -> None:
        shared = cuda.shared.array(shared_size, computed)
        t = np.int32(cuda.threadIdx.x)
        lane, warp = np.int32(t % 32), np.int32(t // 32)
        k = np.int32((cuda.blockIdx.x * WARPS + warp) * filters)
        c = np.int32(lane * width)
        sums = nothing
        for _ in range((C + step - 1) // step):
            sums = multiply(sums, reads_w(weight, k, K, c, C, wk), reads_x(x, c, C, xw))
            c = np.int32(c + step)
        first = np.int32(warp * (33 * count))
        keeps(sums, shared, np.int32(first + lane))
        cuda.syncthreads()
        if lane < count and k + lane % filters < K:
            total = zero
            for i in range(32):
                total += shared[np.int32(first + lane * 33 + i)]
            if has_bias:
                total += load(bias, np.int32(k + lane % filters))
            store(y, np.int32(lane // filters * yq + (k + lane % filters) * yk), activate(total))

    needs = ("ld.global.nc.v",)
    parameters = (*(element.pointer,) * 4, *(types.int32,) * 6)
    return Kernel("", linear, parameters, (32 * WARPS, 1, 1), needs=needs)


def plan(problem: Conv, tile: None) -> Plan:
    """One launch."""
    M = problem.Q
    made = linear_rows(problem.dtype, M, problem.activation, problem.has_bias)
    filters = 1 if M <= 2 else 2 if M <= 4 else 4
    strides = problem.x_strides[2], problem.weight_strides[3], problem.y_strides[2], problem.y_strides[3]
    step = Step(
        made, (-(problem.K // -(WARPS * filters)), 1, 1), ("x", "weight", "bias" if problem.has_bias else "y", "y"),
        (problem.C, problem.K, *strides),
    )  # fmt: skip
    return Plan((step,))


def takes(problem: Conv) -> bool:
    """Up to MOST rows, whose channels and whose weights' lie side by side."""
    width, x, weight = width_of(problem.dtype), problem.x_strides, problem.weight_strides
    rows = problem.N == problem.P == problem.R == problem.S == problem.groups == 1 and problem.Q <= MOST
    wide = problem.aligned and x[3] == weight[2] == 1 and multiple(width, problem.C, x[2], weight[3])
    return rows and wide and not problem.has_residual and max(reach(problem)) < LIMIT


ROW = Row("rows", takes, plan)
