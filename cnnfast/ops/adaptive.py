"""Pooling to a given size: adaptive (windows of nearly equal size that cover the input), and global (one window)."""

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import arrays, checks, dispatch, options, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair
from cnnfast.ops.pool import Pool, run_pool
from cnnfast.ops.signatures import SIGNATURES

OutputSize = int | None | tuple[int | None, int | None]


def global_avg_pool2d(
    x: ArrayLike, *, layout: str = "NHWC", algorithm: str = "auto", out: Array | None = None
) -> Array:
    """The mean of each channel of each image; the two axes stay, with size 1.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    layout, algorithm, out : see `max_pool2d`

    Returns
    -------
    y : (N, 1, 1, C), or (N, C, 1, 1) with "NCHW", of x's dtype

    Raises
    ------
    As `max_pool2d`; integers are a TypeError.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.global_avg_pool2d(np.arange(6.0).reshape(1, 3, 2, 1)).tolist()
    [[[[2.5]]]]

    References
    ----------
    Lin et al., "Network in network", arXiv:1312.4400.
    """
    return run_pool(adaptive_pool, "global_avg_pool2d", "avg", x, out, (1, layout, False, algorithm))[0]


def global_max_pool2d(
    x: ArrayLike, *, layout: str = "NHWC", algorithm: str = "auto", out: Array | None = None
) -> Array:
    """The maximum of each channel of each image; the two axes stay, with size 1.

    Parameters
    ----------
    x, layout, algorithm, out : see `max_pool2d`

    Returns
    -------
    y : (N, 1, 1, C), or (N, C, 1, 1) with "NCHW", of x's dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.global_max_pool2d(np.arange(6).reshape(1, 3, 2, 1)).tolist()
    [[[[5]]]]
    """
    return run_pool(adaptive_pool, "global_max_pool2d", "max", x, out, (1, layout, False, algorithm))[0]


def adaptive_avg_pool2d(
    x: ArrayLike, output_size: OutputSize, *, layout: str = "NHWC", algorithm: str = "auto", out: Array | None = None
) -> Array:
    """Means over windows that cover the input: row p of P averages rows floor(p*H/P) to ceil((p+1)*H/P).

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    output_size : an integer, or (height, width); None keeps the input's
    layout, algorithm, out : see `max_pool2d`

    Returns
    -------
    y : (N, P, Q, C), or (N, C, P, Q) with "NCHW", of x's dtype

    Raises
    ------
    As `max_pool2d`; integers are a TypeError.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.adaptive_avg_pool2d(np.arange(3.0).reshape(1, 1, 3, 1), (1, 2)).ravel().tolist()
    [0.5, 1.5]
    """
    return run_pool(adaptive_pool, "adaptive_avg_pool2d", "avg", x, out, (output_size, layout, False, algorithm))[0]


# fmt: off
@overload
def adaptive_max_pool2d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: Literal[False] = False, layout: str = "NHWC",
    algorithm: str = "auto", out: Array | None = None,
) -> Array: ...
@overload
def adaptive_max_pool2d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: Literal[True], layout: str = "NHWC",
    algorithm: str = "auto", out: Array | None = None,
) -> tuple[Array, Array]: ...
# fmt: on
def adaptive_max_pool2d(
    x: ArrayLike, output_size: OutputSize, *, return_indices: bool = False, layout: str = "NHWC",
    algorithm: str = "auto", out: Array | None = None,
) -> Array | tuple[Array, Array]:  # fmt: skip
    """Maxima over the windows of `adaptive_avg_pool2d`.

    Parameters
    ----------
    x, return_indices, layout, algorithm, out : see `max_pool2d`
    output_size : an integer, or (height, width); None keeps the input's

    Returns
    -------
    y : (N, P, Q, C), or (N, C, P, Q) with "NCHW", of x's dtype; with return_indices (y, indices)

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.adaptive_max_pool2d(np.arange(3.0).reshape(1, 1, 3, 1), (None, 2)).ravel().tolist()
    [1.0, 2.0]
    """
    given = output_size, layout, return_indices, algorithm
    y, indices = run_pool(adaptive_pool, "adaptive_max_pool2d", "max", x, out, given)
    return y if indices is None else (y, indices)


def adaptive_pool(
    op: str, kind: str, x_shape: tuple[int, int, int, int], dtype: np.dtype[Any], output_size: object,
    layout: object, return_indices: object, algorithm: object,
) -> Pool:  # fmt: skip
    """The pool to an output size, of arguments as the user gave them."""
    order = options.layout(layout)
    indexed = checks.boolean("return_indices", return_indices)
    row = dispatch.algorithm(op, algorithm)
    arrays.check_input("x", x_shape, dtype, SIGNATURES[op].dtypes, order)
    N, H, W, C = shapes.split(x_shape, order)
    size = size_of(output_size, (H, W))
    y_shape = shapes.join(N, *size, C, order)
    plan = dispatch.native_plan(
        op, x_shape, y_shape, dtype=dtype, layout=order, kind=kind, kernel_size=(1, 1), stride=(1, 1),
        padding=(0, 0, 0, 0), dilation=(1, 1), ceil_mode=False, count_include_pad=False, norm_type=0.0,
        output_size=size, return_indices=indexed, algorithm=row, max_workspace=0,
    )  # fmt: skip
    return Pool.of(plan, y_shape, SIGNATURES[op].dtypes[dtype], indexed)


def size_of(value: object, size: Pair) -> Pair:
    """(P, Q), None standing for the input's own."""
    if value is None:
        return size
    if isinstance(value, tuple | list) and len(value) == 2:
        value = tuple(own if given is None else given for given, own in zip(value, size, strict=True))
    return checks.pair("output_size", value, minimum=1)
