"""Pools on a device: the problem from arrays, its plan, its run."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from . import sums
from .arrays import DeviceArray, empty
from .kernel import Plan, Row
from .kernels import pooled
from .kernels.pooled import Pool
from .problem import Pair
from .run import run

Sides = tuple[Pair, Pair]
NONE: Final[Sides] = ((0, 0), (0, 0))
ROWS: Final[tuple[Row, ...]] = (pooled.ROW,)
LAST: Final = (0, 2, 3, 1)
"""The axes of an NCHW array as NHWC has them."""


@lru_cache(maxsize=1024)
def plan(problem: Pool) -> Plan:
    """The launches of a pool."""
    (row,) = ROWS
    return row.plan(problem, row.tiles(problem)[0])


def output_size(size: int, kernel: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> int:
    """How many windows end inside the padded input; `ceil_mode` adds one that ends behind it, but starts in the input
    or in the padding before it."""
    last, rest = divmod(size + sum(padding) - dilation * (kernel - 1) - 1, stride)
    return last + 1 + (ceil_mode and rest > 0 and (last + 1) * stride < size + padding[0])


def image(array: DeviceArray, layout: str) -> tuple[Any, Any]:
    """(shape, strides) along N, H, W, C of an image, or of a line as an image of height 1."""
    if len(array.shape) == 3:
        axis = 1 if layout == "NLC" else 2
        return image(
            array._replace(
                shape=(*array.shape[:axis], 1, *array.shape[axis:]),
                strides=(*array.strides[:axis], 0, *array.strides[axis:]),
            ),
            "NHWC" if layout == "NLC" else "NCHW",
        )
    axes = (0, 1, 2, 3) if layout == "NHWC" else LAST
    return tuple(array.shape[i] for i in axes), tuple(array.strides[i] for i in axes)


def like(x: DeviceArray, layout: str, size: Sequence[int], dtype: str | None = None) -> DeviceArray:
    """A new array of x's images and channels and another size, in x's order of axes."""
    last = layout.endswith("C")
    C = x.shape[-1 if last else 1]
    shape = (x.shape[0], *size, C) if last else (x.shape[0], C, *size)
    moved = not last and x.strides[1] == 1 and C > 1
    return empty(x, shape, dtype, (0, *range(2, len(shape)), 1) if moved else None)


def window(
    kind: str, x: DeviceArray, layout: str, size: Pair, kernel_size: Pair = (1, 1), stride: Pair = (1, 1),
    padding: Sides = NONE, dilation: Pair = (1, 1), **more: Any,
) -> tuple[DeviceArray, DeviceArray | None]:  # fmt: skip
    """(y, indices or None) of a pool whose output has `size`."""
    shown = size if len(x.shape) == 4 else size[1:]
    y = like(x, layout, shown)
    indices = like(x, layout, shown, "int64") if more.get("indices") else None
    (N, H, W, C), x_strides = image(x, layout)
    arrays = [each for each in (x, y, indices) if each is not None]
    problem = Pool(
        kind, N, H, W, C, *size, kernel_size, stride, (padding[0][0], padding[1][0]), dilation, x.dtype, x_strides,
        image(y, layout)[1], aligned=all(each.address % 16 == 0 for each in arrays), **more,
    )  # fmt: skip
    given = {"x": x, "y": y}
    if indices is not None:
        given["indices"] = indices
    run(plan(problem), given, x)
    return y, indices


def _sizes(
    x: DeviceArray, layout: str, kernel: Pair, stride: Pair, padding: Sides, dilation: Pair, ceil: bool
) -> Pair:  # fmt: skip
    (_, H, W, _), _ = image(x, layout)
    P, Q = (
        output_size(size, kernel[i], stride[i], padding[i], dilation[i], ceil) for i, size in enumerate((H, W))
    )  # fmt: skip
    return P, Q


def max_pool2d(
    x: DeviceArray, *, kernel_size: Pair, stride: Pair, padding: Sides = NONE, dilation: Pair = (1, 1),
    ceil_mode: bool = False, return_indices: bool = False, layout: str = "NHWC",
) -> Any:  # fmt: skip
    """The window's largest pixel; with `return_indices` also its h*W + w. The first of equal ones counts."""
    size = _sizes(x, layout, kernel_size, stride, padding, dilation, ceil_mode)
    y, indices = window("max", x, layout, size, kernel_size, stride, padding, dilation, indices=return_indices)
    return (y, indices) if return_indices else y


