"""inverted_residual2d: 1x1 expansion, depthwise, 1x1 projection, as one op whose wide images need never be whole."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cnnfast.ops import arrays, fused, geometry, options
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import Ints, Padding, prepare_conv2d, prepare_depthwise
from cnnfast.ops.geometry import Options, Shape, conv_options
from cnnfast.ops.options import Activation
from cnnfast.ops.plan import Plan
from cnnfast.ops.signatures import SIGNATURES

_OP = "inverted_residual2d"
_Between = tuple[str | None, float]


def inverted_residual2d(
    x: ArrayLike, expand_weight: ArrayLike, depthwise_weight: ArrayLike, project_weight: ArrayLike,
    bias: ArrayLike | None = None, *, expand_bias: ArrayLike | None = None, depthwise_bias: ArrayLike | None = None,
    stride: Ints = 1, padding: Padding = "same", dilation: Ints = 1, layout: str = "NHWC",
    padding_mode: str = "zeros", expand_activation: Activation = "relu6", depthwise_activation: Activation = "relu6",
    activation: Activation = None, residual: ArrayLike | None = None, algorithm: str = "auto",
    precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """MobileNet v2's block: a 1x1 conv2d to more channels, a depthwise_conv2d, a 1x1 conv2d to fewer, plus residual.

    The wide images between are computed a band of rows at a time where that is faster (`plan.explain()`: "bands"),
    else whole ("in_turn"); the bits are the same, and those of the three convolutions.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    expand_weight : (1, 1, C, E), or (E, C, 1, 1) with "NCHW"
    depthwise_weight : (R, S, E, multiplier), or (E*multiplier, 1, R, S) with "NCHW"
    project_weight : (1, 1, E*multiplier, K), or (K, E*multiplier, 1, 1) with "NCHW"
    bias : (K,), of the projection
    expand_bias, depthwise_bias, expand_activation, depthwise_activation : those of the first two steps
    stride, padding, dilation, padding_mode : the depthwise step's, see `conv2d`; torchvision's padding is 1
    residual : added to the projection, as `conv2d` does: x itself where C is K and the stride 1
    layout, activation, algorithm, precision, out : see `conv2d`

    Returns
    -------
    y : (N, P, Q, K), or (N, K, P, Q) with "NCHW"

    Raises
    ------
    As `conv2d`; integers are a TypeError.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x, expand, project = np.ones((1, 1, 1, 2)), np.ones((1, 1, 2, 6)), np.ones((1, 1, 6, 2))
    >>> cnnfast.inverted_residual2d(x, expand, np.ones((3, 3, 6, 1)), project, residual=x).tolist()
    [[[[13.0, 13.0]]]]

    References
    ----------
    Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", arXiv:1801.04381, section 3.3.
    """
    between = _between(expand_activation, depthwise_activation)
    asked = conv_options(
        _OP, stride=stride, padding=padding, dilation=dilation, layout=layout, padding_mode=padding_mode,
        activation=activation, algorithm=algorithm, precision=precision, once=True,
    )  # fmt: skip
    images = arrays.as_input("x", x, SIGNATURES[_OP].dtypes, asked.layout)
    weights = {
        "expand_weight": expand_weight, "expand_bias": expand_bias, "depthwise_weight": depthwise_weight,
        "depthwise_bias": depthwise_bias, "project_weight": project_weight, "bias": bias,
    }  # fmt: skip
    plan = _plan(images.shape, images.dtype, weights, between, asked)
    return plan.run(images, residual, out, weights.items())


def plan_inverted_residual2d(
    input_shape: Shape, expand_weight: ArrayLike, depthwise_weight: ArrayLike, project_weight: ArrayLike,
    bias: ArrayLike | None = None, *, expand_bias: ArrayLike | None = None, depthwise_bias: ArrayLike | None = None,
    stride: Ints = 1, padding: Padding = "same", dilation: Ints = 1, layout: str = "NHWC",
    padding_mode: str = "zeros", expand_activation: Activation = "relu6", depthwise_activation: Activation = "relu6",
    activation: Activation = None, algorithm: str = "auto", precision: str = "default",
    dtype: DTypeLike | None = None, max_workspace: int | None = None,
) -> Plan:  # fmt: skip
    """Make an inverted_residual2d ready once, to run it many times.

    Parameters
    ----------
    input_shape, max_workspace : see `plan_conv2d`
    dtype : x's dtype, by default the expanding weight's
    the others : see `inverted_residual2d`

    Returns
    -------
    A plan: `plan(x, residual=None, out=None)`, `plan.explain()`

    Raises
    ------
    As `plan_conv2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> expand, project = np.ones((1, 1, 24, 144), np.float32), np.ones((1, 1, 144, 24), np.float32)
    >>> plan = cnnfast.plan_inverted_residual2d((1, 56, 56, 24), expand, np.ones((3, 3, 144, 1)), project)
    >>> plan.output_shape(), plan.explain().algorithm
    ((1, 56, 56, 24), 'bands')
    """
    between = _between(expand_activation, depthwise_activation)
    asked = conv_options(
        _OP, stride=stride, padding=padding, dilation=dilation, layout=layout, padding_mode=padding_mode,
        activation=activation, algorithm=algorithm, precision=precision, max_workspace=max_workspace,
    )  # fmt: skip
    weights = {
        "expand_weight": expand_weight, "expand_bias": expand_bias, "depthwise_weight": depthwise_weight,
        "depthwise_bias": depthwise_bias, "project_weight": project_weight, "bias": bias,
    }  # fmt: skip
    shape, x_dtype = geometry.plan_input(_OP, input_shape, asked.layout, dtype, expand_weight, "expand_weight")
    return _plan(shape, x_dtype, weights, between, asked)


def _between(expand: object, depthwise: object) -> tuple[_Between, _Between]:
    return (
        options.activation("expand_activation", expand),
        options.activation("depthwise_activation", depthwise),
    )


def _plan(
    x_shape: Shape, dtype: np.dtype[Any], weights: dict[str, Any], between: tuple[_Between, _Between], asked: Options
) -> Plan:
    dtypes, layout = SIGNATURES[_OP].dtypes, asked.layout
    given = {
        name: arrays.as_weight(name, weights[name], dtype, dtypes)
        for name in ("expand_weight", "depthwise_weight", "project_weight")
    }
    expand, depthwise, project = given.values()
    channels = x_shape[3 if layout == "NHWC" else 1]
    wide = geometry.pointwise_filters("expand_weight", expand.shape, layout, channels, "C")
    wide_shape = (*x_shape[:3], wide) if layout == "NHWC" else (x_shape[0], wide, *x_shape[2:])
    place = geometry.depthwise_geometry(
        wide_shape, depthwise.shape, asked.layouts, asked.stride, asked.padding, asked.dilation, asked.padding_mode,
        "depthwise_weight",
    )  # fmt: skip
    filters = geometry.pointwise_filters("project_weight", project.shape, layout, place.filters)
    biases = [
        geometry.as_bias(name, weights[name], dtype, dtypes, size)
        for name, size in (("expand_bias", wide), ("depthwise_bias", place.filters), ("bias", filters))
    ]
    stage = asked._replace(max_workspace=0)
    pointwise = stage._replace(stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), padding_mode="zeros")
    first, second = pointwise._replace(activation=between[0]), stage._replace(activation=between[1])
    makers: list[fused.Maker] = [
        lambda row: prepare_conv2d(x_shape, dtype, expand, biases[0], 1, first._replace(algorithm=row)),
        lambda row: prepare_depthwise(wide_shape, dtype, depthwise, biases[1], second._replace(algorithm=row)),
        lambda row: prepare_conv2d(place.output_shape, dtype, project, biases[2], 1, pointwise._replace(algorithm=row)),
    ]
    told = {
        "op": _OP, "weights": tuple(each.shape for each in given.values()), "stride": asked.stride,
        "padding": (*place.padding[0], *place.padding[1]), "dilation": asked.dilation,
        "padding_mode": asked.padding_mode, "activations": (*between, asked.activation),
        "precision": asked.precision,
    }  # fmt: skip
    return fused.fuse(_OP, makers, algorithm=asked.algorithm, max_workspace=asked.max_workspace, told=told)
