"""conv_transpose2d: the convolution that scatters, as decoders use it to grow a map."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cnnfast.ops import arrays, checks, dispatch, geometry
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair
from cnnfast.ops.conv import Ints, Padding
from cnnfast.ops.geometry import Options, Shape, conv_options
from cnnfast.ops.options import Activation
from cnnfast.ops.plan import Plan
from cnnfast.ops.signatures import SIGNATURES

_OP = "conv_transpose2d"


def conv_transpose2d(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: Ints = 1, padding: Padding = 0,
    output_padding: Ints = 0, dilation: Ints = 1, groups: int = 1, layout: str = "NHWC",
    activation: Activation = None, residual: ArrayLike | None = None, algorithm: str = "auto",
    precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """2-D transposed convolution: each pixel of x is multiplied by the kernel and added into y, `stride` pixels apart.

    P = (H - 1)*stride + dilation*(R - 1) + 1 + output_padding - top - bottom, Q alike. It is the gradient of a conv2d
    of the same stride, padding and dilation.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    weight : (R, S, K/groups, C) as in Keras, or (C, K/groups, R, S) as in torch with "NCHW"
    bias : (K,)
    stride : how far apart x's pixels fall in y: an integer, or (height, width)
    padding : pixels cropped from y, in any of `conv2d`'s forms; "same" gives P = H*stride, Q = W*stride
    output_padding : rows added at the bottom and columns at the right, less than stride
    dilation, groups, layout, activation, residual, algorithm, precision, out : see `conv2d`

    Returns
    -------
    y : (N, P, Q, K), or (N, K, P, Q) with "NCHW"

    Raises
    ------
    As `conv2d`; integers are a TypeError.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([1, 2], np.float32).reshape(1, 1, 2, 1)
    >>> cnnfast.conv_transpose2d(x, np.ones((1, 2, 1, 1), np.float32), stride=2).ravel().tolist()
    [1.0, 1.0, 2.0, 2.0]

    References
    ----------
    Dumoulin and Visin, arXiv:1603.07285, chapter 4.
    """
    asked = conv_options(
        _OP, stride=stride, padding=padding, dilation=dilation, layout=layout, activation=activation,
        algorithm=algorithm, precision=precision,
    )  # fmt: skip
    extra = checks.pair("output_padding", output_padding, minimum=0)
    images = arrays.as_input("x", x, SIGNATURES[_OP].dtypes, asked.layouts.x)
    plan = prepare_conv_transpose2d(images.shape, images.dtype, weight, bias, groups, extra, asked)
    return plan.run(images, residual, out, (("weight", weight), ("bias", bias)))


def plan_conv_transpose2d(
    input_shape: Shape, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: Ints = 1, padding: Padding = 0,
    output_padding: Ints = 0, dilation: Ints = 1, groups: int = 1, layout: str = "NHWC",
    activation: Activation = None, algorithm: str = "auto", precision: str = "default", dtype: DTypeLike | None = None,
    max_workspace: int | None = None,
) -> Plan:  # fmt: skip
    """Make a conv_transpose2d ready once, to run it many times.

    Parameters
    ----------
    input_shape, dtype, max_workspace : see `plan_conv2d`
    the others : see `conv_transpose2d`

    Returns
    -------
    A plan: `plan(x, residual=None, out=None)`, `plan.explain()`

    Raises
    ------
    As `plan_conv2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> plan = cnnfast.plan_conv_transpose2d((1, 7, 7, 8), np.ones((2, 2, 4, 8), np.float32), stride=2)
    >>> plan.output_shape()
    (1, 14, 14, 4)
    """
    asked = conv_options(
        _OP, stride=stride, padding=padding, dilation=dilation, layout=layout, activation=activation,
        algorithm=algorithm, precision=precision, max_workspace=max_workspace,
    )  # fmt: skip
    extra = checks.pair("output_padding", output_padding, minimum=0)
    shape, x_dtype = geometry.plan_input(_OP, input_shape, asked.layouts.x, dtype, weight)
    return prepare_conv_transpose2d(shape, x_dtype, weight, bias, groups, extra, asked)


def prepare_conv_transpose2d(
    x_shape: Shape, dtype: np.dtype[Any], weight: object, bias: object, groups: object, output_padding: Pair,
    asked: Options,
) -> Plan:  # fmt: skip
    """The plan behind both."""
    count = checks.integer("groups", groups, minimum=1)
    packed = arrays.as_weight("weight", weight, dtype, SIGNATURES[_OP].dtypes)
    place = geometry.conv_transpose_geometry(
        x_shape, packed.shape, asked.layouts, count, asked.stride, asked.padding, asked.dilation, output_padding
    )
    added = geometry.as_bias("bias", bias, dtype, SIGNATURES[_OP].dtypes, place.filters)
    activation, alpha = asked.activation
    native = dispatch.native_plan(
        _OP, x_shape, place.output_shape, packed, added, dtype=dtype, stride=asked.stride,
        padding=(*place.padding[0], *place.padding[1]), output_padding=place.output_padding,
        dilation=asked.dilation, groups=count, activation=activation, alpha=alpha, algorithm=asked.algorithm,
        max_workspace=asked.max_workspace, **asked.layouts.told,
    )  # fmt: skip
    return Plan(_OP, native, x_shape, place.output_shape, dtype, asked.layouts.x)
