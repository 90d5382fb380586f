"""cnnfast within functions that Numba compiles.

Importing this module teaches Numba `cnnfast.conv2d`, `cnnfast.max_pool2d` and `cnnfast.avg_pool2d` (under their own
names or as names of this module) and the plans of `cnnfast.plan_*`, so that `@njit` functions call them without Python:

>>> import numpy as np, numba, cnnfast.interop.numba
>>> @numba.njit
... def blur_all(images, kernel):
...     return [cnnfast.conv2d(image, kernel, padding="same") for image in images]

Arrays are float32 or float64. What chooses code (layout, padding_mode, activation, precision, ceil_mode,
count_include_pad, "same", "valid") must be spelt out in the function; strides, paddings and the like may be computed.
"""

from typing import Any

import numpy as np

try:
    from numba.core import types
    from numba.core.errors import TypingError
    from numba.extending import overload, register_jitable
except ImportError as error:  # pragma: no cover
    raise ImportError('cnnfast.interop.numba needs Numba: pip install "cnnfast[numba]"') from error

from cnnfast import avg_pool2d, conv2d, max_pool2d
from cnnfast.interop import numba_arguments as arguments
from cnnfast.interop import numba_plan  # noqa: F401 - it teaches Numba plans
from cnnfast.interop.numba_arguments import apart, at_least, keep, same_shape, spatial
from cnnfast.interop.numba_native import (
    check,
    conv2d_output_shape,
    conv2d_run,
    number,
    pool2d_output_shape,
    pool2d_run,
    shape_at,
    struct,
)
from cnnfast.ops import options

__all__ = ["avg_pool2d", "conv2d", "max_pool2d"]

_MAX, _AVERAGE = np.int32(0), np.int32(2)
_i32, _u32, _u64 = np.int32, np.uint32, np.uint64


def _only_auto(algorithm: Any) -> None:
    if arguments.constant("algorithm", algorithm) != "auto":
        raise TypingError('algorithm must be "auto" within compiled code; make a plan for another')


@overload(conv2d, prefer_literal=True, strict=False)
def _conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: Any = 1,
    layout: Any = "NHWC", padding_mode: Any = "zeros", activation: Any = None, residual: Any = None,
    algorithm: Any = "auto", precision: Any = "default", out: Any = None,
) -> Any:  # fmt: skip
    _only_auto(algorithm)
    dtype = arguments.floats("x", x, 4)
    arguments.floats("weight", weight, 4)
    has_bias, has_residual, has_out = (not arguments.is_none(each) for each in (bias, residual, out))
    bias_in: Any = arguments.floats_in("bias", bias, 1, dtype) if has_bias else None
    residual_in: Any = arguments.floats_in("residual", residual, 4, dtype) if has_residual else None
    if has_out:
        arguments.output("out", out, 4, dtype)
    x_in, weight_in = arguments.dense(x, dtype), arguments.dense(weight, dtype)
    strides, dilations = arguments.pair("stride", stride), arguments.pair("dilation", dilation)
    arguments.integer("groups", groups)
    sides = arguments.sides(padding)
    nchw = arguments.choice("layout", layout, options.LAYOUTS)
    act, alpha = arguments.activation(activation)
    mode = arguments.choice("padding_mode", padding_mode, options.PADDING_MODES)
    exact = options.PRECISIONS.index(options.precision(arguments.constant("precision", precision)))
    c_dtype, kind, c_mode, c_act, c_exact = map(np.int32, (arguments.DTYPES[dtype], nchw, mode, act, exact))
    element = np.dtype(str(dtype))

    def run(
        x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: Any = 1,
        layout: Any = "NHWC", padding_mode: Any = "zeros", activation: Any = None, residual: Any = None,
        algorithm: Any = "auto", precision: Any = "default", out: Any = None,
    ) -> Any:  # fmt: skip
        images, kernels = x_in(x), weight_in(weight)
        N, H, W, C = spatial(images.shape, nchw)
        if nchw:
            K, inner, R, S = kernels.shape
        else:
            R, S, inner, K = kernels.shape
        step, spread = strides(stride), dilations(dilation)
        at_least("stride", step, 1)
        at_least("dilation", spread, 1)
        pads = sides(padding, (H, W), (R, S), step, spread)
        at_least("padding", pads, 0)
        if groups < 1 or C % groups or K % groups:
            raise ValueError(f"groups must be >= 1 and divide C {C} and K {K}, got {groups}")
        if inner * groups != C:
            raise ValueError(f"weight must have C/groups = {C // groups} channels, got {inner}")
        problem = struct((
            c_dtype, kind, 0, N, H, W, C, K, R, S, np.int64(groups), step[0], step[1], spread[0], spread[1],
            pads[0], pads[1], pads[2], pads[3], c_mode, c_act, alpha, _u64(0), _u64(0), c_exact, _i32(1), _u32(0),
        ))  # fmt: skip
        place = struct((0, 0, 0, 0))
        check(conv2d_output_shape(problem, number(place)))
        shape = shape_at(place)
        bias_at = residual_at = np.uintp(0)
        if has_bias:
            added = bias_in(bias)
            if added.size != K:
                raise ValueError(f"bias must have shape ({K},), got ({added.size},)")
            bias_at = added.ctypes.data
        if has_residual:
            more = residual_in(residual)
            same_shape("residual", more.shape, shape)
            residual_at = more.ctypes.data
        if has_out:
            y = out
            same_shape("out", y.shape, shape)
            apart(y, x)
            apart(y, weight)
            if has_bias:
                apart(y, bias)
            if has_residual:
                apart(y, residual)
        else:
            y = np.empty(shape, element)
        check(conv2d_run(problem, images.ctypes.data, kernels.ctypes.data, bias_at, residual_at, y.ctypes.data))
        keep(images)
        keep(kernels)
        if has_bias:
            keep(added)
        if has_residual:
            keep(more)
        return y

    return run


