"""Pooling with a sliding window: max, min, average, lp."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, dispatch, options, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair, Sides, SidesOrSame
from cnnfast.ops.conv import Ints, Padding
from cnnfast.ops.prepared import prepared
from cnnfast.ops.signatures import SIGNATURES


# fmt: off
@overload
def max_pool2d(
    x: ArrayLike, kernel_size: Ints, stride: Ints | None = None, *, padding: Padding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False, layout: str = "NHWC", algorithm: str = "auto",
    out: Array | None = None,
) -> Array: ...
@overload
def max_pool2d(
    x: ArrayLike, kernel_size: Ints, stride: Ints | None = None, *, padding: Padding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Literal[True], layout: str = "NHWC", algorithm: str = "auto",
    out: Array | None = None,
) -> tuple[Array, Array]: ...
# fmt: on
def max_pool2d(
    x: ArrayLike, kernel_size: Ints, stride: Ints | None = None, *, padding: Padding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False, layout: str = "NHWC", algorithm: str = "auto",
    out: Array | None = None,
) -> Array | tuple[Array, Array]:  # fmt: skip
    """The largest value in each window. Padding never wins; NaN does.

    P = floor((H + top + bottom - dilation*(R-1) - 1) / stride) + 1, Q alike.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32, float64, int8, uint8, int16, uint16, int32, uint32
        or int64. Strided, read-only and DLPack arrays will do. N may be 0.
    kernel_size : the window: an integer, or (height, width)
    stride : between windows, by default kernel_size
    padding : an integer, (height, width) or ((top, bottom), (left, right)), at most half of kernel_size; "valid" (none)
        or "same" (ceil(size / stride) outputs, TensorFlow's rule)
    dilation : between a window's pixels
    ceil_mode : round P and Q up: a last window may run over the end, if it starts before it
    return_indices : also give where each maximum stood
    layout : "NHWC" or "NCHW"
    algorithm : "auto", "tune" (see `conv2d`), or a row of pool2d's table
    out : where to write y; it may not overlap x

    Returns
    -------
    y : (N, P, Q, C), or (N, C, P, Q) with "NCHW", of x's dtype; with return_indices (y, indices), int64 h*W + w within
    the image and channel (the first of equal maxima), as `max_unpool2d` reads them

    Raises
    ------
    ValueError : a value or shape is out of its range
    TypeError : an argument has the wrong type or dtype
    MemoryError : y cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([[2, 3, 1, 9], [4, 7, 3, 5], [8, 2, 2, 2], [1, 3, 4, 5]], np.float32).reshape(1, 4, 4, 1)
    >>> cnnfast.max_pool2d(x, 2).reshape(2, 2).tolist()
    [[7.0, 9.0], [8.0, 5.0]]
    """
    y, indices = _pool(
        "max_pool2d", "max", x, kernel_size, stride, layout, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
        return_indices=return_indices, algorithm=algorithm, out=out,
    )  # fmt: skip
    return y if indices is None else (y, indices)


def min_pool2d(
    x: ArrayLike, kernel_size: Ints, stride: Ints | None = None, *, padding: Padding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, layout: str = "NHWC", algorithm: str = "auto", out: Array | None = None,
) -> Array:  # fmt: skip
    """The smallest value in each window. Padding never wins; NaN does.

    Parameters
    ----------
    x, kernel_size, stride, padding, dilation, ceil_mode, layout, algorithm, out : see `max_pool2d`

    Returns
    -------
    y : (N, P, Q, C), or (N, C, P, Q) with "NCHW", of x's dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.min_pool2d(np.arange(4.0).reshape(1, 2, 2, 1), 2).item()
    0.0
    """
    return _pool(
        "min_pool2d", "min", x, kernel_size, stride, layout, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
        algorithm=algorithm, out=out,
    )[0]  # fmt: skip


def avg_pool2d(
    x: ArrayLike, kernel_size: Ints, stride: Ints | None = None, *, padding: Padding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, layout: str = "NHWC", algorithm: str = "auto", out: Array | None = None,
) -> Array:  # fmt: skip
    """The mean of each window.

    Parameters
    ----------
    x : as `max_pool2d`'s, float32 or float64
    count_include_pad : divide by the window's pixels within the padded input, the zeros of the padding among them;
        False: by those within the input alone
    kernel_size, stride, padding, ceil_mode, layout, algorithm, out : see `max_pool2d`

    Returns
    -------
    y : (N, P, Q, C), or (N, C, P, Q) with "NCHW", of x's dtype

    Raises
    ------
    As `max_pool2d`; integers are a TypeError.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.avg_pool2d(np.arange(4.0).reshape(1, 2, 2, 1), 2).item()
    1.5
    """
    return _pool(
        "avg_pool2d", "avg", x, kernel_size, stride, layout, padding=padding, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, algorithm=algorithm, out=out,
    )[0]  # fmt: skip


def lp_pool2d(
    x: ArrayLike, norm_type: float, kernel_size: Ints, stride: Ints | None = None, *, padding: Padding = 0,
    dilation: Ints = 1, ceil_mode: bool = False, layout: str = "NHWC", algorithm: str = "auto",
    out: Array | None = None,
) -> Array:  # fmt: skip
    """The p-norm of each window: (sum of |x|**p)**(1/p), the true norm also where x is negative.

    Parameters
    ----------
    x : as `max_pool2d`'s, float32 or float64
    norm_type : p > 0, finite
    kernel_size, stride, padding, dilation, ceil_mode, layout, algorithm, out : see `max_pool2d`

    Returns
    -------
    y : (N, P, Q, C), or (N, C, P, Q) with "NCHW", of x's dtype

    Raises
    ------
    As `max_pool2d`; integers are a TypeError.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.lp_pool2d(np.array([3.0, -4.0]).reshape(1, 1, 2, 1), 2, (1, 2)).item()
    5.0

    References
    ----------
    Gulcehre et al., "Learned-norm pooling", arXiv:1311.1780.
    """
    return _pool(
        "lp_pool2d", "lp", x, kernel_size, stride, layout, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
        norm_type=checks.number("norm_type", norm_type, positive=True), algorithm=algorithm, out=out,
    )[0]  # fmt: skip


def _pool(
    op: str, kind: str, x: object, kernel_size: object, stride: object, layout: object, *, padding: object,
    ceil_mode: object, algorithm: object, out: object, dilation: object = 1, return_indices: object = False,
    count_include_pad: object = True, norm_type: float = 0.0,
) -> tuple[Array, Array | None]:  # fmt: skip
    images = arrays.as_array("x", x)
    given = (
        kernel_size, stride, padding, dilation, layout, ceil_mode, count_include_pad, norm_type, return_indices,
        algorithm,
    )  # fmt: skip
    return run_pool(prepared(window_pool, (op, kind, images.shape, images.dtype), given), images, out)


class Pool(NamedTuple):
    """A pool made ready for one shape of x, and what its run needs to know."""

    plan: native.Plan
    op: str
    y_shape: tuple[int, int, int, int]
    new_y: Callable[[], Array]
    indexed: bool


def run_pool(pool: Pool, x: Array, out: object) -> tuple[Array, Array | None]:
    """Run a pool: y, and the indices where they are wanted."""
    plan, op, y_shape, new_y, indexed = pool
    if not indexed and y_shape[0]:  # where every array fits, a call costs little more than the backend's
        y = new_y() if out is None else out
        try:
            if plan.run(x, None, y):
                return y, None  # type: ignore[return-value]
        except ValueError:  # the plan takes no such argument; below is who says why
            pass
    indices = arrays.allocate("the indices", y_shape, np.int64) if indexed else None
    y = dispatch.execute(plan, x, y_shape, SIGNATURES[op].dtypes[x.dtype], out=out, indices=indices, inputs=(("x", x),))
    return y, indices


def window_pool(
    op: str, kind: str, x_shape: tuple[int, int, int, int], dtype: np.dtype[Any], kernel_size: object,
    stride: object, padding: object, dilation: object, layout: object, ceil_mode: object, count_include_pad: object,
    norm_type: float, return_indices: object, algorithm: object,
) -> Pool:  # fmt: skip
    """The pool of a window, of arguments as the user gave them."""
    order, _, order_y = options.layouts(layout)
    asked = window_options(
        kernel_size, stride, padding, dilation, ceil_mode=ceil_mode, count_include_pad=count_include_pad,
        return_indices=return_indices,
    )  # fmt: skip
    row = dispatch.algorithm(op, algorithm)
    arrays.check_input("x", x_shape, dtype, SIGNATURES[op].dtypes, order)
    sides, y_shape = window_place(x_shape, order, order_y, asked)
    mixed: dict[str, Any] = {} if order == order_y else {"output_layout": order_y}
    plan = dispatch.native_plan(
        op, x_shape, y_shape, dtype=dtype, layout=order, kind=kind, kernel_size=asked.kernel_size,
        stride=asked.stride, padding=(*sides[0], *sides[1]), dilation=asked.dilation, ceil_mode=asked.ceil_mode,
        count_include_pad=asked.count_include_pad, norm_type=norm_type, output_size=None,
        return_indices=asked.return_indices, algorithm=row, max_workspace=0, **mixed,
    )  # fmt: skip
    new_y = arrays.allocator("the output", y_shape, SIGNATURES[op].dtypes[dtype])
    return Pool(plan, op, y_shape, new_y, asked.return_indices)


class Windows(NamedTuple):
    """A window pool's keywords, normalised; padding may still be "same"."""

    kernel_size: Pair
    stride: Pair
    padding: SidesOrSame
    dilation: Pair
    ceil_mode: bool
    count_include_pad: bool
    return_indices: bool


def window_options(
    kernel_size: object, stride: object, padding: object, dilation: object = 1, *, ceil_mode: object,
    count_include_pad: object = True, return_indices: object = False,
) -> Windows:  # fmt: skip
    """Check and normalise them."""
    kernel = checks.pair("kernel_size", kernel_size, minimum=1)
    return Windows(
        kernel,
        kernel if stride is None else checks.pair("stride", stride, minimum=1),
        checks.sides("padding", padding),
        checks.pair("dilation", dilation, minimum=1),
        checks.boolean("ceil_mode", ceil_mode),
        checks.boolean("count_include_pad", count_include_pad),
        checks.boolean("return_indices", return_indices),
    )


def window_place(
    x_shape: tuple[int, ...], layout: str, layout_y: str, asked: Windows
) -> tuple[Sides, tuple[int, int, int, int]]:
    """The padding per side, and y's shape."""
    N, H, W, C = shapes.split(x_shape, layout)
    kernel, step, spread = asked.kernel_size, asked.stride, asked.dilation
    sides = shapes.resolve(asked.padding, (H, W), kernel, step, spread)
    if asked.padding != "same":
        shapes.check_pool_padding(sides, kernel)
    P, Q = (
        shapes.pool_size(size, kernel[i], step[i], sides[i], spread[i], asked.ceil_mode, shapes.AXES[i])
        for i, size in enumerate((H, W))
    )
    return sides, shapes.join(N, P, Q, C, layout_y)
