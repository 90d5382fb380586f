"""One layer to measure or to check: its geometry, its work and its bytes."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from cnnfast.ops import shapes

Pair = tuple[int, int]
Sides = tuple[Pair, Pair]

CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "separable_conv2d", "conv_transpose2d")
POOLS = ("max_pool2d", "avg_pool2d", "global_avg_pool2d")


@dataclass(frozen=True)
class Problem:
    """One layer. Letters as everywhere: n h w c input, k output channels, r x s kernel, p x q output."""

    name: str
    op: str
    h: int
    w: int
    c: int
    k: int
    r: int
    s: int
    n: int = 1
    stride: Pair = (1, 1)
    padding: Sides = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    multiplier: int = 1
    quick: bool = False
    network: str = ""
    comment: str = ""

    @property
    def line(self) -> str:
        """The problem in the grammar of the shape files: `problems.parse_line` of it gives the problem back."""
        words = [f"{word}{number}" for word, number in (("n", self.n), ("h", self.h), ("w", self.w), ("c", self.c))]
        if self.op in ("conv2d", "separable_conv2d", "conv_transpose2d"):
            words.append(f"k{self.k}")
        if self.op != "global_avg_pool2d":
            (top, bottom), (left, right) = self.padding
            words += [
                f"r{self.r}",
                f"s{self.s}",
                "stride{}x{}".format(*self.stride),
                f"pad{top},{bottom},{left},{right}",
            ]
        if self.dilation != (1, 1):
            words.append("dilation{}x{}".format(*self.dilation))
        words += [f"groups{self.groups}"] * (self.groups > 1) + [f"mult{self.multiplier}"] * (self.multiplier > 1)
        return f"{self.name}: {self.op} {' '.join(words)}{' quick' * self.quick}"

    @property
    def is_pool(self) -> bool:
        return self.op in POOLS

    @property
    def kernel_size(self) -> Pair:
        return (self.r, self.s)

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return (self.n, self.h, self.w, self.c)

    @cached_property
    def y_shape(self) -> tuple[int, int, int, int]:
        if self.op == "global_avg_pool2d":
            return (self.n, 1, 1, self.c)
        p, q = self._output(0), self._output(1)
        return (self.n, p, q, self.k)

    def _output(self, axis: int) -> int:
        size, kernel, stride = (self.h, self.w)[axis], self.kernel_size[axis], self.stride[axis]
        if self.is_pool:
            return shapes.pool_size(size, kernel, stride, self.padding[axis])
        rule = shapes.conv_transpose_size if self.op == "conv_transpose2d" else shapes.conv_size
        return rule(size, kernel, stride, self.padding[axis], dilation=self.dilation[axis])

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights and biases by argument name, in the weight order of layout NHWC."""
        r, s, c, k, m = self.r, self.s, self.c, self.k, self.multiplier
        if self.op == "conv2d":
            return {"weight": (r, s, c // self.groups, k), "bias": (k,)}
        if self.op == "depthwise_conv2d":
            return {"weight": (r, s, c, m), "bias": (k,)}
        if self.op == "separable_conv2d":
            return {
                "depthwise_weight": (r, s, c, m),
                "depthwise_bias": (c * m,),
                "pointwise_weight": (1, 1, c * m, k),
                "bias": (k,),
            }
        if self.op == "conv_transpose2d":
            return {"weight": (r, s, k, c), "bias": (k,)}
        return {}

    @property
    def flops(self) -> int:
        """Multiplications and additions, taps that fall on padding included; 0 for a pool."""
        pixels, taps = prod(self.y_shape[:3]), self.r * self.s
        if self.op == "conv2d":
            return 2 * pixels * self.k * taps * (self.c // self.groups)
        if self.op == "depthwise_conv2d":
            return 2 * pixels * self.k * taps
        if self.op == "separable_conv2d":
            return 2 * pixels * self.c * self.multiplier * (taps + self.k)
        if self.op == "conv_transpose2d":
            return 2 * prod(self.x_shape[:3]) * taps * self.c * self.k
        return 0

    @property
    def steps_of_work(self) -> int:
        """Multiply-adds of a convolution, comparisons or additions of a pool: what an oracle's time goes with."""
        return self.flops // 2 or prod(self.y_shape) * self.r * self.s

    @property
    def weight_bytes(self) -> int:
        """Weights and biases in float32, as the caller has them."""
        return 4 * sum(prod(shape) for shape in self.weight_shapes.values())

    @property
    def written_bytes(self) -> int:
        return 4 * prod(self.y_shape)

    @property
    def bytes(self) -> int:
        """Bytes that must move at least once in float32: input, weights, output."""
        return 4 * prod(self.x_shape) + self.weight_bytes + self.written_bytes

    @property
    def bandwidth_bound(self) -> bool:
        """Pools, and layers of fewer than 4 FLOPs a byte: moving the data is most of their work."""
        return self.flops < 4 * self.bytes

    def cropped(self, work: int) -> "Problem":
        """The same layer on a smaller picture and one image: about `work` multiply-adds, or as near as it gets."""
        small = replace(self, n=1)
        while small.steps_of_work > work and self.op != "global_avg_pool2d":
            halved = replace(small, h=small._half(0), w=small._half(1))
            if halved.x_shape == small.x_shape:
                break
            small = halved
        return small

    def _half(self, axis: int) -> int:
        """Half a height or width, of the same parity, and no smaller than one window."""
        extent = (self.h, self.w)[axis]
        window = (self.kernel_size[axis] - 1) * self.dilation[axis] + 1 - sum(self.padding[axis])
        half = extent // 2 - (extent // 2 - extent) % 2
        return min(extent, max(half, window, 1))
