"""Pooling with a sliding window: max, min, average, lp."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, dispatch, options, shapes, tuning
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair, Sides, SidesOrSame
from cnnfast.ops.conv import Ints, Padding
from cnnfast.ops.prepared import kept, prepared
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
    y, indices = run_pool(
        window_pool, "max_pool2d", "max", x, out,
        (kernel_size, stride, padding, dilation, layout, ceil_mode, True, 0.0, return_indices, algorithm),
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
    return run_pool(
        window_pool, "min_pool2d", "min", x, out,
        (kernel_size, stride, padding, dilation, layout, ceil_mode, True, 0.0, False, algorithm),
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
    return run_pool(
        window_pool, "avg_pool2d", "avg", x, out,
        (kernel_size, stride, padding, 1, layout, ceil_mode, count_include_pad, 0.0, False, algorithm),
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
    norm = checks.number("norm_type", norm_type, positive=True)
    return run_pool(
        window_pool, "lp_pool2d", "lp", x, out,
        (kernel_size, stride, padding, dilation, layout, ceil_mode, True, norm, False, algorithm),
    )[0]  # fmt: skip


class Pool(NamedTuple):
    """A pool made ready for one shape of x, and what its run needs to know."""

    plan: native.Plan
    y_shape: tuple[int, int, int, int]
    y_dtype: np.dtype[Any]
    new_y: Callable[[], Array] | None
    """None where a run is more than x and y, or nothing."""
    indexed: bool

    @classmethod
    def of(
        cls, plan: native.Plan, y_shape: tuple[int, int, int, int], y_dtype: np.dtype[Any], indexed: bool
    ) -> "Pool":  # fmt: skip
        alone = not indexed and 0 not in y_shape
        new_y = arrays.allocator("the output", y_shape, y_dtype) if alone else None
        return cls(plan, y_shape, y_dtype, new_y, indexed)


def run_pool(
    make: Callable[..., Pool], op: str, kind: str, x: object, out: object, given: tuple[Any, ...]
) -> tuple[Array, Array | None]:
    """y, and the indices where they are wanted, of the pool that `make` makes of what a user gave."""
    again = native.pool_again(kept, make, tuning.state(), op, kind, x, out, given)
    if again is not None:  # then such a call costs little more than the kernel
        return again, None
    images = arrays.as_array("x", x)
    pool = prepared(make, (op, kind, images.shape, images.dtype), given)
    indices = arrays.allocate("the indices", pool.y_shape, np.int64) if pool.indexed else None
    y = dispatch.execute(
        pool.plan, images, pool.y_shape, pool.y_dtype, out=out, indices=indices, inputs=(("x", images),)
    )  # fmt: skip
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
    return Pool.of(plan, y_shape, SIGNATURES[op].dtypes[dtype], asked.return_indices)


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
