"""Cases of the pools."""

from typing import Any

import numpy as np

from cnnfast.ops import checks, shapes
from cnnfast.ops.checks import Pair
from cnnfast.verification.case import Case
from cnnfast.verification.sizes import Draw, Window, sized

_NORMS = (1.0, 2.0, 3.0, 1.5, 0.5, 7.0)


def window_pool(d: Draw) -> Case:
    window, ceil = _window(d)
    N, (H, W), C = d.batch(), window.size, d.own_channels()
    attributes: dict[str, Any] = {
        "kernel_size": d.written(window.kernel), "stride": d.written(window.stride), "padding": window.padding,
        "ceil_mode": ceil,
    }  # fmt: skip
    lowered: dict[str, Any] = {
        "kernel_size": window.kernel, "stride": window.stride, "padding": window.sides, "ceil_mode": ceil,
    }  # fmt: skip
    if window.kernel == window.stride and d.chance(0.5):
        attributes["stride"] = None
    same: dict[str, Any] = {}
    if d.op == "avg_pool2d":
        same["count_include_pad"] = d.chance(0.5)
    else:
        lowered["dilation"], attributes["dilation"] = window.dilation, d.written(window.dilation)
    if d.op == "max_pool2d":
        same["return_indices"] = d.chance(0.5)
    if d.op == "lp_pool2d":
        same["norm_type"] = _NORMS[d.among(0, len(_NORMS) - 1)]
    values = d.values(int(np.prod(window.kernel)))
    return d.case({"x": values.images(N, H, W, C)}, attributes | same, lowered | same)


def global_pool(d: Draw) -> Case:
    return d.case({"x": _map(d)}, {}, {})


def adaptive_pool(d: Draw) -> Case:
    x = _map(d)
    H, W = x.shape[1:3]
    size: tuple[int | None, int | None] = (d.among(1, 2 * H), d.among(1, 2 * W))
    if d.chance(0.2):
        size = (None, size[1])
    same = {"return_indices": d.chance(0.5)} if d.op == "adaptive_max_pool2d" else {}
    written = size if size[0] != size[1] or d.chance(0.5) else size[0]
    lowered = (size[0] or H, size[1] or W)
    return d.case({"x": x}, {"output_size": written} | same, {"output_size": lowered} | same)


def max_unpool2d(d: Draw) -> Case:
    """Indices of a real pool, or anywhere in the output, repeated ones among them."""
    kernel = d.among(1, 3), d.among(1, 3)
    stride = kernel if d.chance(0.6) else d.axes(2, 2, 1)
    pad = (d.among(0, kernel[0] // 2), d.among(0, kernel[1] // 2))
    x = _map(d, least=2)
    N, H, W, C = x.shape
    P, Q = (shapes.unpool_size(n, kernel[i], stride[i], pad[i]) for i, n in enumerate((H, W)))
    attributes: dict[str, Any] = {
        "kernel_size": d.written(kernel), "stride": d.written(stride), "padding": d.written(pad),
    }  # fmt: skip
    if d.chance(0.3):
        P, Q = P + d.among(0, stride[0] - 1), Q + d.among(0, stride[1] - 1)
        attributes["output_size"] = (P, Q)
    indices = d.rng.integers(0, P * Q, x.shape)
    if not d.chance(0.3) and P * Q >= H * W:  # all different
        order = d.rng.random((N, P * Q, C)).argsort(axis=1)
        indices = order[:, : H * W].reshape(x.shape)
    return d.case({"x": x, "indices": indices}, attributes, {"output_size": (P, Q)})


def _map(d: Draw, least: int = 1) -> Any:
    H, W = (least + more for more in d.extents())
    if d.large:
        H, W = 3 * H, 3 * W
    return d.values(H * W).images(d.batch(), H, W, d.own_channels())


def _window(d: Draw) -> tuple[Window, bool]:
    """A window each of whose placements meets the input."""
    kernel, stride, ceil = d.kernel(), d.axes(3, 4, 2, 1), d.chance(0.3)
    if d.chance(0.3):
        stride = kernel
    dilation = (1, 1) if d.op == "avg_pool2d" or d.large else d.axes(8, 1, 1)
    if d.large:
        stride = (1, 1)
    padding = _padding(d, kernel)
    # A window that starts in the padding steps over an input that is smaller than the dilation.
    window = sized(d, kernel, stride, dilation, padding, least=dilation if max(dilation) > 1 else (1, 1))
    if d.large:
        window = window._replace(size=(window.size[0] * 2, window.size[1] * 2))
        sides = shapes.resolve(checks.sides("padding", padding), window.size, kernel, stride, dilation)
        window = window._replace(sides=sides)
    return window, ceil


def _padding(d: Draw, kernel: Pair) -> Any:
    half = kernel[0] // 2, kernel[1] // 2
    form = d.pick(0.35, 0.15, 0.2, 0.2, 0.1)
    if form == 1:
        return d.among(0, min(half))
    if form == 2:
        return d.among(0, half[0]), d.among(0, half[1])
    if form == 3:
        return (d.among(0, half[0]), d.among(0, half[0])), (d.among(0, half[1]), d.among(0, half[1]))
    return [0, 0, 0, 0, "same"][form]
