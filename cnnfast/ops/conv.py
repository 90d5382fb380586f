"""conv2d and depthwise_conv2d: convolution as CNNs have it, that is, cross-correlation."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cnnfast.ops import arrays, at_once, checks, dispatch, geometry, integers
from cnnfast.ops.arrays import Array
from cnnfast.ops.geometry import Options, Shape, conv_options
from cnnfast.ops.options import Activation
from cnnfast.ops.plan import Plan
from cnnfast.ops.signatures import SIGNATURES

Ints = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | str


def conv2d(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, groups: int = 1, layout: str = "NHWC", padding_mode: str = "zeros",
    activation: Activation = None, residual: ArrayLike | None = None, algorithm: str = "auto",
    precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """2-D convolution: y = activation(conv(x, weight) + bias + residual).

    y[n,p,q,k] sums x[n, p*stride + r*dilation - top, q*stride + s*dilation - left, c] * weight[r,s,c,k] over r, s and
    the C/groups channels c of k's group. P = floor((H + top + bottom - dilation*(R-1) - 1) / stride) + 1, Q alike.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW". float32, float64; int8, uint8 (y is int32); int16, uint16,
        int32, uint32, int64 (y is int64). Strided, read-only and DLPack arrays will do. N may be 0.
    weight : (R, S, C/groups, K), or (K, C/groups, R, S) with "NCHW". Floating where x is (it is cast to x's dtype),
        integer where x is.
    bias : (K,), of the weight's kind
    stride, dilation : an integer, or (height, width)
    padding : pixels of zeros around x: an integer, (height, width), ((top, bottom), (left, right)), "valid" (none) or
        "same" (ceil(size / stride) outputs, TensorFlow's rule: an odd pixel goes to the bottom or right)
    groups : channels and filters in so many separate convolutions
    layout : "NHWC" or "NCHW", of x, weight, residual and y
    padding_mode : what padding holds: "zeros", "reflect", "replicate" or "circular"
    activation : None, "relu", "relu6", "leaky_relu" (slope 0.01), ("leaky_relu", slope), "sigmoid", "tanh", "gelu"
        (exact), "gelu_tanh", "silu", "hardswish", "elu", ("elu", alpha), "selu", "hardsigmoid", "mish" or "softplus";
        for integers None, "relu" or "relu6"
    residual : of y's shape, added before the activation; not for integers
    algorithm : "auto", chosen by the problem alone; "tune", the fastest as measured here once (see `load_tuning`); or a
        row of the op's table: see `plan_conv2d(...).explain()`
    precision : "strict": each output is one chain of multiply-adds in order, the same bits from every such algorithm;
        "default" (or as CNNFAST_PRECISION says): also algorithms with at most 2.5 times its error on normal data;
        "fast": also those with at most 10 times
    out : where to write y; it may not overlap an input

    Returns
    -------
    y : (N, P, Q, K), or (N, K, P, Q) with "NCHW"

    Raises
    ------
    ValueError : a value or shape is out of its range, or an integer sum could overflow
    TypeError : an argument has the wrong type or dtype
    MemoryError : y, a copy or the workspace cannot be had
    Nothing has been written to `out` then.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    >>> edges = np.array([[1, 0, -1]] * 3, np.float32).reshape(3, 3, 1, 1)
    >>> cnnfast.conv2d(image, edges).reshape(2, 2).tolist()
    [[-6.0, -6.0], [-6.0, -6.0]]

    References
    ----------
    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.
    """
    if out is None:
        keywords = (stride, padding, dilation, groups, layout, padding_mode, precision)
        y = at_once.convolution(False, x, weight, bias, residual, keywords, activation, algorithm)
        if y is not None:
            return y
    asked = conv_options(
        "conv2d", stride=stride, padding=padding, dilation=dilation, layout=layout, padding_mode=padding_mode,
        activation=activation, algorithm=algorithm, precision=precision, once=True,
    )  # fmt: skip
    images = arrays.as_input("x", x, SIGNATURES["conv2d"].dtypes, asked.layouts.x)
    plan = prepare_conv2d(images.shape, images.dtype, weight, bias, groups, asked, arrays.max_abs(images))
    return plan.run(images, residual, out, (("weight", weight), ("bias", bias)))


def plan_conv2d(
    input_shape: Shape, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, groups: int = 1, layout: str = "NHWC", padding_mode: str = "zeros",
    activation: Activation = None, algorithm: str = "auto", precision: str = "default", dtype: DTypeLike | None = None,
    max_workspace: int | None = None,
) -> Plan:  # fmt: skip
    """Make a conv2d ready once, to run it many times: algorithm chosen, workspace sized, weights packed.

    Parameters
    ----------
    input_shape : x's shape in the layout's order; its N guides the choice, and the plan runs any N
    the others : see `conv2d`
    dtype : x's dtype, by default the weight's. An integer plan must be safe for all values of it.
    max_workspace : bytes that the packed weights and a run's workspace may take together; None: as `set_max_workspace`
        says, which also tells what is counted

    Returns
    -------
    A plan: `plan(x, residual=None, out=None)`, `plan.explain()`

    Raises
    ------
    As `conv2d`; also ValueError where no algorithm, or not the one named, takes the problem within max_workspace: it
    tells how many bytes the least one needs.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> plan = cnnfast.plan_conv2d((1, 56, 56, 64), np.ones((3, 3, 64, 64), np.float32), padding="same")
    >>> plan(np.ones((1, 56, 56, 64), np.float32)).shape, plan.explain().algorithm
    ((1, 56, 56, 64), 'winograd_f43')
    """
    asked = conv_options(
        "conv2d", stride=stride, padding=padding, dilation=dilation, layout=layout, padding_mode=padding_mode,
        activation=activation, algorithm=algorithm, precision=precision, max_workspace=max_workspace,
    )  # fmt: skip
    shape, x_dtype = geometry.plan_input("conv2d", input_shape, asked.layouts.x, dtype, weight)
    return prepare_conv2d(shape, x_dtype, weight, bias, groups, asked)


def depthwise_conv2d(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, layout: str = "NHWC", padding_mode: str = "zeros", activation: Activation = None,
    residual: ArrayLike | None = None, algorithm: str = "auto", precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """Convolve each channel by itself: channel c gives the outputs c*multiplier + m.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"
    weight : (R, S, C, multiplier), or (C*multiplier, 1, R, S) with "NCHW"
    bias : (C*multiplier,)
    the others : see `conv2d`

    Returns
    -------
    y : (N, P, Q, C*multiplier), or (N, C*multiplier, P, Q) with "NCHW"

    Raises
    ------
    As `conv2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([[[[1, 10]]]], np.float32)
    >>> cnnfast.depthwise_conv2d(x, np.array([[[[1, 2], [3, 4]]]], np.float32)).tolist()
    [[[[1.0, 2.0, 30.0, 40.0]]]]

    References
    ----------
    Howard et al., "MobileNets", arXiv:1704.04861.
    """
    if out is None:
        keywords = (stride, padding, dilation, 1, layout, padding_mode, precision)
        y = at_once.convolution(True, x, weight, bias, residual, keywords, activation, algorithm)
        if y is not None:
            return y
    asked = conv_options(
        "depthwise_conv2d", stride=stride, padding=padding, dilation=dilation, layout=layout,
        padding_mode=padding_mode, activation=activation, algorithm=algorithm, precision=precision, once=True,
    )  # fmt: skip
    images = arrays.as_input("x", x, SIGNATURES["depthwise_conv2d"].dtypes, asked.layouts.x)
    plan = prepare_depthwise(images.shape, images.dtype, weight, bias, asked, arrays.max_abs(images))
    return plan.run(images, residual, out, (("weight", weight), ("bias", bias)))


def plan_depthwise_conv2d(
    input_shape: Shape, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, layout: str = "NHWC", padding_mode: str = "zeros", activation: Activation = None,
    algorithm: str = "auto", precision: str = "default", dtype: DTypeLike | None = None,
    max_workspace: int | None = None,
) -> Plan:  # fmt: skip
    """Make a depthwise_conv2d ready once, to run it many times.

    Parameters
    ----------
    input_shape, dtype, max_workspace : see `plan_conv2d`
    the others : see `depthwise_conv2d`

    Returns
    -------
    A plan: `plan(x, residual=None, out=None)`, `plan.explain()`

    Raises
    ------
    As `plan_conv2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> plan = cnnfast.plan_depthwise_conv2d((1, 8, 8, 2), np.ones((3, 3, 2, 1), np.float32))
    >>> plan(np.ones((1, 8, 8, 2), np.float32)).shape
    (1, 6, 6, 2)
    """
    asked = conv_options(
        "depthwise_conv2d", stride=stride, padding=padding, dilation=dilation, layout=layout,
        padding_mode=padding_mode, activation=activation, algorithm=algorithm, precision=precision,
        max_workspace=max_workspace,
    )  # fmt: skip
    shape, x_dtype = geometry.plan_input("depthwise_conv2d", input_shape, asked.layouts.x, dtype, weight)
    return prepare_depthwise(shape, x_dtype, weight, bias, asked)


def prepare_conv2d(
    x_shape: Shape, dtype: np.dtype[Any], weight: object, bias: object, groups: object, asked: Options,
    max_abs: int = 0,
) -> Plan:  # fmt: skip
    """The plan behind `conv2d` and `plan_conv2d`; max_abs: the largest |x| of an integer x, 0 for the dtype's."""
    count = checks.integer("groups", groups, minimum=1)
    packed = arrays.as_weight("weight", weight, dtype, SIGNATURES["conv2d"].dtypes)
    place = geometry.conv_geometry(
        x_shape, packed.shape, asked.layouts, count, asked.stride, asked.padding, asked.dilation, asked.padding_mode
    )
    return _plan("conv2d", x_shape, dtype, packed, bias, count, asked, place, max_abs)


def prepare_depthwise(
    x_shape: Shape, dtype: np.dtype[Any], weight: object, bias: object, asked: Options, max_abs: int = 0
) -> Plan:
    """The plan behind `depthwise_conv2d` and `plan_depthwise_conv2d`."""
    packed = arrays.as_weight("weight", weight, dtype, SIGNATURES["depthwise_conv2d"].dtypes)
    place = geometry.depthwise_geometry(
        x_shape, packed.shape, asked.layouts, asked.stride, asked.padding, asked.dilation, asked.padding_mode
    )
    channels = x_shape[3 if asked.layouts.x == "NHWC" else 1]
    if asked.layouts.weight == "NHWC":  # (R, S, C, multiplier) lies as conv2d's (R, S, C/groups = 1, K)
        packed = packed.reshape(*packed.shape[:2], 1, place.filters)
    return _plan("depthwise_conv2d", x_shape, dtype, packed, bias, channels, asked, place, max_abs)


def _plan(
    op: str, x_shape: Shape, dtype: np.dtype[Any], weight: Array, bias: object, groups: int, asked: Options,
    place: geometry.Geometry, max_abs: int,
) -> Plan:  # fmt: skip
    dtypes = SIGNATURES[op].dtypes
    added = geometry.as_bias("bias", bias, dtype, dtypes, place.filters)
    activation, alpha = asked.activation
    if dtype.kind != "f":
        axis = 3 if asked.layouts.weight == "NHWC" else 0
        integers.check(weight, axis, added, dtype, dtypes[dtype], max_abs, activation)
    native = dispatch.native_plan(
        op, x_shape, place.output_shape, weight, added, dtype=dtype, stride=asked.stride,
        padding=(*place.padding[0], *place.padding[1]), dilation=asked.dilation, groups=groups,
        padding_mode=asked.padding_mode, activation=activation, alpha=alpha, algorithm=asked.algorithm,
        max_abs_input=max_abs, max_workspace=asked.max_workspace,
        precision=asked.precision, once=asked.once, **asked.layouts.told,
    )  # fmt: skip
    return Plan(op, native, x_shape, place.output_shape, dtype, asked.layouts.x)
