"""Cases of the convolutions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnfast.ops import options, shapes
from cnnfast.ops.checks import Pair
from cnnfast.verification.case import Array, Case
from cnnfast.verification.sizes import Draw, Window, sized
from cnnfast.verification.values import Values

EXACT = (None, "relu", "relu6", ("leaky_relu", 0.5), ("leaky_relu", 0.25))
"""Activations that keep exact sums exact."""
_TRANSFORMED = ((3, 3), (5, 5), (3, 1), (1, 5), (1, 7), (7, 1))
_DEPTHWISE = ((5, 5), (7, 7), (1, 9), (9, 1), (31, 31))


def conv2d(d: Draw) -> Case:
    narrow = not d.deep and d.chance(0.2)
    window, mode = _window(d, large_kernel(d), narrow=narrow)
    N, (H, W), (R, S) = d.batch(), window.size, window.kernel
    groups, C, K = _narrow(d) if narrow else _channels(d)
    values = d.values(R * S * C // groups)
    inputs = {"x": values.images(N, H, W, C), "weight": values.weights(R, S, C // groups, K)}
    return _finished(d, inputs, values, window, (N, *_size(window), K), {"groups": groups, "padding_mode": mode})


def depthwise_conv2d(d: Draw) -> Case:
    window, mode = _window(d, kernels=_DEPTHWISE)
    N, (H, W), (R, S) = d.batch(), window.size, window.kernel
    C, multiplier = _multiplied(d)
    values = d.values(R * S)
    inputs = {"x": values.images(N, H, W, C), "weight": values.weights(R, S, C, multiplier)}
    return _finished(d, inputs, values, window, (N, *_size(window), C * multiplier), {"padding_mode": mode})


def separable_conv2d(d: Draw) -> Case:
    window, mode = _window(d)
    N, (H, W), (R, S) = d.batch(), window.size, window.kernel
    C, multiplier = _multiplied(d)
    middle, K = C * multiplier, d.channels()
    values = d.values(R * S * middle * 64)  # 64: the third factor of a product of products
    between = any_activation(d) if d.kind != "exact" else EXACT[d.among(0, 2)]
    inputs = {
        "x": values.images(N, H, W, C),
        "depthwise_weight": values.weights(R, S, C, multiplier),
        # Between the two float32 may have a zero where the oracle has 1e-60, and times infinity that is NaN.
        "pointwise_weight": values.weights(1, 1, middle, K, finite=True),
        "depthwise_bias": values.weights(middle) if d.chance(0.6) else None,
    }
    more = {"padding_mode": mode, "depthwise_activation": between}
    case = _finished(d, inputs, values, window, (N, *_size(window), K), more)
    case.lowered["depthwise_activation"] = options.activation("depthwise_activation", between)
    return case


def inverted_residual2d(d: Draw) -> Case:
    window, mode = _window(d)
    N, (H, W), (R, S) = d.batch(), window.size, window.kernel
    C, (wide, multiplier), K = d.few(), _multiplied(d), d.channels()
    middle = wide * multiplier
    values = d.values(R * S * C * middle * 64**2)  # 64: the third factor of a product of products, and the fourth
    inputs = {
        "x": values.images(N, H, W, C),
        "expand_weight": values.weights(1, 1, C, wide),
        "depthwise_weight": values.weights(R, S, wide, multiplier, finite=True),  # as separable_conv2d's second
        "project_weight": values.weights(1, 1, middle, K, finite=True),
        "expand_bias": values.weights(wide) if d.chance(0.6) else None,
        "depthwise_bias": values.weights(middle, finite=True) if d.chance(0.6) else None,
    }
    between = {
        name: any_activation(d) if d.kind != "exact" else EXACT[d.among(0, 2)]
        for name in ("expand_activation", "depthwise_activation")
    }
    case = _finished(d, inputs, values, window, (N, *_size(window), K), {"padding_mode": mode} | between)
    for name, activation in between.items():
        case.lowered[name] = options.activation(name, activation)
    return case


def conv2d_max_pool2d(d: Draw) -> Case:
    case = conv2d(d)
    weight = case.inputs["weight"]
    assert weight is not None
    (_, H, W, _), (R, S, *_), place = case.x.shape, weight.shape, case.lowered
    window = Window((H, W), (R, S), place["stride"], place["dilation"], case.attributes["padding"], place["padding"])
    size = _size(window)
    kernel = min(1 + d.pick(1, 3, 3), size[0]), min(1 + d.pick(1, 3, 3), size[1])
    stride = kernel if d.chance(0.5) else d.axes(2, 3, 1)
    sides = tuple((d.among(0, each // 2), d.among(0, each // 2)) for each in kernel)
    lowered = {"pool_size": kernel, "pool_stride": stride, "pool_padding": sides}
    written = {"pool_size": d.written(kernel), "pool_padding": sides}
    written["pool_stride"] = None if stride == kernel and d.chance(0.5) else d.written(stride)
    inputs = {name: case.inputs[name] for name in ("x", "weight", "bias")}
    return d.case(inputs, case.attributes | written, case.lowered | lowered, ("x",))


def conv_transpose2d(d: Draw) -> Case:
    groups, C, K = _channels(d)
    kernel, dilation = d.kernel(), d.axes(8, 1, 1)
    stride = d.axes(4, 4, 2, 1)
    size = d.extents()[0] + 1, d.extents()[1] + 1
    window, extra = _cropped(d, size, kernel, stride, dilation)
    N, (H, W), (R, S) = d.batch(), size, kernel
    values = d.values(R * S * C // groups)
    inputs = {"x": values.images(N, H, W, C), "weight": values.weights(R, S, K // groups, C)}
    P, Q = (
        shapes.conv_transpose_size(n, kernel[i], stride[i], window.sides[i], extra[i], dilation[i])
        for i, n in enumerate(size)
    )
    written = {} if window.padding == "same" else {"output_padding": d.written(extra)}
    case = _finished(d, inputs, values, window, (N, P, Q, K), {"groups": groups} | written)
    case.lowered["output_padding"] = extra
    return case


def _cropped(d: Draw, size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Window, Pair]:
    """A transposed convolution's padding, which leaves an output, and its output_padding."""
    if d.chance(0.15):
        same = [shapes.transpose_same_padding(kernel[i], stride[i], dilation[i]) for i in range(2)]
        return (
            Window(size, kernel, stride, dilation, "same", (same[0][0], same[1][0])),
            (same[0][1], same[1][1]),
        )
    extra = d.among(0, stride[0] - 1), d.among(0, stride[1] - 1)
    sides = []
    for i in range(2):
        full = (size[i] - 1) * stride[i] + shapes.dilated(kernel[i], dilation[i]) + extra[i]
        most = full - 1 if d.chance(0.1) else min(full - 1, 2 * (kernel[i] // 2))
        before = d.among(0, most // 2 if d.chance(0.8) else most)
        sides.append((before, d.among(0, min(most - before, most // 2 + 1))))
    padding = (sides[0], sides[1])
    return Window(size, kernel, stride, dilation, padding, padding), extra


def _size(w: Window) -> Pair:
    """(P, Q) of a convolution."""
    P, Q = (shapes.conv_size(w.size[i], w.kernel[i], w.stride[i], w.sides[i], w.dilation[i]) for i in range(2))
    return P, Q


def _finished(
    d: Draw, inputs: Mapping[str, Array | None], values: Values, window: Window, y_shape: tuple[int, ...],
    more: dict[str, Any],
) -> Case:  # fmt: skip
    """The rest that every convolution has: bias, residual, activation, and the attributes in both forms."""
    # Whether a transposed tap that has no input adds a zero is not promised, and only a bias of -0 could tell.
    bias = values.addends(y_shape[3], zero_sign=d.op != "conv_transpose2d") if d.chance(0.6) else None
    residual = values.addends(*y_shape) if d.dtype.kind == "f" and d.chance(0.3) else None
    activation = any_activation(d)
    lowered = {
        "stride": window.stride, "padding": window.sides, "dilation": window.dilation,
        "activation": options.activation("activation", activation),
    } | {name: value for name, value in more.items() if name in ("groups", "padding_mode")}  # fmt: skip
    attributes = {
        "stride": d.written(window.stride), "padding": window.padding, "dilation": d.written(window.dilation),
        "activation": activation,
    } | more  # fmt: skip
    return d.case({**inputs, "bias": bias, "residual": residual}, attributes, lowered)


def large_kernel(d: Draw) -> bool:
    """Whether this case's kernel is of a size that Fourier transforms take."""
    return d.dtype.kind == "f" and d.turn % 5 == 3


def any_activation(d: Draw) -> Any:
    if d.dtype.kind != "f":
        return EXACT[d.among(0, 2)]
    if d.kind == "exact" and d.chance(0.8):
        return EXACT[d.pick(3, 1, 1, 1, 1)]
    if d.chance(0.3):
        return None
    return [*options.ACTIVATIONS, ("leaky_relu", 0.2), ("leaky_relu", -0.3)][d.among(0, len(options.ACTIVATIONS) + 1)]


def _channels(d: Draw) -> tuple[int, int, int]:
    """(groups, C, K): one group, some groups, or one a channel."""
    way = d.pick(0.55, 0.2, 0.25) if not d.deep else 0
    if way == 0:
        return 1, d.few(), d.channels()
    if way == 1:
        groups = d.among(2, 4)
        return groups, groups * d.few(), groups * d.channels()
    C, multiplier = _multiplied(d)
    return C, C, C * multiplier


def _narrow(d: Draw) -> tuple[int, int, int]:
    """(groups, C, K) of the few channels that some rows are for: an image's, a group's, those of y, or of both."""
    way = d.pick(0.22, 0.4, 0.23, 0.15)
    if way == 0:
        return 1, d.among(1, 4), d.channels()
    if way >= 2:
        return 1, d.among(8, 40) if way == 2 else 1, d.among(1, 6)
    groups = d.among(2, 9)
    return groups, groups * d.among(2, 16), groups * d.among(1, 16)


def _multiplied(d: Draw) -> tuple[int, int]:
    """(C, multiplier) of a depthwise convolution."""
    multiplier = 1 + d.pick(6, 2, 1, 1)
    if d.deep:
        return d.own_channels(), multiplier
    return max(1, d.channels() // (multiplier if d.chance(0.5) else 1)), multiplier


def _window(
    d: Draw, large: bool = False, kernels: tuple[Pair, ...] = (), *, narrow: bool = False
) -> tuple[Window, str]:
    """A window and a padding mode that its padding allows; `large`: what Fourier transforms are for.

    `kernels`: sizes that an op's own rows are for; `narrow`: what the rows for few channels take.
    """
    kernel, stride, dilation = d.kernel(), d.axes(6, 3, 1, 0.5), d.axes(8, 1, 1)
    if d.large:
        stride, dilation = (1, 1), (1, 1)
    if narrow:
        kernel, stride, dilation = (3, 3), (1, 1), (1, 1)
    elif d.chance(0.2):  # what Winograd's rows take
        kernel, stride = _TRANSFORMED[d.among(0, len(_TRANSFORMED) - 1)], (1, 1)
        if kernel == (3, 3) and d.chance(0.4):
            stride, dilation = (2, 2), (1, 1)
    elif kernels and d.chance(0.25):
        kernel = kernels[d.among(0, len(kernels) - 1)]
    elif large and not d.large:
        kernel, stride = (d.among(3, 17), d.among(4, 17)), (1, 1)
    mode = options.PADDING_MODES[d.pick(0.64, 0.12, 0.12, 0.12)]
    padding = _padding(d, kernel)
    least = (1, 1)
    if mode in ("reflect", "circular") and not isinstance(padding, str):
        most = int(np.max(padding))
        least = most + 1, most + 1
    window = sized(d, kernel, stride, dilation, padding, least)
    limits = [n - 1 if mode == "reflect" else n for n in window.size]
    if mode != "replicate" and any(max(window.sides[i]) > limits[i] for i in range(2)):
        mode = "zeros"
    return window, mode


def _padding(d: Draw, kernel: Pair) -> Any:
    """In every form, now and then larger than the kernel."""
    form = d.pick(0.2, 0.2, 0.15, 0.25, 0.12, 0.08)
    most = max(kernel) + 2 if d.chance(0.15) else max(kernel) - 1
    if form == 1:
        return d.among(0, most)
    if form == 2:
        return d.among(0, most), d.among(0, most)
    if form == 3:
        return (d.among(0, most), d.among(0, most)), (d.among(0, most), d.among(0, most))
    return ["valid" if d.chance(0.5) else 0, 0, 0, 0, "same", kernel[0] // 2][form]
