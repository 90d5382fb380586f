"""Three dimensions, plane by plane through the 2-D ops: conv3d, max_pool3d, avg_pool3d."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import arrays, checks, geometry, options, pointwise, resize, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair, Sides
from cnnfast.ops.conv import conv2d
from cnnfast.ops.options import Activation
from cnnfast.ops.pool import avg_pool2d, max_pool2d
from cnnfast.ops.signatures import FLOATS, SIGNATURES

Triple = int | tuple[int, int, int]
Padding3d = int | tuple[int, int, int] | tuple[Pair, Pair, Pair] | str
LAYOUTS = ("NDHWC", "NCDHW")
AXES = {"NDHWC": "N, D, H, W, C", "NCDHW": "N, C, D, H, W"}
NAMES = ("depth", "height", "width")


def conv3d(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: Triple = 1, padding: Padding3d = 0,
    dilation: Triple = 1, groups: int = 1, layout: str = "NDHWC", padding_mode: str = "zeros",
    activation: Activation = None, residual: ArrayLike | None = None, algorithm: str = "auto",
    precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """3-D convolution: y = activation(conv(x, weight) + bias + residual).

    A sum over the T depth taps of 2-D convolutions: the first starts at the bias, each next one is added to what is
    there. So |y - exact| <= gamma(T*R*S*C/groups + T + 1) * (sum |x||w| + |b| + |residual|).

    Parameters
    ----------
    x : (N, D, H, W, C), or (N, C, D, H, W) with layout "NCDHW"; float32 or float64
    weight : (T, R, S, C/groups, K), or (K, C/groups, T, R, S) with "NCDHW"; cast to x's dtype
    bias : (K,)
    stride, dilation : an integer, or (depth, height, width)
    padding : an integer, (depth, height, width), ((front, back), (top, bottom), (left, right)), "valid" or "same"
    layout : "NDHWC" or "NCDHW", of x, weight, residual and y
    groups, padding_mode, activation, residual, algorithm, precision, out : see `conv2d`

    Returns
    -------
    y : (N, O, P, Q, K), or (N, K, O, P, Q) with "NCDHW"

    Raises
    ------
    As `conv2d`; integers are a TypeError.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.conv3d(np.ones((1, 3, 4, 4, 2)), np.ones((3, 3, 3, 2, 1))).ravel().tolist()
    [54.0, 54.0, 54.0, 54.0]

    References
    ----------
    Tran et al., "Learning spatiotemporal features with 3D convolutional networks", arXiv:1412.0767.
    """
    order = checks.choice("layout", layout, LAYOUTS)
    step, gap = triple("stride", stride), triple("dilation", dilation)
    after = options.activation("activation", activation)
    mode = checks.choice("padding_mode", padding_mode, options.PADDING_MODES)
    images = volumes("x", x, FLOATS, order)
    kernels = weight_of(weight, images.dtype, order)
    added = geometry.as_bias("bias", bias, images.dtype, FLOATS, kernels.shape[-1])
    N, D, H, W, C = images.shape
    sides = resolve(sides_of(padding), (D, H, W), kernels.shape[:3], step, gap)
    depth, P, Q = (
        shapes.conv_size((D, H, W)[i], kernels.shape[i], step[i], sides[i], gap[i], NAMES[i]) for i in range(3)
    )
    shape = (N, depth, P, Q, kernels.shape[-1])
    more = None if residual is None else _residual(residual, images.dtype, shape, order)
    y = pointwise.target(
        out,
        ordered(shape, order),
        images.dtype,
        (("x", x), ("weight", weight), ("bias", bias), ("residual", residual)),
    )
    padded = pad_depth(images, sides[0], mode)
    common: dict[str, Any] = {
        "stride": step[1:], "padding": sides[1:], "dilation": gap[1:], "groups": groups, "padding_mode": mode,
        "algorithm": algorithm, "precision": precision,
    }  # fmt: skip
    total: Array | None = None
    for t, kernel in enumerate(kernels):
        planes = padded[:, t * gap[0] : t * gap[0] + (depth - 1) * step[0] + 1 : step[0]].reshape(N * depth, H, W, C)
        last = t == len(kernels) - 1 and more is None
        total = conv2d(
            planes, kernel, added if t == 0 else None, residual=total, activation=activation if last else None, **common
        )
    assert total is not None
    result = total.reshape(shape)
    if more is not None:
        result = pointwise.combine("add", result, more, None, after)
    y[...] = result if order == "NDHWC" else np.moveaxis(result, -1, 1)
    return y


def max_pool3d(
    x: ArrayLike, kernel_size: Triple, stride: Triple | None = None, *, padding: Padding3d = 0, dilation: Triple = 1,
    ceil_mode: bool = False, layout: str = "NDHWC", algorithm: str = "auto", out: Array | None = None,
) -> Array:  # fmt: skip
    """The largest value in each window of a volume.

    Parameters
    ----------
    x : (N, D, H, W, C), or (N, C, D, H, W) with layout "NCDHW"; dtypes as `max_pool2d`
    kernel_size, stride, dilation : an integer, or (depth, height, width); the stride is by default kernel_size
    padding : an integer, (depth, height, width), ((front, back), (top, bottom), (left, right)), at most half of
        kernel_size; "valid" or "same"
    layout : "NDHWC" or "NCDHW"
    ceil_mode, algorithm, out : see `max_pool2d`

    Returns
    -------
    y : (N, O, P, Q, C), or (N, C, O, P, Q) with "NCDHW", of x's dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.max_pool3d(np.arange(8).reshape(1, 2, 2, 2, 1), 2).item()
    7
    """
    gap = triple("dilation", dilation)
    return _pool("max_pool3d", max_pool2d, x, kernel_size, stride, padding, layout, out, gap, algorithm,
                 ceil_mode=ceil_mode)  # fmt: skip


def avg_pool3d(
    x: ArrayLike, kernel_size: Triple, stride: Triple | None = None, *, padding: Padding3d = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, layout: str = "NDHWC", algorithm: str = "auto",
    out: Array | None = None,
) -> Array:  # fmt: skip
    """The mean of each window of a volume: the mean over its depth of its planes' means.

    Parameters
    ----------
    x : (N, D, H, W, C), or (N, C, D, H, W) with layout "NCDHW"; float32 or float64
    kernel_size, stride, padding, layout : see `max_pool3d`
    ceil_mode, count_include_pad, algorithm, out : see `avg_pool2d`

    Returns
    -------
    y : (N, O, P, Q, C), or (N, C, O, P, Q) with "NCDHW", of x's dtype

    Raises
    ------
    As `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2, 1), 2).item()
    3.5
    """
    return _pool("avg_pool3d", avg_pool2d, x, kernel_size, stride, padding, layout, out, None, algorithm,
                 ceil_mode=ceil_mode, count_include_pad=count_include_pad)  # fmt: skip


def _pool(
    op: str, pool: Callable[..., Array], x: object, kernel_size: object, stride: object, padding: object,
    layout: object, out: object, gap: tuple[int, int, int] | None, algorithm: object, **how: Any,
) -> Array:  # fmt: skip
    """A pool of the planes, then one along the depth: maxima and means of windows that are products are both so."""
    order = checks.choice("layout", layout, LAYOUTS)
    window = triple("kernel_size", kernel_size)
    step = window if stride is None else triple("stride", stride)
    array = arrays.as_array("x", x)
    arrays.check_dtype("x", array.dtype, SIGNATURES[op].dtypes)
    check_volumes("x", array.shape, order)
    last = order == "NDHWC"
    N, D, H, W, C = array.shape if last else (array.shape[0], *array.shape[2:], array.shape[1])
    sides = sides_of(padding)
    flat_sides, deep_sides = (sides, sides) if isinstance(sides, str) else (sides[1:], (sides[0], (0, 0)))
    across, along = ({} if gap is None else {"dilation": each} for each in (gap and gap[1:], gap and (gap[0], 1)))
    planes = array.reshape(N * D, H, W, C) if last else array.reshape(N * C, D, H, W)
    flat = pool(
        planes, window[1:], step[1:], padding=flat_sides, layout="NHWC" if last else "NCHW", algorithm=algorithm,
        **how, **across,
    )  # fmt: skip
    P, Q = flat.shape[1:3] if last else flat.shape[2:]
    columns = flat.reshape(N, D, 1, P * Q * C) if last else flat.reshape(N * C, D, 1, P * Q)
    deep = pool(columns, (window[0], 1), (step[0], 1), padding=deep_sides, algorithm=algorithm, **how, **along)
    depth = deep.shape[1]
    result = deep.reshape(N, depth, P, Q, C) if last else deep.reshape(N, C, depth, P, Q)
    if out is None:
        return result
    y = pointwise.target(out, result.shape, result.dtype, (("x", array),))
    np.copyto(y, result)
    return y


def triple(name: str, value: object) -> tuple[int, int, int]:
    """An integer for all axes, or (depth, height, width)."""
    if isinstance(value, tuple | list):
        if len(value) != 3:
            raise ValueError(f"{name} must be an integer or (depth, height, width), got {value!r}")
        depth, height, width = (checks.integer(name, each, minimum=1) for each in value)
        return depth, height, width
    each = checks.integer(name, value, minimum=1)
    return each, each, each


def sides_of(padding: object) -> tuple[Pair, Pair, Pair] | str:
    """Any of the padding's forms as ((front, back), (top, bottom), (left, right)), or "same"."""
    if isinstance(padding, str):
        return "same" if checks.sides("padding", padding) == "same" else ((0, 0), (0, 0), (0, 0))
    if not isinstance(padding, tuple | list):
        both = checks.integer("padding", padding, minimum=0)
        return (both, both), (both, both), (both, both)
    if len(padding) != 3:
        raise ValueError(
            f"padding must be an integer, (d, h, w) or ((front, back), (top, bottom), (left, right)), got {padding!r}"
        )
    front, top, left = (checks.pair("padding", each, minimum=0) for each in padding)
    return front, top, left


def resolve(
    padding: tuple[Pair, Pair, Pair] | str, size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[Pair, Pair, Pair]:  # fmt: skip
    """Padding per side, "same" worked out."""
    if not isinstance(padding, str):
        return padding
    front, top, left = (shapes.same_padding(size[i], kernel[i], stride[i], dilation[i]) for i in range(3))
    return front, top, left


def volumes(name: str, value: object, dtypes: Any, order: str) -> Array:
    """value as (N, D, H, W, C)."""
    array = arrays.as_array(name, value)
    arrays.check_dtype(name, array.dtype, dtypes)
    check_volumes(name, array.shape, order)
    return array if order == "NDHWC" else arrays.contiguous(name, np.moveaxis(array, 1, -1))


def check_volumes(name: str, shape: tuple[int, ...], order: str) -> None:
    """A volume's shape: five sizes, of which only N may be 0."""
    if len(shape) != 5:
        raise ValueError(f"{name} must have 5 dimensions ({AXES[order]}), got shape {shape}")
    if 0 in shape[1:]:
        raise ValueError(f"{name} must have no empty dimension but N ({AXES[order]}), got shape {shape}")


def weight_of(value: object, dtype: np.dtype[Any], order: str) -> Array:
    """weight as (T, R, S, C/groups, K)."""
    weight = arrays.as_weight("weight", value, dtype, FLOATS)
    axes = "T, R, S, C/groups, K" if order == "NDHWC" else "K, C/groups, T, R, S"
    if weight.ndim != 5 or 0 in weight.shape:
        raise ValueError(f"weight must have 5 dimensions ({axes}), none 0, got shape {weight.shape}")
    return weight if order == "NDHWC" else np.ascontiguousarray(np.transpose(weight, (2, 3, 4, 1, 0)))


def _residual(value: object, dtype: np.dtype[Any], shape: tuple[int, ...], order: str) -> Array:
    """residual as (N, O, P, Q, K), of x's dtype."""
    residual = arrays.as_array("residual", value)
    arrays.check_dtype("residual", residual.dtype, FLOATS)
    if residual.shape != ordered(shape, order):
        raise ValueError(f"residual must have y's shape {ordered(shape, order)}, got {residual.shape}")
    return arrays.contiguous("residual", residual if order == "NDHWC" else np.moveaxis(residual, 1, -1), dtype)


def ordered(shape: tuple[int, ...], order: str) -> tuple[int, ...]:
    """(N, ..., C) in the layout's order."""
    return shape if order == "NDHWC" else (shape[0], shape[-1], *shape[1:-1])


def pad_depth(x: Array, sides: Pair, mode: str) -> Array:
    """x with planes before and after: padding the depth is padding the height of images D high and H*W*C wide."""
    if sides == (0, 0):
        return x
    N, D, H, W, C = x.shape
    padding: Sides = (sides, (0, 0))
    padded = resize.pad2d(x.reshape(N, D, H * W * C, 1), padding, "constant" if mode == "zeros" else mode)
    return padded.reshape(N, D + sum(sides), H, W, C)
