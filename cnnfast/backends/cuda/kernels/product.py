"""The launches of `conv_direct`: which tile, which ways through memory, in how many parts."""

from typing import NamedTuple

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.integers import divisor
from cnnfast.backends.cuda.kernel import Plan, Step
from cnnfast.backends.cuda.problem import Conv, settled

from .conv_direct import Walk, Ways, conv_direct
from .outputs import Epilogue
from .pack import packing
from .sum_parts import second_step
from .tile import Tile, tiles_of, width_of

PROCESSORS = 132
"""Multiprocessors that a plan is made for: an H100's. An A100 has 108."""

LIMIT = 2**31 - 2**24
"""Offsets in an array have 32 bits, and a tile may step over its end."""


class Product(NamedTuple):
    """A convolution, or one that a gradient becomes: with padding and dilation of any sign and these besides.

    w_group: from a group's weights to the next one's; w_first, y_first: where the first lie.
    arrays: the names of x, weight and y.
    rounded: weight has zeros to the end of each 16 bytes.
    number: of those of one plan, whose copies of weights have names of their own.
    """

    conv: Conv
    w_group: int
    w_first: int = 0
    y_first: int = 0
    arrays: tuple[str, str, str] = ("x", "weight", "y")
    rounded: bool = False
    number: int = 0


class Setting(NamedTuple):
    """A tile, and the parts that each sum is made in."""

    tile: Tile
    parts: int


