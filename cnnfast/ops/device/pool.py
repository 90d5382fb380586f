"""Pooling on a device."""

from typing import Any

from cnnfast.ops import adaptive, arrays, checks, options, pool, shapes
from cnnfast.ops.device import given, tune


def max_pool2d(x: Any, kernel_size: Any, stride: Any, **asked: Any) -> Any:
    """`cnnfast.max_pool2d`."""
    return _windows("max_pool2d", x, kernel_size, stride, ("dilation", "ceil_mode", "return_indices"), asked)


def min_pool2d(x: Any, kernel_size: Any, stride: Any, **asked: Any) -> Any:
    """`cnnfast.min_pool2d`."""
    return _windows("min_pool2d", x, kernel_size, stride, ("dilation", "ceil_mode"), asked)


def avg_pool2d(x: Any, kernel_size: Any, stride: Any, **asked: Any) -> Any:
    """`cnnfast.avg_pool2d`."""
    return _windows("avg_pool2d", x, kernel_size, stride, ("ceil_mode", "count_include_pad"), asked)


def lp_pool2d(x: Any, norm_type: Any, kernel_size: Any, stride: Any, **asked: Any) -> Any:
    """`cnnfast.lp_pool2d`."""
    power = checks.number("norm_type", norm_type, positive=True)
    return _windows("lp_pool2d", x, kernel_size, stride, ("dilation", "ceil_mode"), asked, norm_type=power)


def _windows(
    op: str, x: Any, kernel_size: Any, stride: Any, names: tuple[str, ...], asked: dict[str, Any], **more: Any
) -> Any:
    """names: the keywords beside the window, stride and padding that the backend's function has."""
    out, layout, algorithm = asked.pop("out"), options.layout(asked.pop("layout")), asked.pop("algorithm")
    how = pool.window_options(kernel_size, stride, **asked)
    row = tune.algorithm(op, algorithm)
    images = given.images("x", x, layout)
    sides, shape = pool.window_place(images.shape, layout, layout, how)
    more |= {name: getattr(how, name) for name in names}
    return _run(
        op, images, shape, layout, row, out, how.return_indices, kernel_size=how.kernel_size, stride=how.stride,
        padding=sides, **more,
    )  # fmt: skip


def global_avg_pool2d(x: Any, *, layout: Any, algorithm: Any, out: Any) -> Any:
    """`cnnfast.global_avg_pool2d`."""
    return _adaptive("global_avg_pool2d", x, 1, layout, algorithm, out)


def global_max_pool2d(x: Any, *, layout: Any, algorithm: Any, out: Any) -> Any:
    """`cnnfast.global_max_pool2d`."""
    return _adaptive("global_max_pool2d", x, 1, layout, algorithm, out)


def adaptive_avg_pool2d(x: Any, output_size: Any, *, layout: Any, algorithm: Any, out: Any) -> Any:
    """`cnnfast.adaptive_avg_pool2d`."""
    return _adaptive("adaptive_avg_pool2d", x, output_size, layout, algorithm, out)


def adaptive_max_pool2d(
    x: Any, output_size: Any, *, return_indices: Any, layout: Any, algorithm: Any, out: Any
) -> Any:
    """`cnnfast.adaptive_max_pool2d`."""
    indexed = checks.boolean("return_indices", return_indices)
    return _adaptive(
        "adaptive_max_pool2d", x, output_size, layout, algorithm, out, indexed, return_indices=indexed
    )


def _adaptive(
    op: str, x: Any, output_size: Any, layout: Any, algorithm: Any, out: Any, indexed: bool = False, **more: Any
) -> Any:
    order = options.layout(layout)
    row = tune.algorithm(op, algorithm)
    images = given.images("x", x, order)
    N, H, W, C = shapes.split(images.shape, order)
    size = adaptive.size_of(output_size, (H, W))
    if op.startswith("adaptive"):
        more["output_size"] = size
    if op == "global_avg_pool2d":
        images = given.even_pixels(images)
    return _run(op, images, shapes.join(N, *size, C, order), order, row, out, indexed, **more)


def _run(
    op: str, x: Any, shape: tuple[int, ...], layout: str, row: str | None, out: Any, indexed: bool, **keywords: Any
) -> Any:
    arrays.check_input_shape("x", x.shape, layout)
    y = given.target(out, x, shape, {"x": x}, order=given.channels_last(x, layout))
    also = ((shape, "int64"),) if indexed else ()
    return tune.computed(op, {"x": x}, y, row, also=also, layout=layout, **keywords)
