"""Gradients of convolutions with respect to their weights: sums over every pixel of x times grad_output."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, at_once, checks, options, pointwise, resize, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair, Sides, SidesOrSame
from cnnfast.ops.conv import Ints, Padding
from cnnfast.ops.signatures import FLOATS


class Problem(NamedTuple):
    """A convolution's keywords, normalised, but for padding_mode: where that is not zeros x has its border already."""

    stride: Pair
    padding: Sides
    dilation: Pair
    groups: int
    layout: str


def conv2d_weight(
    grad_output: ArrayLike, x: ArrayLike, kernel_size: Ints, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, groups: int = 1, layout: str = "NHWC", padding_mode: str = "zeros",
    precision: str = "default", grad_bias: Array | None = None, out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of conv2d with respect to its weight.

    grad_weight[r,s,c,k] sums x[n, p*stride + r*dilation - top, q*stride + s*dilation - left, c] * grad_output[n,p,q,k]
    over n, p and q.

    Parameters
    ----------
    grad_output : (N, P, Q, K), or (N, K, P, Q) with layout "NCHW": y's gradient; cast to x's dtype
    x : (N, H, W, C), or (N, C, H, W): conv2d's; float32 or float64
    kernel_size : an integer, or (height, width)
    stride, padding, dilation, groups, layout, padding_mode : conv2d's
    precision : "strict": every sum is a tree of chains (`docs/design.md`); "default" also takes Winograd's way, whose
        errors are no larger on normal data; see `cnnfast.conv2d`
    grad_bias : (K,) of x's dtype and contiguous: where to write the gradient of the bias too, in the same pass
    out : where to write; it may not overlap an input

    Returns
    -------
    grad_weight : (R, S, C/groups, K), or (K, C/groups, R, S) with "NCHW", of x's dtype; zeros where N is 0

    Raises
    ------
    ValueError : a value or shape is out of its range, or shapes do not fit each other
    TypeError : an argument has the wrong type or dtype
    MemoryError : the gradient, a copy or the workspace cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> x = np.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
    >>> cnnfast.grad.conv2d_weight(np.ones((1, 1, 2, 1)), x, (1, 2)).ravel().tolist()
    [3.0, 6.0]

    References
    ----------
    Goodfellow, Bengio and Courville, "Deep Learning", section 9.5.
    """
    if out is None:
        keywords = (stride, padding, dilation, groups, layout, padding_mode, precision)
        grad_weight = at_once.weight_gradient(False, grad_output, x, kernel_size, grad_bias, keywords)
        if grad_weight is not None:
            return grad_weight
    order = options.layout(layout)
    count = checks.integer("groups", groups, minimum=1)
    images, gradient = _inputs(grad_output, x, order)
    place = weight_place(
        images.shape, gradient.shape, checks.pair("kernel_size", kernel_size, minimum=1), order, count,
        checks.pair("stride", stride, minimum=1), checks.sides("padding", padding),
        checks.pair("dilation", dilation, minimum=1),
        checks.choice("padding_mode", padding_mode, options.PADDING_MODES),
    )  # fmt: skip
    return _run(place, padding_mode, gradient, images, images.dtype, out, grad_bias, precision=precision)


def depthwise_conv2d_weight(
    grad_output: ArrayLike, x: ArrayLike, kernel_size: Ints, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, layout: str = "NHWC", padding_mode: str = "zeros", grad_bias: Array | None = None,
    out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of depthwise_conv2d with respect to its weight.

    Parameters
    ----------
    grad_output : (N, P, Q, C*multiplier), or (N, C*multiplier, P, Q) with layout "NCHW": y's gradient
    x : (N, H, W, C), or (N, C, H, W): depthwise_conv2d's; float32 or float64
    kernel_size : an integer, or (height, width)
    stride, padding, dilation, layout, padding_mode : depthwise_conv2d's
    grad_bias : see `conv2d_weight`
    out : where to write; it may not overlap an input

    Returns
    -------
    grad_weight : (R, S, C, multiplier), or (C*multiplier, 1, R, S) with "NCHW", of x's dtype

    Raises
    ------
    As `conv2d_weight`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> x = np.array([[[[1.0, 10.0], [2.0, 20.0]]]])
    >>> cnnfast.grad.depthwise_conv2d_weight(np.ones((1, 1, 2, 2)), x, 1).tolist()
    [[[[3.0], [30.0]]]]
    """
    if out is None:
        keywords = (stride, padding, dilation, 1, layout, padding_mode, "default")
        grad_weight = at_once.weight_gradient(True, grad_output, x, kernel_size, grad_bias, keywords)
        if grad_weight is not None:
            return grad_weight
    order = options.layout(layout)
    images, gradient = _inputs(grad_output, x, order)
    channels, filters = (shapes.split(each.shape, order)[3] for each in (images, gradient))
    if filters % channels:
        raise ValueError(f"grad_output must have a multiple of x's C {channels} channels, got {filters}")
    place = weight_place(
        images.shape, gradient.shape, checks.pair("kernel_size", kernel_size, minimum=1), order, channels,
        checks.pair("stride", stride, minimum=1), checks.sides("padding", padding),
        checks.pair("dilation", dilation, minimum=1),
        checks.choice("padding_mode", padding_mode, options.PADDING_MODES),
    )  # fmt: skip
    R, S = place.kernel
    if order == "NHWC":
        place = place._replace(shape=(R, S, channels, filters // channels))
    return _run(place, padding_mode, gradient, images, images.dtype, out, grad_bias)


def conv_transpose2d_weight(
    grad_output: ArrayLike, x: ArrayLike, kernel_size: Ints, *, stride: Ints = 1, padding: Padding = 0,
    output_padding: Ints = 0, dilation: Ints = 1, groups: int = 1, layout: str = "NHWC",
    precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """The gradient of conv_transpose2d with respect to its weight: conv2d_weight with x and grad_output in each other's
    place.

    Parameters
    ----------
    grad_output : (N, P, Q, K), or (N, K, P, Q) with layout "NCHW": y's gradient
    x : (N, H, W, C), or (N, C, H, W): conv_transpose2d's; float32 or float64
    kernel_size : an integer, or (height, width)
    stride, padding, output_padding, dilation, groups, layout : conv_transpose2d's
    precision : see `conv2d_weight`
    out : where to write; it may not overlap an input

    Returns
    -------
    grad_weight : (R, S, K/groups, C), or (C, K/groups, R, S) with "NCHW", of x's dtype

    Raises
    ------
    As `conv2d_weight`.

    Examples
    --------
    >>> import numpy as np, cnnfast.grad
    >>> grad_output = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 4, 1)
    >>> cnnfast.grad.conv_transpose2d_weight(grad_output, np.ones((1, 1, 2, 1)), (1, 2), stride=2).ravel().tolist()
    [4.0, 6.0]
    """
    order = options.layout(layout)
    count = checks.integer("groups", groups, minimum=1)
    images, gradient = _inputs(grad_output, x, order)
    place = transposed_place(
        images.shape, gradient.shape, checks.pair("kernel_size", kernel_size, minimum=1), order, count,
        checks.pair("stride", stride, minimum=1), checks.sides("padding", padding),
        checks.pair("dilation", dilation, minimum=1), checks.pair("output_padding", output_padding, minimum=0),
    )  # fmt: skip
    return _run(place, "zeros", images, gradient, images.dtype, out, names=("x", "grad_output"), precision=precision)


class Place(NamedTuple):
    """Where taps and pixels meet: the problem, its kernel, and the shape of its weight."""

    problem: Problem
    kernel: Pair
    shape: tuple[int, ...]


def _inputs(grad_output: object, x: object, layout: str) -> tuple[Array, Array]:
    """(x, grad_output), which may yet be of another dtype."""
    images = arrays.as_input("x", x, FLOATS, layout)
    return images, arrays.as_input("grad_output", grad_output, FLOATS, layout)


@lru_cache(maxsize=512)
def weight_place(
    x_shape: tuple[int, ...], grad_shape: tuple[int, ...], kernel: Pair, layout: str, groups: int, stride: Pair,
    padding: SidesOrSame, dilation: Pair, padding_mode: str,
) -> Place:  # fmt: skip
    """Of conv2d's weight, from the shapes of its x and of its output's gradient."""
    N, H, W, C = shapes.split(x_shape, layout)
    K = shapes.split(grad_shape, layout)[3]
    _check_groups(groups, C, "C")
    _check_groups(groups, K, "K")
    sides = shapes.resolve(padding, (H, W), kernel, stride, dilation)
    shapes.check_padding_mode(padding_mode, sides, (H, W))
    P, Q = (
        shapes.conv_size((H, W)[i], kernel[i], stride[i], sides[i], dilation[i], shapes.AXES[i], "kernel_size")
        for i in range(2)
    )
    _check_shape(grad_shape, shapes.join(N, P, Q, K, layout))
    problem = Problem(stride, sides, dilation, groups, layout)
    return Place(problem, kernel, _weight_shape(kernel, C // groups, K, layout))


@lru_cache(maxsize=512)
def transposed_place(
    x_shape: tuple[int, ...], grad_shape: tuple[int, ...], kernel: Pair, layout: str, groups: int, stride: Pair,
    padding: SidesOrSame, dilation: Pair, output_padding: Pair,
) -> Place:  # fmt: skip
    """Of conv_transpose2d's weight."""
    N, H, W, C = shapes.split(x_shape, layout)
    K = shapes.split(grad_shape, layout)[3]
    _check_groups(groups, C, "C")
    _check_groups(groups, K, "K")
    if padding == "same":
        if output_padding != (0, 0):
            raise ValueError(f'output_padding must be 0 with padding "same", which sets it, got {output_padding}')
        (top, below), (left, aside) = (
            shapes.transpose_same_padding(kernel[i], stride[i], dilation[i]) for i in range(2)
        )
        sides, output_padding = (top, left), (below, aside)
    else:
        sides = padding
    P, Q = (
        shapes.conv_transpose_size(
            (H, W)[i], kernel[i], stride[i], sides[i], output_padding[i], dilation[i], shapes.AXES[i]
        )
        for i in range(2)
    )
    _check_shape(grad_shape, shapes.join(N, P, Q, K, layout))
    problem = Problem(stride, sides, dilation, groups, layout)
    return Place(problem, kernel, _weight_shape(kernel, K // groups, C, layout))


def _weight_shape(kernel: Pair, group_channels: int, filters: int, layout: str) -> tuple[int, ...]:
    return (*kernel, group_channels, filters) if layout == "NHWC" else (filters, group_channels, *kernel)


def _check_groups(groups: int, channels: int, letter: str) -> None:
    if channels % groups:
        raise ValueError(f"groups must divide {letter} {channels}, got {groups}")


def _check_shape(given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if given != expected:
        raise ValueError(f"grad_output must have the output's shape {expected}, got {given}")


def _run(
    place: Place, padding_mode: str, grad_output: Array, x: Array, dtype: np.dtype[Any], out: object,
    grad_bias: object = None, names: tuple[str, str] = ("grad_output", "x"), precision: str = "default",
) -> Array:  # fmt: skip
    """The sums, into `out` where it is given."""
    chosen = options.precision(precision)
    inputs = (names[0], grad_output), (names[1], x)
    weight = pointwise.target(out, place.shape, dtype, inputs)
    bias = None
    if grad_bias is not None:
        K = shapes.split(grad_output.shape, place.problem.layout)[3]
        bias = _bias_target(grad_bias, K, dtype, (*inputs, ("out", out)))
    if x.shape[0] == 0:
        weight[...] = 0
        if bias is not None:
            bias[...] = 0
        return weight
    problem = place.problem
    if padding_mode != "zeros":
        x = resize.pad2d(x, problem.padding, padding_mode, layout=problem.layout)
        problem = problem._replace(padding=((0, 0), (0, 0)))
    if problem.layout == "NCHW":
        x, grad_output = np.moveaxis(x, 1, -1), np.moveaxis(grad_output, 1, -1)
    x, grad_output = arrays.contiguous(names[1], x, dtype), arrays.contiguous(names[0], grad_output, dtype)
    filters, nhwc = grad_output.shape[3], problem.layout == "NHWC"
    rows = (*place.kernel, x.shape[3] // problem.groups, filters)
    direct = nhwc and weight.flags.c_contiguous and weight.flags.aligned
    sums = weight if direct else arrays.allocate("the gradient in NHWC", rows, dtype)
    if not native.run_conv2d_grad_weight(
        x, grad_output, sums, bias, x.shape, filters, place.kernel, problem.stride,
        (*problem.padding[0], *problem.padding[1]), problem.dilation, problem.groups, None, chosen,
    ):  # fmt: skip
        raise RuntimeError(f"the backend refused arrays that were checked: x {x.shape} {x.dtype}")
    if not direct:
        np.copyto(weight, sums.reshape(place.shape) if nhwc else np.transpose(sums, (3, 2, 0, 1)))
    return weight


def _bias_target(grad_bias: object, K: int, dtype: np.dtype[Any], inputs: pointwise.Named) -> Array:
    if not isinstance(grad_bias, np.ndarray):
        raise TypeError(f"grad_bias must be a numpy.ndarray, got {type(grad_bias).__name__}")
    if grad_bias.dtype != dtype or grad_bias.shape != (K,):
        raise ValueError(
            f"grad_bias must have shape ({K},) and dtype {dtype}, got {grad_bias.shape} {grad_bias.dtype}"
        )
    if not (grad_bias.flags.c_contiguous and grad_bias.flags.aligned and grad_bias.flags.writeable):
        raise ValueError("grad_bias must be contiguous, aligned and writable")
    for name, value in inputs:
        if value is not None and np.may_share_memory(grad_bias, arrays.as_array(name, value)):
            raise ValueError(f"grad_bias must not overlap {name}")
    return grad_bias
