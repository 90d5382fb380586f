"""A convolution as the kernels are told it. Letters: N H W C input, K R S weights, P Q output."""

from typing import NamedTuple

Pair = tuple[int, int]
Strides = tuple[int, int, int, int]


def settled(sizes: tuple[int, ...], strides: tuple[int, ...]) -> Strides:
    """The strides, with 0 for what 32 bits do not hold of axes of size 1, along which nothing steps."""
    a, b, c, d = (
        0 if size == 1 and abs(step) >= 2**31 else step for size, step in zip(sizes, strides, strict=True)
    )  # fmt: skip
    return a, b, c, d


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


class Copy(NamedTuple):
    """y = x, both of five dimensions, with strides in elements."""

    shape: tuple[int, ...]
    x_strides: tuple[int, ...]
    y_strides: tuple[int, ...]
    dtype: str
