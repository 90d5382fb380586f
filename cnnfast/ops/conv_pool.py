"""conv2d_max_pool2d: a convolution and the max pool after it, as one op whose larger image need never be whole."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cnnfast.ops import arrays, checks, fused, geometry, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Pair, SidesOrSame
from cnnfast.ops.conv import Ints, Padding, prepare_conv2d
from cnnfast.ops.geometry import Options, Shape, conv_options
from cnnfast.ops.options import Activation
from cnnfast.ops.plan import Plan
from cnnfast.ops.pool import window_pool
from cnnfast.ops.prepared import prepared
from cnnfast.ops.signatures import SIGNATURES

_OP = "conv2d_max_pool2d"
_Window = tuple[Pair, Pair, SidesOrSame]


def conv2d_max_pool2d(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, groups: int = 1, layout: str = "NHWC", padding_mode: str = "zeros",
    activation: Activation = None, pool_size: Ints = 2, pool_stride: Ints | None = None, pool_padding: Padding = 0,
    algorithm: str = "auto", precision: str = "default", out: Array | None = None,
) -> Array:  # fmt: skip
    """A network's stem: conv2d with its activation, then max_pool2d.

    The convolution's rows are pooled a band at a time where that is faster (`plan.explain()`: "bands"), else when all
    are there ("in_turn"); the bits are the same, and those of the two ops.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    weight, bias, stride, padding, dilation, groups, padding_mode, activation : the convolution's, see `conv2d`
    pool_size, pool_stride, pool_padding : the pool's kernel_size, stride and padding, see `max_pool2d`
    layout, algorithm, precision, out : see `conv2d`

    Returns
    -------
    y : (N, P, Q, K), or (N, K, P, Q) with "NCHW"

    Raises
    ------
    As `conv2d` and `max_pool2d`; integers are a TypeError.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    >>> cnnfast.conv2d_max_pool2d(image, np.ones((1, 1, 1, 1), np.float32), activation="relu").ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]
    """
    asked = conv_options(
        _OP, stride=stride, padding=padding, dilation=dilation, layout=layout, padding_mode=padding_mode,
        activation=activation, algorithm=algorithm, precision=precision, once=True,
    )  # fmt: skip
    pool = _window(pool_size, pool_stride, pool_padding)
    images = arrays.as_input("x", x, SIGNATURES[_OP].dtypes, asked.layout)
    plan = _plan(images.shape, images.dtype, weight, bias, groups, asked, pool)
    return plan.run(images, None, out, (("weight", weight), ("bias", bias)))


def plan_conv2d_max_pool2d(
    input_shape: Shape, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, groups: int = 1, layout: str = "NHWC", padding_mode: str = "zeros",
    activation: Activation = None, pool_size: Ints = 2, pool_stride: Ints | None = None, pool_padding: Padding = 0,
    algorithm: str = "auto", precision: str = "default", dtype: DTypeLike | None = None,
    max_workspace: int | None = None,
) -> Plan:  # fmt: skip
    """Make a conv2d_max_pool2d ready once, to run it many times.

    Parameters
    ----------
    input_shape, dtype, max_workspace : see `plan_conv2d`
    the others : see `conv2d_max_pool2d`

    Returns
    -------
    A plan: `plan(x, out=None)`, `plan.explain()`

    Raises
    ------
    As `plan_conv2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> stem = np.ones((7, 7, 3, 64), np.float32)
    >>> plan = cnnfast.plan_conv2d_max_pool2d(
    ...     (1, 224, 224, 3), stem, stride=2, padding=3, activation="relu", pool_size=3, pool_stride=2, pool_padding=1)
    >>> plan.output_shape(), plan.explain().algorithm
    ((1, 56, 56, 64), 'bands')
    """
    asked = conv_options(
        _OP, stride=stride, padding=padding, dilation=dilation, layout=layout, padding_mode=padding_mode,
        activation=activation, algorithm=algorithm, precision=precision, max_workspace=max_workspace,
    )  # fmt: skip
    pool = _window(pool_size, pool_stride, pool_padding)
    shape, x_dtype = geometry.plan_input(_OP, input_shape, asked.layout, dtype, weight)
    return _plan(shape, x_dtype, weight, bias, groups, asked, pool)


def _window(size: object, stride: object, padding: object) -> _Window:
    kernel = checks.pair("pool_size", size, minimum=1)
    step = kernel if stride is None else checks.pair("pool_stride", stride, minimum=1)
    return kernel, step, checks.sides("pool_padding", padding)


def _plan(
    x_shape: Shape, dtype: np.dtype[Any], weight: object, bias: object, groups: object, asked: Options, pool: _Window
) -> Plan:
    packed = arrays.as_weight("weight", weight, dtype, SIGNATURES[_OP].dtypes)
    groups = checks.integer("groups", groups, minimum=1)
    stage = asked._replace(max_workspace=0)

    def convolution(row: str | None) -> Plan:
        return prepare_conv2d(x_shape, dtype, packed, bias, groups, stage._replace(algorithm=row))

    first = convolution(None)
    between = first.output_shape()
    kernel, step, padding = pool
    _, H, W, _ = shapes.split(between, asked.layout)
    sides = shapes.resolve(padding, (H, W), kernel, step, (1, 1))

    def pooling(row: str | None) -> Plan:
        given = kernel, step, padding, 1, asked.layout, False, True, 0.0, False, row or "auto"
        try:
            found = prepared(window_pool, ("max_pool2d", "max", between, dtype), given)
        except ValueError as error:
            told = str(error).replace("kernel_size", "pool_size").replace("padding of a pool", "pool_padding")
            raise ValueError(f"the pool of {H}x{W} pixels: {told}") from error
        return Plan("max_pool2d", found.plan, between, found.y_shape, dtype, asked.layout)

    makers: list[fused.Maker] = [lambda row: first if row is None else convolution(row), pooling]
    problem = {
        "op": _OP, "weights": (packed.shape,), "stride": asked.stride, "padding": asked.padding,
        "dilation": asked.dilation, "groups": groups, "padding_mode": asked.padding_mode,
        "activation": asked.activation, "precision": asked.precision, "pool": (kernel, step, sides),
    }  # fmt: skip
    return fused.fuse(_OP, makers, algorithm=asked.algorithm, max_workspace=asked.max_workspace, told=problem)