def _pool(kind: Any, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any,
          count_include_pad: Any, layout: Any, algorithm: Any, out: Any) -> Any:  # fmt: skip
    """What runs a pool of arguments of these types."""
    _only_auto(algorithm)
    dtype = arguments.floats("x", x, 4)
    x_in, sides = arguments.dense(x, dtype), arguments.sides(padding)
    has_out, has_stride = not arguments.is_none(out), not arguments.is_none(stride)
    if has_out:
        arguments.output("out", out, 4, dtype)
    windows = arguments.pair("kernel_size", kernel_size)
    strides = arguments.pair("stride", stride) if has_stride else windows
    dilations = arguments.pair("dilation", dilation)
    nchw = arguments.choice("layout", layout, options.LAYOUTS)
    same = isinstance(padding, types.StringLiteral)
    c_dtype, order = np.int32(arguments.DTYPES[dtype]), np.int32(nchw)
    ceil, include = (np.int32(bool(arguments.constant(name, value))) for name, value in
                     (("ceil_mode", ceil_mode), ("count_include_pad", count_include_pad)))  # fmt: skip
    element = np.dtype(str(dtype))

    def run(x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, out: Any) -> Any:
        images = x_in(x)
        N, H, W, C = spatial(images.shape, nchw)
        window = windows(kernel_size)
        step, spread = strides(stride) if has_stride else window, dilations(dilation)
        at_least("kernel_size", window, 1)
        at_least("stride", step, 1)
        at_least("dilation", spread, 1)
        pads = sides(padding, (H, W), window, step, spread)
        at_least("padding", pads, 0)
        if not same and (max(pads[0], pads[1]) > window[0] // 2 or max(pads[2], pads[3]) > window[1] // 2):
            raise ValueError("padding of a pool must be <= half of kernel_size")
        problem = struct((
            c_dtype, order, 0, kind, N, H, W, C, window[0], window[1], step[0], step[1], spread[0], spread[1],
            pads[0], pads[1], pads[2], pads[3], ceil, include, 0.0, 0, 0, _i32(0), _u64(0), _u32(0),
        ))  # fmt: skip
        place = struct((0, 0, 0, 0))
        check(pool2d_output_shape(problem, number(place)))
        shape = shape_at(place)
        if has_out:
            y = out
            same_shape("out", y.shape, shape)
            apart(y, x)
        else:
            y = np.empty(shape, element)
        check(pool2d_run(problem, images.ctypes.data, y.ctypes.data, np.uintp(0)))
        keep(images)
        return y

    return register_jitable(run)


@overload(max_pool2d, prefer_literal=True, strict=False)
def _max_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: Any = False,
    return_indices: Any = False, layout: Any = "NHWC", algorithm: Any = "auto", out: Any = None,
) -> Any:  # fmt: skip
    if arguments.constant("return_indices", return_indices):
        raise TypingError("return_indices must be False within compiled code")
    pool = _pool(_MAX, x, kernel_size, stride, padding, dilation, ceil_mode, True, layout, algorithm, out)

    def run(
        x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: Any = False,
        return_indices: Any = False, layout: Any = "NHWC", algorithm: Any = "auto", out: Any = None,
    ) -> Any:  # fmt: skip
        return pool(x, kernel_size, stride, padding, dilation, out)

    return run


@overload(avg_pool2d, prefer_literal=True, strict=False)
def _avg_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: Any = False,
    count_include_pad: Any = True, layout: Any = "NHWC", algorithm: Any = "auto", out: Any = None,
) -> Any:  # fmt: skip
    pool = _pool(_AVERAGE, x, kernel_size, stride, padding, 1, ceil_mode, count_include_pad, layout, algorithm, out)

    def run(
        x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: Any = False,
        count_include_pad: Any = True, layout: Any = "NHWC", algorithm: Any = "auto", out: Any = None,
    ) -> Any:  # fmt: skip
        return pool(x, kernel_size, stride, padding, 1, out)

    return run
