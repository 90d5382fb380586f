"""Convolutions on a device: the problem from arrays, its plan from the table."""

from functools import lru_cache
from typing import Any

from .arrays import DeviceArray, empty
from .kernel import Plan, Row, planned
from .kernels import conv_plain, conv_tensor, conv_wgmma, conv_winograd, depthwise, direct, im2col
from .problem import Conv, Pair, settled
from .run import capability, run

ROWS: tuple[Row, ...] = (
    depthwise.ROW, conv_wgmma.ROW, conv_tensor.ROW, conv_winograd.ROW, direct.ROW, im2col.ROW, conv_plain.ROW
)  # fmt: skip
"""conv2d's algorithms on a device, the best first; the last takes every problem."""

LAST = (0, 2, 3, 1)
"""The axes of an NCHW array, or of weights (K, C, R, S), as NHWC has the former."""


@lru_cache(maxsize=1024)
def plan(problem: Conv, algorithm: str | None = None) -> Plan:
    """The launches of a convolution."""
    return planned(ROWS, problem, algorithm)


def conv2d(
    x: DeviceArray, weight: DeviceArray, bias: DeviceArray | None = None, residual: DeviceArray | None = None, *,
    stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int, layout: str, padding_mode: str,
    activation: tuple[str | None, float], algorithm: str | None = None, precision: str = "default",
    out: DeviceArray | None = None,
) -> DeviceArray:  # fmt: skip
    """The reference's conv2d, on a device; `out` is written to where it is given."""
    first = layout == "NCHW"
    axes = LAST if first else (0, 1, 2, 3)
    N, H, W, C = (x.shape[i] for i in axes)
    weight_axes = (2, 3, 1, 0) if first else (0, 1, 2, 3)
    R, S, _, K = (weight.shape[i] for i in weight_axes)
    P, Q = (
        (size + sum(padding[i]) - dilation[i] * (kernel - 1) - 1) // stride[i] + 1
        for i, (size, kernel) in enumerate(((H, R), (W, S)))
    )
    y = out
    if y is None:
        shape = (N, K, P, Q) if first else (N, P, Q, K)
        channels_last = first and x.strides[1] == 1 and C > 1
        y = empty(x, shape, order=LAST if channels_last else None)

    def strides(array: DeviceArray, order: tuple[int, ...]) -> Any:
        return settled(tuple(array.shape[i] for i in order), tuple(array.strides[i] for i in order))

    aligned = all(array is None or array.address % 16 == 0 for array in (x, weight, bias, residual, y))
    problem = Conv(
        N, H, W, C, K, R, S, P, Q, stride, padding, dilation, groups, x.dtype, precision, strides(x, axes),
        strides(weight, weight_axes), strides(y, axes), padding_mode, activation, bias is not None,
        residual is not None, aligned, capability(x.device),
    )  # fmt: skip
    given = {"x": x, "weight": weight, "y": y}
    if bias is not None:
        given["bias"] = bias
    if residual is not None:
        given["residual"] = residual  # it lies as y does: the edge sees to it
    run(plan(problem, algorithm), given, x)
    return y