def min_pool2d(
    x: DeviceArray, *, kernel_size: Pair, stride: Pair, padding: Sides = NONE, dilation: Pair = (1, 1),
    ceil_mode: bool = False, layout: str = "NHWC",
) -> DeviceArray:  # fmt: skip
    """The window's smallest pixel."""
    size = _sizes(x, layout, kernel_size, stride, padding, dilation, ceil_mode)
    return window("min", x, layout, size, kernel_size, stride, padding, dilation)[0]


def avg_pool2d(
    x: DeviceArray, *, kernel_size: Pair, stride: Pair, padding: Sides = NONE, ceil_mode: bool = False,
    count_include_pad: bool = True, layout: str = "NHWC",
) -> DeviceArray:  # fmt: skip
    """The window's sum over its size: within the padded input with `count_include_pad`, else within the input."""
    size = _sizes(x, layout, kernel_size, stride, padding, (1, 1), ceil_mode)
    (_, H, W, _), _ = image(x, layout)
    padded = (H + sum(padding[0]), W + sum(padding[1])) if count_include_pad else (0, 0)
    return window("avg", x, layout, size, kernel_size, stride, padding, padded=padded)[0]


def lp_pool2d(
    x: DeviceArray, *, norm_type: float, kernel_size: Pair, stride: Pair, padding: Sides = NONE,
    dilation: Pair = (1, 1), ceil_mode: bool = False, layout: str = "NHWC",
) -> DeviceArray:  # fmt: skip
    """(sum of |pixel|**p)**(1/p) over the window, p = `norm_type`."""
    size = _sizes(x, layout, kernel_size, stride, padding, dilation, ceil_mode)
    return window("lp", x, layout, size, kernel_size, stride, padding, dilation, norm_type=float(norm_type))[0]


def adaptive_avg_pool2d(x: DeviceArray, *, output_size: Pair, layout: str = "NHWC") -> DeviceArray:
    """The mean over rows [floor(p*H/P), ceil((p+1)*H/P)) and columns alike."""
    return window("avg", x, layout, output_size, adaptive=True)[0]


def adaptive_max_pool2d(
    x: DeviceArray, *, output_size: Pair, return_indices: bool = False, layout: str = "NHWC"
) -> Any:
    """The maximum over the windows of `adaptive_avg_pool2d`."""
    y, indices = window("max", x, layout, output_size, indices=return_indices, adaptive=True)
    return (y, indices) if return_indices else y


def global_avg_pool2d(x: DeviceArray, *, layout: str = "NHWC") -> DeviceArray:
    """The mean of each image's channel."""
    axis = 3 if layout == "NHWC" else 1
    y = like(x, layout, (1, 1))
    area = image(x, layout)[0][1] * image(x, layout)[0][2]
    sums.per_channel(("sums", ("copy",)), ("one", area), x, axis, (x,), images=True, into=(y,))
    return y


def global_max_pool2d(x: DeviceArray, *, layout: str = "NHWC") -> DeviceArray:
    """The maximum of each image's channel."""
    return window("max", x, layout, (1, 1), adaptive=True)[0]


def max_pool1d(
    x: DeviceArray, *, kernel_size: int, stride: int, padding: Pair = (0, 0), dilation: int = 1,
    ceil_mode: bool = False, layout: str = "NLC",
) -> DeviceArray:  # fmt: skip
    """max_pool2d of height 1."""
    y: DeviceArray = max_pool2d(
        x, kernel_size=(1, kernel_size), stride=(1, stride), padding=((0, 0), padding), dilation=(1, dilation),
        ceil_mode=ceil_mode, layout=layout,
    )  # fmt: skip
    return y


def avg_pool1d(
    x: DeviceArray, *, kernel_size: int, stride: int, padding: Pair = (0, 0), ceil_mode: bool = False,
    count_include_pad: bool = True, layout: str = "NLC",
) -> DeviceArray:  # fmt: skip
    """avg_pool2d of height 1."""
    return avg_pool2d(
        x, kernel_size=(1, kernel_size), stride=(1, stride), padding=((0, 0), padding), ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, layout=layout,
    )  # fmt: skip
