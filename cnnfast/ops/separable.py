"""separable_conv2d: depthwise, then pointwise, as one op whose full intermediate never exists."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cnnfast.ops import arrays, dispatch, geometry, options, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import Ints, Padding
from cnnfast.ops.geometry import Options, Shape, conv_options
from cnnfast.ops.options import Activation
from cnnfast.ops.plan import Plan
from cnnfast.ops.signatures import SIGNATURES

_OP = "separable_conv2d"


def separable_conv2d(
    x: ArrayLike, depthwise_weight: ArrayLike, pointwise_weight: ArrayLike, bias: ArrayLike | None = None, *,
    depthwise_bias: ArrayLike | None = None, depthwise_activation: Activation = None, stride: Ints = 1,
    padding: Padding = 0, dilation: Ints = 1, layout: str = "NHWC", padding_mode: str = "zeros",
    activation: Activation = None, residual: ArrayLike | None = None, algorithm: str = "auto",
    precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """Depthwise-separable convolution: a depthwise_conv2d, then a 1x1 conv2d, costing 1/K + 1/(R*S) of the full one.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    depthwise_weight : (R, S, C, multiplier), or (C*multiplier, 1, R, S) with "NCHW"
    pointwise_weight : (1, 1, C*multiplier, K), or (K, C*multiplier, 1, 1) with "NCHW"
    bias : (K,)
    depthwise_bias, depthwise_activation : (C*multiplier,) and the activation between the two
    stride, padding, dilation, padding_mode : the depthwise step's, see `conv2d`
    layout, activation, residual, algorithm, precision, out : see `conv2d`

    Returns
    -------
    y : (N, P, Q, K), or (N, K, P, Q) with "NCHW"

    Raises
    ------
    As `conv2d`; integers are a TypeError.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.ones((1, 3, 3, 2), np.float32)
    >>> cnnfast.separable_conv2d(x, np.ones((3, 3, 2, 1)), np.ones((1, 1, 2, 4))).tolist()
    [[[[18.0, 18.0, 18.0, 18.0]]]]

    References
    ----------
    Howard et al., "MobileNets", arXiv:1704.04861.
    """
    between = options.activation("depthwise_activation", depthwise_activation)
    asked = conv_options(
        _OP, stride=stride, padding=padding, dilation=dilation, layout=layout, padding_mode=padding_mode,
        activation=activation, algorithm=algorithm, precision=precision,
    )  # fmt: skip
    images = arrays.as_input("x", x, SIGNATURES[_OP].dtypes, asked.layout)
    weights = {
        "depthwise_weight": depthwise_weight, "depthwise_bias": depthwise_bias,
        "pointwise_weight": pointwise_weight, "bias": bias,
    }  # fmt: skip
    plan = _plan(images.shape, images.dtype, weights, between, asked)
    return plan.run(images, residual, out, weights.items())


def plan_separable_conv2d(
    input_shape: Shape, depthwise_weight: ArrayLike, pointwise_weight: ArrayLike, bias: ArrayLike | None = None, *,
    depthwise_bias: ArrayLike | None = None, depthwise_activation: Activation = None, stride: Ints = 1,
    padding: Padding = 0, dilation: Ints = 1, layout: str = "NHWC", padding_mode: str = "zeros",
    activation: Activation = None, algorithm: str = "auto", precision: str = "default", dtype: DTypeLike | None = None,
    max_workspace: int | None = None,
) -> Plan:  # fmt: skip
    """Make a separable_conv2d ready once, to run it many times.

    Parameters
    ----------
    input_shape, max_workspace : see `plan_conv2d`
    dtype : x's dtype, by default the depthwise weight's
    the others : see `separable_conv2d`

    Returns
    -------
    A plan: `plan(x, residual=None, out=None)`, `plan.explain()`

    Raises
    ------
    As `plan_conv2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> depthwise, pointwise = np.ones((3, 3, 8, 1), np.float32), np.ones((1, 1, 8, 16), np.float32)
    >>> cnnfast.plan_separable_conv2d((1, 14, 14, 8), depthwise, pointwise, padding="same").output_shape()
    (1, 14, 14, 16)
    """
    between = options.activation("depthwise_activation", depthwise_activation)
    asked = conv_options(
        _OP, stride=stride, padding=padding, dilation=dilation, layout=layout, padding_mode=padding_mode,
        activation=activation, algorithm=algorithm, precision=precision, max_workspace=max_workspace,
    )  # fmt: skip
    weights = {
        "depthwise_weight": depthwise_weight, "depthwise_bias": depthwise_bias,
        "pointwise_weight": pointwise_weight, "bias": bias,
    }  # fmt: skip
    shape, x_dtype = geometry.plan_input(_OP, input_shape, asked.layout, dtype, depthwise_weight, "depthwise_weight")
    return _plan(shape, x_dtype, weights, between, asked)


def _plan(
    x_shape: Shape, dtype: np.dtype[Any], weights: dict[str, Any], between: tuple[str | None, float], asked: Options
) -> Plan:
    dtypes = SIGNATURES[_OP].dtypes
    depthwise = arrays.as_weight("depthwise_weight", weights["depthwise_weight"], dtype, dtypes)
    pointwise = arrays.as_weight("pointwise_weight", weights["pointwise_weight"], dtype, dtypes)
    place = geometry.depthwise_geometry(
        x_shape, depthwise.shape, asked.layouts, asked.stride, asked.padding, asked.dilation, asked.padding_mode,
        "depthwise_weight",
    )  # fmt: skip
    filters = geometry.pointwise_filters("pointwise_weight", pointwise.shape, asked.layout, place.filters)
    N, P, Q, _ = shapes.split(place.output_shape, asked.layout)
    y_shape = shapes.join(N, P, Q, filters, asked.layout)
    native = dispatch.native_plan(
        _OP, x_shape, y_shape, depthwise,
        geometry.as_bias("depthwise_bias", weights["depthwise_bias"], dtype, dtypes, place.filters), pointwise,
        geometry.as_bias("bias", weights["bias"], dtype, dtypes, filters), dtype=dtype, layout=asked.layout,
        stride=asked.stride, padding=(*place.padding[0], *place.padding[1]), dilation=asked.dilation,
        padding_mode=asked.padding_mode, depthwise_activation=between[0], depthwise_alpha=between[1],
        activation=asked.activation[0], alpha=asked.activation[1], algorithm=asked.algorithm,
        max_workspace=asked.max_workspace,
    )  # fmt: skip
    return Plan(_OP, native, x_shape, y_shape, dtype, asked.layout)
