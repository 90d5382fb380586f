"""Pools' gradients on a device."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from .. import pool
from ..arrays import DeviceArray, contiguous_strides, empty
from ..kernel import Plan, choose
from ..kernels import pool_gradient
from ..kernels.pooled import Pool
from ..problem import Pair
from ..run import run

Sides = tuple[Pair, Pair]
NONE = pool.NONE
UNKNOWN = (0, 0)


@lru_cache(maxsize=1024)
def plan(problem: Pool) -> Plan:
    """The launches of a pool's gradient."""
    return choose(pool_gradient.ROWS, problem, None).plan(problem, None)


def _window(
    kind: str, grad_output: DeviceArray, indices: DeviceArray | None, input_shape: tuple[int, ...], layout: str,
    kernel_size: Pair, stride: Pair = (1, 1), padding: Sides = NONE, dilation: Pair = (1, 1),
    others: Mapping[str, DeviceArray] = MappingProxyType({}), **more: Any,
) -> DeviceArray:  # fmt: skip
    """`others`: arrays that the kernel reads too, x as the result lies and y as grad_output."""
    last = layout.endswith("C")
    moved = not last and grad_output.strides[1] == 1 and grad_output.shape[1] > 1
    order = (0, *range(2, len(input_shape)), 1) if moved else None
    result = empty(grad_output, input_shape, order=order)
    (_, P, Q, _), y_strides = pool.image(grad_output, layout)
    (N, H, W, C), x_strides = pool.image(result, layout)
    given = {"grad": grad_output, "result": result, **others}
    if indices is not None:
        given["indices"] = indices
        steps = zip(grad_output.shape, grad_output.strides, indices.strides, strict=True)
        if any(size > 1 and mine != its for size, mine, its in steps):
            raise ValueError("grad_output and indices are to lie alike")
    problem = Pool(
        kind, N, H, W, C, P, Q, kernel_size, stride, (padding[0][0], padding[1][0]), dilation, grad_output.dtype,
        x_strides, y_strides, indices=indices is not None, aligned=all(a.address % 16 == 0 for a in given.values()),
        **more,
    )  # fmt: skip
    run(plan(problem), given, grad_output)
    return result


def max_pool2d(
    grad_output: DeviceArray, indices: DeviceArray, *, input_shape: tuple[int, ...], layout: str = "NHWC",
    kernel_size: Pair = UNKNOWN, stride: Pair = (1, 1), padding: Sides = NONE, dilation: Pair = (1, 1),
) -> DeviceArray:  # fmt: skip
    """Each gradient is added at its index h*W + w. Who knows the windows tells them: each pixel then looks only at
    those that may hold it."""
    return _window("max", grad_output, indices, input_shape, layout, kernel_size, stride, padding, dilation)


def adaptive_max_pool2d(
    grad_output: DeviceArray, indices: DeviceArray, *, input_shape: tuple[int, ...], layout: str = "NHWC"
) -> DeviceArray:
    """max_pool2d's, of adaptive windows."""
    return _window("max", grad_output, indices, input_shape, layout, UNKNOWN, adaptive=True)


def min_pool2d(
    grad_output: DeviceArray, x: DeviceArray, *, kernel_size: Pair, stride: Pair, padding: Sides = NONE,
    dilation: Pair = (1, 1), ceil_mode: bool = False, layout: str = "NHWC",
) -> DeviceArray:  # fmt: skip
    """To the first pixel of each window that is its minimum."""
    return _extreme("min", grad_output, x, layout, kernel_size, stride, padding, dilation)


def _extreme(
    kind: str, grad_output: DeviceArray, x: DeviceArray, layout: str, kernel_size: Pair, stride: Pair, padding: Sides,
    dilation: Pair,
) -> DeviceArray:  # fmt: skip
    (_, P, Q, _), _ = pool.image(grad_output, layout)
    _, indices = pool.window(kind, x, layout, (P, Q), kernel_size, stride, padding, dilation, indices=True)
    assert indices is not None
    return _window(kind, grad_output, indices, x.shape, layout, kernel_size, stride, padding, dilation)


def max_pool1d(
    grad_output: DeviceArray, x: DeviceArray, *, kernel_size: int, stride: int, padding: Pair = (0, 0),
    dilation: int = 1, ceil_mode: bool = False, layout: str = "NLC",
) -> DeviceArray:  # fmt: skip
    """max_pool2d's of height 1."""
    return _extreme("max", grad_output, x, layout, (1, kernel_size), (1, stride), ((0, 0), padding), (1, dilation))


def avg_pool2d(
    grad_output: DeviceArray, *, input_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Sides = NONE,
    ceil_mode: bool = False, count_include_pad: bool = True, layout: str = "NHWC",
) -> DeviceArray:  # fmt: skip
    """To each pixel of a window its gradient over the window's size."""
    flat = grad_output._replace(shape=input_shape, strides=contiguous_strides(input_shape))
    (_, H, W, _), _ = pool.image(flat, layout)
    padded = (H + sum(padding[0]), W + sum(padding[1])) if count_include_pad else (0, 0)
    return _window("avg", grad_output, None, input_shape, layout, kernel_size, stride, padding, padded=padded)


def avg_pool1d(
    grad_output: DeviceArray, *, input_shape: tuple[int, ...], kernel_size: int, stride: int, padding: Pair = (0, 0),
    ceil_mode: bool = False, count_include_pad: bool = True, layout: str = "NLC",
) -> DeviceArray:  # fmt: skip
    """avg_pool2d's of height 1."""
    return avg_pool2d(
        grad_output, input_shape=input_shape, kernel_size=(1, kernel_size), stride=(1, stride),
        padding=((0, 0), padding), count_include_pad=count_include_pad, layout=layout,
    )  # fmt: skip


def lp_pool2d(
    grad_output: DeviceArray, x: DeviceArray, y: DeviceArray, *, norm_type: float, kernel_size: Pair, stride: Pair,
    padding: Sides = NONE, dilation: Pair = (1, 1), ceil_mode: bool = False, layout: str = "NHWC",
) -> DeviceArray:  # fmt: skip
    """sign(x) |x|**(p-1) y**(1-p) of each pixel of a window, 0 where x is; all arrays lie alike."""
    return _window(
        "lp", grad_output, None, x.shape, layout, kernel_size, stride, padding, dilation, {"x": x, "y": y},
        norm_type=float(norm_type),
    )  # fmt: skip


def adaptive_avg_pool2d(
    grad_output: DeviceArray, *, input_shape: tuple[int, ...], layout: str = "NHWC"
) -> DeviceArray:
    """Each window shares its gradient out evenly."""
    return _window("avg", grad_output, None, input_shape, layout, UNKNOWN, adaptive=True)


def global_avg_pool2d(grad_output: DeviceArray, *, input_shape: tuple[int, ...], layout: str = "NHWC") -> DeviceArray:
    """One window."""
    return adaptive_avg_pool2d(grad_output, input_shape=input_shape, layout=layout)


def global_max_pool2d(
    grad_output: DeviceArray, x: DeviceArray, y: DeviceArray, *, layout: str = "NHWC"
) -> DeviceArray:
    """To the first pixel that is the maximum."""
    _, indices = pool.window("max", x, layout, (1, 1), indices=True, adaptive=True)
    assert indices is not None
    return adaptive_max_pool2d(grad_output, indices, input_shape=x.shape, layout=layout)
