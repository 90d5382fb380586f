"""A convolution as the kernels are told it. Letters: N H W C input, K R S weights, P Q output."""

from typing import Any, NamedTuple

Pair = tuple[int, int]
Strides = tuple[int, int, int, int]


class Conv(NamedTuple):
    """y[n,p,q,k] = activation(bias[k] + residual[n,p,q,k] + the sum over r, s, c of x[n,h,w,c] * weight[r,s,c,k]).

    Strides are elements from one to the next along N, H, W, C (x), N, P, Q, K (y; a residual lies as y does) and
    R, S, C, K (weight): so NHWC, NCHW and torch's channels_last are one problem.
    """

    N: int
    H: int
    W: int
    C: int
    K: int
    R: int
    S: int
    P: int
    Q: int
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int
    dtype: str
    precision: str
    x_strides: Strides
    weight_strides: Strides
    y_strides: Strides
    padding_mode: str = "zeros"
    activation: tuple[str | None, float] = (None, 0.0)
    has_bias: bool = False
    has_residual: bool = False
    aligned: bool = True
    """x, weight, residual and y start at multiples of 16 bytes."""
    cc: Pair = (8, 0)
    """The device's compute capability: what its instructions are."""

    @property
    def pixels(self) -> int:
        """Of the output, over the batch."""
        return self.N * self.P * self.Q


def product(
    rows: int, C: int, K: int, dtype: str, *, x_stride: int, y_stride: int, weight_strides: Pair,
    precision: str = "default", **more: Any,
) -> Conv:  # fmt: skip
    """A matrix product (rows, C) by (C, K) as a 1x1 convolution over one line of pixels, which is the same sums.

    x_stride, y_stride: elements from row to row; weight_strides: along C and along K. more: fields of Conv.
    """
    return Conv(
        1, 1, rows, C, K, 1, 1, 1, rows, (1, 1), ((0, 0), (0, 0)), (1, 1), 1, dtype, precision,
        (rows * x_stride, rows * x_stride, x_stride, 1), (C * K, C * K, *weight_strides),
        (rows * y_stride, rows * y_stride, y_stride, 1), **more,
    )  # fmt: skip