def forward(problem: Conv) -> Product:
    """A convolution itself."""
    return Product(problem, problem.K // problem.groups * problem.weight_strides[3])


def reach(problem: Conv) -> tuple[int, int, int]:
    """Elements from the first to the last of x, weight and y."""
    c, filters = problem.C, problem.K
    sizes = (
        ((problem.N, problem.H, problem.W, c), problem.x_strides),
        ((problem.R, problem.S, c // problem.groups, filters), problem.weight_strides),
        ((problem.N, problem.P, problem.Q, filters), problem.y_strides),
    )
    x, weight, y = (sum((n - 1) * step for n, step in zip(*pair, strict=True)) for pair in sizes)
    return x, weight, y


def filled(problem: Conv) -> bool:
    """Whether the groups are not too small for a tile."""
    return problem.groups == 1 or min(problem.C, problem.K) // problem.groups >= 4


def settings(product: Product) -> tuple[Setting, ...]:
    """The tiles, by the time their blocks take one after the other on a multiprocessor, the shortest first."""
    conv = product.conv
    filters = conv.K // conv.groups
    steps = conv.R * conv.S * -(conv.C // conv.groups // -8)

    def setting(tile: Tile) -> tuple[float, Setting]:
        blocks = -(conv.pixels // -tile.m) * -(filters // -tile.n) * conv.groups
        parts = min(2 * PROCESSORS // max(blocks, 1), steps // 16, 32) if dense(product) else 1
        parts = max(parts, 1)
        rounds = -(blocks * parts // -PROCESSORS)
        share = 1.0 if tile.m_each * tile.n_each == 64 else 1.2  # fewer multiply-adds a load
        return rounds * tile.m * tile.n * share / parts, Setting(tile, parts)

    along, wide = x_way(conv)
    tiles = tiles_of(conv.dtype, wide, along == "sum")
    return tuple(found for _, found in sorted(map(setting, tiles), key=lambda pair: pair[0])[:3])


def dense(product: Product) -> bool:
    """Whether y has no gaps, so that the parts may lie as it does."""
    conv = product.conv
    axes = sorted(zip(conv.y_strides, (conv.N, conv.P, conv.Q, conv.K), strict=True))
    step = 1
    for stride, size in axes:
        if size > 1 and stride != step:
            return False
        step *= size
    return product.y_first == 0


def within(conv: Conv) -> Conv:
    """The convolution with strides that the kernels' 32 bits hold."""
    N, H, W, C, K, R, S, P, Q = conv[:9]
    return conv._replace(
        x_strides=settled((N, H, W, C), conv.x_strides), y_strides=settled((N, P, Q, K), conv.y_strides),
        weight_strides=settled((R, S, C // conv.groups, K // conv.groups), conv.weight_strides),
    )  # fmt: skip


def plan(product: Product, setting: Setting) -> Plan:
    """The weights brought in order where they are not, the product, and the sum of its parts."""
    conv, tile = within(product.conv), setting.tile
    parts = setting.parts if dense(product) else 1
    groups = conv.groups
    channels, filters = conv.C // groups, conv.K // groups
    x, weight, y = product.arrays
    steps: list[Step] = []
    scratch: dict[str, tuple[int, str]] = {}
    w_strides, w_first = (product.w_group, *conv.weight_strides), product.w_first
    along = "outer" if product.rounded or not conv.R * conv.S else weight_way(conv, w_strides, w_first)
    if not along:
        copy = f"packed_{weight}_{product.number}"
        sizes = groups, conv.R, conv.S, channels, filters
        step, count, w_strides = packing(conv.dtype, (weight, copy), sizes, w_strides, w_first)
        steps.append(step)
        scratch[copy] = count, conv.dtype
        along, w_first, weight = "outer", 0, copy
    ways = Ways(*x_way(conv), along)
    slices = -(channels // -tile.depth)
    count, split = conv.pixels * conv.K, parts > 1
    (Pf, Ps), (Qf, Qs) = divisor(conv.P), divisor(conv.Q)
    walk = Walk(
        conv.pixels, filters, channels, -(filters // -tile.n), parts, -(slices * conv.R * conv.S // -parts), slices,
        conv.R * conv.S, conv.H, conv.W, max(conv.S, 1), conv.P, conv.Q, *conv.stride, *conv.dilation,
        conv.padding[0][0], conv.padding[1][0], *conv.x_strides, channels * conv.x_strides[3], *w_strides[1:],
        w_strides[0], w_first, *conv.y_strides, filters * conv.y_strides[3], count, product.y_first, Pf, Ps, Qf, Qs,
    )  # fmt: skip
    bias, residual = "bias" if conv.has_bias else "", "residual" if conv.has_residual else ""
    target = f"parts_of_{y}" if split else y
    made = conv_direct(conv.dtype, tile, ways, epilogue(product, split))
    grid = -(conv.pixels // -tile.m) * walk.blocks_n, parts * groups, 1
    steps.append(Step(made, grid, (x, weight, bias or y, residual or y, target), tuple(walk)))
    if split:
        scratch[target] = parts * count, ELEMENTS[conv.dtype].computed.name
        names = target, bias, residual, y
        steps.append(second_step(conv.dtype, count, parts, names, max(conv.y_strides[3], 1), conv.K, conv.activation))
    return Plan(tuple(steps), scratch)


def multiple(width: int, *numbers: int) -> bool:
    """Whether all are."""
    return all(number % width == 0 for number in numbers)


def x_way(conv: Conv) -> tuple[str, bool]:
    """Along the channels ("sum") where they lie side by side, else the pixels ("outer"); and whether 16 bytes lie that
    way: of the pixels only where a convolution of 1 x 1 reads whole images. Few channels are left to the pixels: they
    lie close enough, and a thread then keeps one pixel's place instead of each of its loads'."""
    width, (n, h, w, c) = width_of(conv.dtype), conv.x_strides
    if c == 1 and conv.aligned and multiple(width, conv.C // conv.groups, n, h, w):
        return "sum", True
    if c == 1 and w * conv.stride[1] > 8:
        return "sum", False
    point = conv.R == conv.S == 1 and conv.stride == (1, 1) and (conv.padding[0][0], conv.padding[1][0]) == (0, 0)
    whole = point and (conv.H, conv.W) == (conv.P, conv.Q) and w == 1 and h == conv.W
    return "outer", conv.aligned and whole and multiple(width, conv.H * conv.W, n, c)


def weight_way(conv: Conv, strides: tuple[int, ...], first: int) -> str:
    """Along the channels ("sum") or the filters ("outer"), where 16 bytes lie that way; or ""."""
    width = width_of(conv.dtype)
    group, r, s, c, k = strides
    if not conv.aligned or not multiple(width, group * (conv.groups > 1), r, s, first):
        return ""
    if c == 1 and multiple(width, k, conv.C // conv.groups):
        return "sum"
    return "outer" if k == 1 and multiple(width, c, conv.K // conv.groups) else ""


def epilogue(product: Product, split: bool) -> Epilogue:
    """What is done with the sums, and whether 16 bytes of y are written at a time."""
    conv, width = product.conv, width_of(product.conv.dtype)
    n, p, q, k = conv.y_strides
    filters = conv.K // conv.groups
    along = "filters" if k == 1 or q != 1 else "pixels"
    if along == "filters":
        wide = k == 1 and multiple(width, n, p, q, filters)
    else:
        wide = p == conv.Q and multiple(width, conv.P * conv.Q, n, k)
    computed = ELEMENTS[conv.dtype].stored is ELEMENTS[conv.dtype].computed
    # parts of a half's sums are computed's: wide where the sums' strides allow it
    wide = wide and product.y_first % width == 0 and (split or (conv.aligned and computed))
    if split:
        return Epilogue(along, wide, split=True)
    return Epilogue(along, wide, conv.activation, conv.has_bias, conv.has_residual)
