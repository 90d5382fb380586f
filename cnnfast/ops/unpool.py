"""max_unpool2d: put pooled values back where the maxima stood."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, dispatch, options, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair
from cnnfast.ops.conv import Ints
from cnnfast.ops.signatures import SIGNATURES

_OP = "max_unpool2d"


def max_unpool2d(
    x: ArrayLike, indices: ArrayLike, kernel_size: Ints, stride: Ints | None = None, *, padding: Ints = 0,
    output_size: tuple[int, ...] | None = None, layout: str = "NHWC", out: Array | None = None,
) -> Array:  # fmt: skip
    """Zeros, with each x at its index: undoes `max_pool2d(..., return_indices=True)` as far as that goes.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW": pooled values, of any of `max_pool2d`'s dtypes
    indices : of x's shape, any integer dtype: h*width + w within the output of each image and channel. Where some are
        equal, the last of them in row order stays.
    kernel_size, stride, padding : the pool's; they give the output size (H-1)*stride - 2*padding + kernel_size
    output_size : (height, width) or the whole shape, where another input pools to the same size: less than one stride
        from the default
    layout, out : see `max_pool2d`

    Returns
    -------
    y : (N, height, width, C), or (N, C, height, width) with "NCHW", of x's dtype

    Raises
    ------
    ValueError : also where an index is not in [0, height*width)
    TypeError, MemoryError : as `max_pool2d`
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([[1.0, 2.0], [4.0, 3.0]]).reshape(1, 2, 2, 1)
    >>> y, indices = cnnfast.max_pool2d(x, 2, return_indices=True)
    >>> cnnfast.max_unpool2d(y, indices, 2).reshape(2, 2).tolist()
    [[0.0, 0.0], [4.0, 0.0]]

    References
    ----------
    Zeiler and Fergus, "Visualizing and understanding convolutional networks", arXiv:1311.2901.
    """
    order = options.layout(layout)
    kernel = checks.pair("kernel_size", kernel_size, minimum=1)
    step = kernel if stride is None else checks.pair("stride", stride, minimum=1)
    pad = checks.pair("padding", padding, minimum=0)
    values = arrays.as_input("x", x, SIGNATURES[_OP].dtypes, order)
    N, H, W, C = shapes.split(values.shape, order)
    shapes.check_pool_padding(((pad[0], pad[0]), (pad[1], pad[1])), kernel)
    default = tuple(
        shapes.unpool_size(size, kernel[i], step[i], pad[i], shapes.AXES[i]) for i, size in enumerate((H, W))
    )
    P, Q = _output_size(output_size, (default[0], default[1]), step, (N, C), order)
    places = as_indices(indices, values.shape)
    y_shape = shapes.join(N, P, Q, C, order)
    state = native.isa(), native.get_max_workspace()
    plan = unpooling(state, values.shape, y_shape, (P, Q), values.dtype, order)
    try:
        return dispatch.execute(
            plan, values, y_shape, values.dtype, out=out, indices=places,
            inputs=(("x", values), ("indices", indices)),
        )  # fmt: skip
    except ValueError:
        check_range(indices, P * Q)  # the plan looked at all before it wrote any; this says which was wrong
        raise


def _output_size(value: object, default: Pair, stride: Pair, batch_and_channels: Pair, layout: str) -> Pair:
    if value is None:
        return default
    if isinstance(value, tuple | list) and len(value) == 4:
        N, height, width, C = shapes.split(value, layout)
        if batch_and_channels != (N, C):
            raise ValueError(f"output_size must keep N and C {batch_and_channels}, got {tuple(value)}")
        value = (height, width)
    size = checks.pair("output_size", value, minimum=1)
    for given, own, step, axis in zip(size, default, stride, shapes.AXES, strict=True):
        if abs(given - own) >= step:
            raise ValueError(
                f"output_size must be less than one stride {step} from {own} along the {axis}, got {given}"
            )
    return size


def as_indices(value: object, shape: tuple[int, ...]) -> Array:
    """The indices as contiguous int64; the backend sees to their range before it writes anything."""
    indices = arrays.as_array("indices", value)
    if indices.dtype.kind not in "iu" or not indices.dtype.isnative:
        raise TypeError(f"indices must have an integer dtype (native byte order), got {indices.dtype!r}")
    if indices.shape != shape:
        raise ValueError(f"indices must have x's shape {shape}, got {indices.shape}")
    return arrays.contiguous("indices", indices.astype(np.int64, copy=False))  # beyond int64 is below 0 then


def check_range(value: object, count: int) -> None:
    """ValueError where an index is not that of one of `count` pixels."""
    indices = arrays.as_array("indices", value)
    if indices.size and (int(indices.min()) < 0 or int(indices.max()) >= count):
        wrong = int(indices.min()) if int(indices.min()) < 0 else int(indices.max())
        raise ValueError(f"indices must be in [0, {count}), the size of an output channel, got {wrong}")


@lru_cache(maxsize=256)
def unpooling(
    state: object, x_shape: tuple[int, ...], y_shape: tuple[int, ...], size: Pair, dtype: np.dtype[Any], layout: str
) -> native.Plan:
    """The native plan. It keeps the ISA and the limit it was made with, so they are part of the key: `state`."""
    return dispatch.native_plan(_OP, x_shape, y_shape, size, dtype=dtype, layout=layout)
