"""What each aten op is in our graph's words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cnnfast.interop.torch_lowering import Lowering, Unsupported, Value, rule
from cnnfast.onnx import ops

assert ops, "rows of ONNX's ops are used here"

aten = torch.ops.aten
Ints = Sequence[int]
SELU = 1.6732632423543772, 1.0507009873554805


def _weights(*values: Value | None) -> None:
    """That these are known before the network runs."""
    if any(value is not None and not value.fixed for value in values):
        raise Unsupported("its weights are computed by the network")


def _name(value: Value | None) -> str:
    return "" if value is None else value.name


def _pair(values: Ints) -> tuple[int, int]:
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def _sides(padding: Ints) -> tuple[tuple[int, int], ...]:
    return tuple((p, p) for p in _pair(padding))


def _picture(x: Value, what: str = "x") -> None:
    if x.rank != 4:
        raise Unsupported(f"{what} has {x.rank} dimensions")


@rule(aten.convolution.default)
def _convolution(
    low: Lowering, x: Value, weight: Value, bias: Value | None, stride: Ints, padding: Ints, dilation: Ints,
    transposed: bool, output_padding: Ints, groups: int,
) -> str:  # fmt: skip
    _weights(weight, bias)
    rank = x.rank - 2
    if rank == 3 and not transposed:
        inputs = [x.name, weight.name, *([bias.name] if bias else [])]
        step, spread, pads = list(stride) * (4 - len(stride)), list(dilation), [*padding, *padding]
        return low.add("onnx.Conv@1", inputs, strides=step, dilations=spread, pads=pads, group=groups)
    if rank not in (1, 2):
        raise Unsupported(f"it is over {rank} axes")
    if rank == 1:  # a line is a picture one pixel high
        stride, padding, dilation, output_padding = ([1, *stride], [0, *padding], [1, *dilation], [0, *output_padding])
        x = x._replace(name=low.reshape(x, [_batch(low), x.shape[1], 1, x.shape[2]]))
        weight = weight._replace(name=low.reshape(weight, [*weight.shape[:2], 1, weight.shape[2]]))
    settings: dict[str, Any] = {
        "stride": _pair(stride), "padding": _sides(padding), "dilation": _pair(dilation), "groups": groups,
        "layout": "NCHW",
    }  # fmt: skip
    inputs = [x.name, weight.name, *([bias.name] if bias else [])]
    if transposed:
        extra = _pair(output_padding)
        if any(e >= max(s, d) for e, s, d in zip(extra, settings["stride"], settings["dilation"], strict=True)):
            raise Unsupported("output_padding is larger than stride and dilation")
        y = low.add("conv_transpose2d", inputs, output_padding=extra, **settings)
    else:
        y = low.add("conv2d", inputs, **settings)
    return low.reshape(y) if rank == 1 else y


def _listed(values: Any, rank: int) -> list[int]:
    """What an op is told for each axis: one number stands for all."""
    listed = list(values) if isinstance(values, list | tuple) else [values]
    return listed * rank if len(listed) == 1 else listed


@rule(
    aten.conv1d.default, aten.conv2d.default, aten.conv3d.default, aten.conv1d.padding, aten.conv2d.padding,
    aten.conv3d.padding,
)  # fmt: skip
def _conv(
    low: Lowering, x: Value, weight: Value, bias: Value | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> str:  # fmt: skip
    rank = weight.rank - 2
    step, spread = _listed(stride, rank), _listed(dilation, rank)
    if padding == "same":
        reach = [d * (low.integer(size) - 1) for d, size in zip(spread, weight.shape[2:], strict=True)]
        if any(each % 2 for each in reach):
            raise Unsupported("it pads one side more than the other")
        padding = [each // 2 for each in reach]
    pads = [0] * rank if padding == "valid" else _listed(padding, rank)
    return _convolution(low, x, weight, bias, step, pads, spread, False, [0] * rank, groups)  # type: ignore[return-value]


@rule(aten.conv_transpose1d.default, aten.conv_transpose2d.input)
def _conv_transpose(
    low: Lowering, x: Value, weight: Value, bias: Value | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> str:  # fmt: skip
    rank = weight.rank - 2
    step, pads, extra, spread = (_listed(each, rank) for each in (stride, padding, output_padding, dilation))
    return _convolution(low, x, weight, bias, step, pads, spread, True, extra, groups)  # type: ignore[return-value]


def _batch(low: Lowering) -> Any:
    """The number of images, with its symbol."""
    return low.out_shape[0]


@rule(aten._native_batch_norm_legit_no_training.default)
def _batch_norm(
    low: Lowering, x: Value, weight: Value | None, bias: Value | None, mean: Value, var: Value, momentum: float,
    eps: float,
) -> list[str]:  # fmt: skip
    layout = {"layout": "NCHW"} if x.rank > 2 else {}
    if x.rank > 5:
        raise Unsupported(f"x has {x.rank} dimensions")
    return [low.add("batch_norm", [x, mean, var, _name(weight), _name(bias)], eps=eps, **layout)]


@rule(aten.native_batch_norm.default, aten.cudnn_batch_norm.default)
def _batch_norm_by_flag(
    low: Lowering, x: Value, weight: Value | None, bias: Value | None, mean: Value | None, var: Value | None,
    training: bool, momentum: float, eps: float,
) -> list[str]:  # fmt: skip
    if training or mean is None or var is None:
        raise Unsupported("it is in training mode")
    made = _batch_norm(low, x, weight, bias, mean, var, momentum, eps)
    return made if isinstance(made, list) else [made]


@rule(aten.batch_norm.default)
def _batch_norm_composite(
    low: Lowering, x: Value, weight: Value | None, bias: Value | None, mean: Value | None, var: Value | None,
    training: bool, momentum: float, eps: float, cudnn: bool = False,
) -> str:  # fmt: skip
    return _batch_norm_by_flag(low, x, weight, bias, mean, var, training, momentum, eps)[0]


def _unary(name: str, *targets: Any) -> None:
    """An op of one tensor that has a row of ours, and no other arguments."""

    @rule(*targets)
    def run(low: Lowering, x: Value) -> str:
        return low.add(name, [x])


for _target, _row in {
    aten.relu: "relu", aten.sigmoid: "sigmoid", aten.tanh: "tanh", aten.silu: "silu", aten.hardswish: "hardswish",
    aten.hardsigmoid: "hardsigmoid", aten.mish: "mish", aten.relu6: "relu6", aten.selu: "selu", aten.exp: "exp",
    aten.log: "log", aten.sqrt: "sqrt", aten.abs: "absolute", aten.neg: "negative", aten.reciprocal: "reciprocal",
    aten.floor: "floor", aten.ceil: "ceil", aten.sin: "sin", aten.cos: "cos", aten.alias: "identity",
    aten.detach: "identity", aten.lift_fresh_copy: "identity",
}.items():  # fmt: skip
    _unary(_row, _target.default)


@rule(aten.rsqrt.default)
def _rsqrt(low: Lowering, x: Value) -> str:
    return low.add("reciprocal", [low.add("sqrt", [x])])


@rule(aten.clone.default, aten.contiguous.default)
def _clone(low: Lowering, x: Value, memory_format: Any = None) -> str:
    return low.add("identity", [x])


@rule(aten._to_copy.default)
def _to_copy(low: Lowering, x: Value, **options: Any) -> str:
    return low.add("identity", [x])  # of another dtype or device it would not be supported


@rule(aten.dropout.default, aten.feature_dropout.default)
def _dropout(low: Lowering, x: Value, p: float, train: bool) -> str:
    if train:
        raise Unsupported("it is in training mode")
    return low.add("identity", [x])


@rule(aten.hardtanh.default)
def _hardtanh(low: Lowering, x: Value, least: float = -1.0, most: float = 1.0) -> str:
    return _clamp(low, x, least, most)  # type: ignore[return-value]


@rule(aten.clamp.default)
def _clamp(low: Lowering, x: Value, least: Any = None, most: Any = None) -> str:
    limits = {"min": least, "max": most}
    if any(limit is not None and not isinstance(limit, int | float) for limit in limits.values()):
        raise Unsupported("its limits are not known before")
    return low.add("onnx.Clip@6", [x], **{name: float(limit) for name, limit in limits.items() if limit is not None})


@rule(aten.clamp_min.default)
def _clamp_min(low: Lowering, x: Value, least: Any) -> str:
    return _clamp(low, x, least, None)  # type: ignore[return-value]


@rule(aten.clamp_max.default)
def _clamp_max(low: Lowering, x: Value, most: Any) -> str:
    return _clamp(low, x, None, most)  # type: ignore[return-value]


@rule(aten.leaky_relu.default)
def _leaky_relu(low: Lowering, x: Value, slope: float = 0.01) -> str:
    return low.add("leaky_relu", [x], negative_slope=float(slope))


@rule(aten.elu.default)
def _elu(low: Lowering, x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> str:
    if (alpha, scale, input_scale) == (*SELU, 1):
        return low.add("selu", [x])
    if scale != 1 or input_scale != 1:
        raise Unsupported("it is scaled")
    return low.add("elu", [x], alpha=float(alpha))


@rule(aten.softplus.default)
def _softplus(low: Lowering, x: Value, beta: float = 1.0, threshold: float = 20.0) -> str:
    settings = {} if (beta, threshold) == (1, 20) else {"beta": float(beta), "threshold": float(threshold)}
    return low.add("softplus", [x], **settings)


@rule(aten.gelu.default)
def _gelu(low: Lowering, x: Value, approximate: str = "none") -> str:
    return low.add("gelu", [x], **({} if approximate == "none" else {"approximate": approximate}))


@rule(aten._prelu_kernel.default)
def _prelu(low: Lowering, x: Value, slope: Value) -> str:
    return low.add("prelu", [x, slope])


@rule(aten.prelu.default)
def _prelu_by_channel(low: Lowering, x: Value, slope: Value) -> str:
    shaped = slope if slope.shape == (1,) else low.reshape(slope, [slope.shape[0], *(1,) * (x.rank - 2)])
    return low.add("prelu", [x, shaped])


def _operand(low: Lowering, value: Any) -> str:
    return value.name if isinstance(value, Value) else low.number(value)


def _times(low: Lowering, value: Any, alpha: Any) -> str:
    """alpha * value."""
    if alpha == 1:
        return _operand(low, value)
    if not isinstance(value, Value):
        return low.number(value * alpha)
    return low.add("multiply", [value, low.number(alpha)])


@rule(aten.add.Tensor, aten.add.Scalar)
def _add(low: Lowering, x: Any, y: Any, alpha: Any = 1) -> str:
    return low.add("add", [_operand(low, x), _times(low, y, alpha)])


@rule(aten.sub.Tensor, aten.sub.Scalar)
def _sub(low: Lowering, x: Any, y: Any, alpha: Any = 1) -> str:
    if not isinstance(y, Value):  # a sum is folded into what comes before
        return low.add("add", [_operand(low, x), _times(low, y, -alpha)])
    return low.add("subtract", [_operand(low, x), _times(low, y, alpha)])


@rule(aten.rsub.Scalar, aten.rsub.Tensor)
def _rsub(low: Lowering, x: Any, y: Any, alpha: Any = 1) -> str:
    return low.add("subtract", [_operand(low, y), _times(low, x, alpha)])


@rule(aten.mul.Tensor, aten.mul.Scalar)
def _mul(low: Lowering, x: Any, y: Any) -> str:
    return low.add("multiply", [_operand(low, x), _operand(low, y)])


@rule(aten.div.Tensor, aten.div.Scalar)
def _div(low: Lowering, x: Any, y: Any) -> str:
    return low.add("onnx.Div@7", [_operand(low, x), _operand(low, y)])


@rule(aten.maximum.default)
def _maximum(low: Lowering, x: Value, y: Value) -> str:
    return low.add("maximum", [x, y])


@rule(aten.minimum.default)
def _minimum(low: Lowering, x: Value, y: Value) -> str:
    return low.add("minimum", [x, y])


@rule(aten.pow.Tensor_Scalar)
def _pow(low: Lowering, x: Value, power: Any) -> str:
    if power == 2:
        return low.add("multiply", [x, x])
    if power == 0.5:
        return low.add("sqrt", [x])
    raise Unsupported(f"it is a power of {power}")


def _window(x: Value, kernel: Ints, stride: Ints, padding: Ints, ceil_mode: bool) -> dict[str, Any]:
    _picture(x)
    return {
        "kernel_size": _pair(kernel), "stride": _pair(stride or kernel), "padding": _sides(padding),
        "ceil_mode": bool(ceil_mode), "layout": "NCHW",
    }  # fmt: skip


@rule(aten.max_pool2d_with_indices.default)
def _max_pool2d_with_indices(
    low: Lowering, x: Value, kernel: Ints, stride: Ints = (), padding: Ints = (0,), dilation: Ints = (1,),
    ceil_mode: bool = False,
) -> list[str]:  # fmt: skip
    settings = _window(x, kernel, stride, padding, ceil_mode)
    return [low.add("max_pool2d", [x], dilation=_pair(dilation), **settings)]


@rule(aten.max_pool2d.default)
def _max_pool2d(low: Lowering, x: Value, *rest: Any, **options: Any) -> str:
    return _max_pool2d_with_indices(low, x, *rest, **options)[0]


@rule(aten.avg_pool2d.default)
def _avg_pool2d(
    low: Lowering, x: Value, kernel: Ints, stride: Ints = (), padding: Ints = (0,), ceil_mode: bool = False,
    count_include_pad: bool = True, divisor: int | None = None,
) -> str:  # fmt: skip
    if divisor is not None:
        raise Unsupported("it has a divisor of its own")
    settings = _window(x, kernel, stride, padding, ceil_mode)
    return low.add("avg_pool2d", [x], count_include_pad=bool(count_include_pad), **settings)


@rule(aten._adaptive_avg_pool2d.default, aten.adaptive_avg_pool2d.default)
def _adaptive_avg_pool2d(low: Lowering, x: Value, size: Ints) -> str:
    _picture(x)
    wanted = tuple(low.integer(each) for each in size)
    return low.add("adaptive_avg_pool2d", [x], output_size=wanted, layout="NCHW")


@rule(aten.adaptive_max_pool2d.default)
def _adaptive_max_pool2d(low: Lowering, x: Value, size: Ints) -> list[str]:
    _picture(x)
    wanted = tuple(low.integer(each) for each in size)
    return [low.add("adaptive_max_pool2d", [x], output_size=wanted, layout="NCHW")]


def _over_pictures(low: Lowering, op: str, x: Value, axes: Ints | None, keepdim: bool) -> str:
    if x.rank != 4 or not axes or sorted(axis % 4 for axis in axes) != [2, 3]:
        raise Unsupported(f"it is over axes {axes} of {x.rank}")
    y = low.add(op, [x], output_size=(1, 1), layout="NCHW")
    return y if keepdim else low.reshape(y)


@rule(aten.mean.dim)
def _mean(low: Lowering, x: Value, axes: Ints | None, keepdim: bool = False, dtype: Any = None) -> str:
    return _over_pictures(low, "adaptive_avg_pool2d", x, axes, keepdim)


@rule(aten.amax.default)
def _amax(low: Lowering, x: Value, axes: Ints = (), keepdim: bool = False) -> str:
    return _over_pictures(low, "adaptive_max_pool2d", x, axes, keepdim)


@rule(aten.cat.default)
def _cat(low: Lowering, tensors: Sequence[Value], axis: int = 0) -> str:
    rank = tensors[0].rank
    if any(each.rank != rank for each in tensors):
        raise Unsupported("its tensors have different numbers of dimensions")
    return low.add("concatenate", tensors, axis=axis % rank)


@rule(
    aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.unsqueeze.default, aten.squeeze.default,
    aten.squeeze.dim, aten.squeeze.dims, aten.flatten.using_ints, aten.unflatten.int,
)  # fmt: skip
def _view(low: Lowering, x: Value, *rest: Any) -> str:
    return low.reshape(x)


@rule(aten.permute.default)
def _permute(low: Lowering, x: Value, axes: Ints) -> str:
    return low.add("transpose", [x], axes=tuple(axis % x.rank for axis in axes))


@rule(aten.transpose.int)
def _transpose(low: Lowering, x: Value, one: int, other: int) -> str:
    axes = list(range(x.rank))
    axes[one], axes[other] = axes[other], axes[one]
    return low.add("transpose", [x], axes=tuple(axes))


@rule(aten.t.default)
def _t(low: Lowering, x: Value) -> str:
    return low.add("transpose", [x], axes=tuple(range(x.rank))[::-1])


@rule(aten.expand.default)
def _expand(low: Lowering, x: Value, sizes: Sequence[Any], implicit: bool = False) -> str:
    if [low.integer(size) for size in low.out_shape] != [low.integer(size) for size in x.shape]:
        raise Unsupported("it repeats")
    return low.add("identity", [x])


@rule(aten.repeat.default)
def _repeat(low: Lowering, x: Value, times: Sequence[Any]) -> str:
    if any(not isinstance(each, int) or each != 1 for each in times) or len(times) != x.rank:
        raise Unsupported("it repeats")
    return low.add("identity", [x])


def _part(low: Lowering, x: Value, axis: int, start: int, stop: int | None, step: int = 1) -> str:
    return low.add("slice", [x], axes=(axis % x.rank,), starts=(start,), stops=(stop,), steps=(step,))


@rule(aten.slice.Tensor)
def _slice(low: Lowering, x: Value, axis: int = 0, start: Any = None, stop: Any = None, step: int = 1) -> str:
    begin = 0 if start is None else low.integer(start)
    whole = stop is None or (isinstance(stop, int) and stop >= 2**31)
    return _part(low, x, axis, begin, None if whole else low.integer(stop), step)


@rule(aten.select.int)
def _select(low: Lowering, x: Value, axis: int, index: Any) -> str:
    at = low.integer(index)
    return low.reshape(_part(low, x, axis, at, None if at == -1 else at + 1))


@rule(aten.split_with_sizes.default)
def _split_with_sizes(low: Lowering, x: Value, sizes: Sequence[Any], axis: int = 0) -> list[str]:
    ends = np.cumsum([low.integer(size) for size in sizes]).tolist()
    return [_part(low, x, axis, start, stop) for start, stop in zip([0, *ends], ends, strict=False)]


@rule(aten.split.Tensor)
def _split(low: Lowering, x: Value, size: Any, axis: int = 0) -> list[str]:
    step = low.integer(size)
    if axis % x.rank == 0:
        raise Unsupported("it splits the batch")
    return [_part(low, x, axis, start, start + step) for start in range(0, low.integer(x.shape[axis]), step)]


@rule(aten.chunk.default)
def _chunk(low: Lowering, x: Value, count: int, axis: int = 0) -> list[str]:
    return _split(low, x, -(-low.integer(x.shape[axis]) // count), axis)  # type: ignore[return-value]


@rule(aten.addmm.default)
def _addmm(low: Lowering, bias: Value, x: Value, weight: Value, beta: Any = 1, alpha: Any = 1) -> str:
    _weights(weight, bias)
    if bias.shape not in ((weight.shape[1],), (1, weight.shape[1])) or beta != 1 or alpha != 1:
        raise Unsupported("it is not a dense layer")
    return low.add("onnx.Gemm@7", [x, weight, bias])


@rule(aten.mm.default, aten.matmul.default)
def _mm(low: Lowering, x: Value, weight: Value) -> str:
    _weights(weight)
    if weight.rank != 2 or x.rank < 2:
        raise Unsupported("it is not a dense layer")
    return low.add("matmul", [x, weight])


@rule(aten.linear.default)
def _linear(low: Lowering, x: Value, weight: Value, bias: Value | None = None) -> str:
    _weights(weight, bias)
    return low.add("linear", [x, weight, *([bias] if bias else [])])


@rule(aten._softmax.default)
def _softmax(low: Lowering, x: Value, axis: int, half_to_float: bool = False) -> str:
    return low.add("softmax", [x], axis=axis % x.rank)


@rule(aten._log_softmax.default)
def _log_softmax(low: Lowering, x: Value, axis: int, half_to_float: bool = False) -> str:
    return low.add("log_softmax", [x], axis=axis % x.rank)


@rule(aten.softmax.int)
def _softmax_composite(low: Lowering, x: Value, axis: int, dtype: Any = None) -> str:
    return _softmax(low, x, axis)  # type: ignore[return-value]


@rule(aten.log_softmax.int)
def _log_softmax_composite(low: Lowering, x: Value, axis: int, dtype: Any = None) -> str:
    return _log_softmax(low, x, axis)  # type: ignore[return-value]


def upsample(low: Lowering, x: Value, size: Sequence[Any], scales: Sequence[Any] = (), **settings: Any) -> str:
    """upsample2d, where every pixel becomes as many. `scales`, where they are given, are what torch samples by: 2.1 of
    three pixels are six, but not two of each."""
    _picture(x)
    factors = []
    for have, wanted in zip(map(low.integer, x.shape[2:]), map(low.integer, size), strict=True):
        if wanted % have or wanted < have:
            raise Unsupported(f"it resizes {have} pixels to {wanted}")
        factors.append(wanted // have)
    if any(scale is not None and scale != factor for scale, factor in zip(scales, factors, strict=False)):
        raise Unsupported(f"it resizes by {tuple(scales)}")
    return low.add("upsample2d", [x], scale_factor=tuple(factors), layout="NCHW", **settings)


@rule(aten.upsample_nearest2d.default)
def _upsample_nearest(low: Lowering, x: Value, size: Sequence[Any], *scales: Any) -> str:
    return upsample(low, x, size, scales, mode="nearest")


@rule(aten.upsample_bilinear2d.default)
def _upsample_bilinear(low: Lowering, x: Value, size: Sequence[Any], align_corners: bool, *scales: Any) -> str:
    return upsample(low, x, size, scales, mode="bilinear", align_corners=align_corners)


@rule(aten.upsample_nearest2d.vec)
def _upsample_nearest_vec(low: Lowering, x: Value, size: Any, scales: Any = None) -> str:
    return upsample(low, x, low.out_shape[2:], scales or (), mode="nearest")


@rule(aten.upsample_bilinear2d.vec)
def _upsample_bilinear_vec(low: Lowering, x: Value, size: Any, align_corners: bool, scales: Any = None) -> str:
    return upsample(low, x, low.out_shape[2:], scales or (), mode="bilinear", align_corners=align_corners)


def _border(low: Lowering, x: Value, sides: Ints, **settings: Any) -> str:
    """sides : before and after the last axis, then the one before it, and so on, as torch counts them."""
    _picture(x)
    if any(low.integer(side) < 0 for side in sides) or any(sides[4:]):
        raise Unsupported(f"it pads by {list(sides)}")
    left, right, top, bottom = (*(low.integer(side) for side in sides[:4]), 0, 0)[:4]
    return low.add("pad2d", [x], padding=((top, bottom), (left, right)), layout="NCHW", **settings)


@rule(aten.constant_pad_nd.default)
def _constant_pad(low: Lowering, x: Value, sides: Ints, value: float = 0.0) -> str:
    return _border(low, x, sides, value=float(value))


@rule(aten.reflection_pad2d.default)
def _reflection_pad(low: Lowering, x: Value, sides: Ints) -> str:
    return _border(low, x, sides, mode="reflect")


@rule(aten.replication_pad2d.default)
def _replication_pad(low: Lowering, x: Value, sides: Ints) -> str:
    return _border(low, x, sides, mode="replicate")


@rule(aten.pad.default)
def _pad(low: Lowering, x: Value, sides: Ints, mode: str = "constant", value: float | None = None) -> str:
    return _border(low, x, sides, mode=mode, **({"value": float(value or 0)} if mode == "constant" else {}))


@rule(aten.pixel_shuffle.default)
def _pixel_shuffle(low: Lowering, x: Value, r: int) -> str:
    _picture(x)
    _, C, H, W = x.shape
    apart = low.reshape(x, [_batch(low), low.integer(C) // r**2, r, r, H, W])
    return low.reshape(low.add("transpose", [apart], axes=(0, 1, 4, 2, 5, 3)))


@rule(aten.native_layer_norm.default)
def _layer_norm(
    low: Lowering, x: Value, shape: Ints, weight: Value | None, bias: Value | None, eps: float
) -> list[str]:
    sizes = tuple(low.integer(size) for size in shape)
    scale = weight.name if weight else low.constant(np.ones(sizes, np.float32))
    inputs = [x.name, scale, *([bias.name] if bias else [])]
    return [low.add("onnx.LayerNormalization@17", inputs, axis=-len(sizes), epsilon=eps, n_outputs=1)]


@rule(aten.layer_norm.default)
def _layer_norm_composite(
    low: Lowering, x: Value, shape: Ints, weight: Value | None = None, bias: Value | None = None, eps: float = 1e-5,
    cudnn: bool = True,
) -> str:  # fmt: skip
    return _layer_norm(low, x, shape, weight, bias, eps)[0]


@rule(aten.group_norm.default)
def _group_norm_composite(
    low: Lowering, x: Value, groups: int, weight: Value | None = None, bias: Value | None = None, eps: float = 1e-5,
    cudnn: bool = True,
) -> str:  # fmt: skip
    return _group_norm(low, x, weight, bias, None, x.shape[1], None, groups, eps)[0]


@rule(aten.native_group_norm.default)
def _group_norm(
    low: Lowering, x: Value, weight: Value | None, bias: Value | None, N: Any, C: int, pixels: Any, groups: int,
    eps: float,
) -> list[str]:  # fmt: skip
    scale = weight.name if weight else low.constant(np.ones(low.integer(x.shape[1]), np.float32))
    shift = bias.name if bias else low.constant(np.zeros(low.integer(x.shape[1]), np.float32))
    return [low.add("onnx.GroupNormalization@21", [x, scale, shift], num_groups=groups, epsilon=eps)]
