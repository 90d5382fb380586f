"""Graphs with gradients: our convolutions, pools and dense layers in torch's place, forwards and backwards."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from cnnfast import grad
from cnnfast.graph.passes.layout import TO_FIRST, TO_LAST
from cnnfast.interop.torch_lowering import Unsupported, evaluate, first, hints
from cnnfast.interop.torch_program import array_of, lies_last
from cnnfast.ops.adaptive import adaptive_avg_pool2d
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import conv2d
from cnnfast.ops.conv_transpose import conv_transpose2d
from cnnfast.ops.linear import linear
from cnnfast.ops.options import Layouts
from cnnfast.ops.pool import avg_pool2d, max_pool2d

aten = torch.ops.aten
Ints = Sequence[int]
FLOATS = (torch.float32, torch.float64)
KERNELS: dict[Any, Callable[..., Any]] = {}
"""kernel(last, *the op's arguments): `last` says that the output's channels are to lie last."""


def compile_graph(module: fx.GraphModule, example_inputs: Sequence[Any]) -> Any:
    """What runs a graph of aten ops, forwards or backwards, on our kernels where they take what comes."""
    symbols = hints(module.graph)
    for node in module.graph.nodes:
        if node.op == "call_function" and node.target in KERNELS and _takes(node):
            node.target = _or_torch(KERNELS[node.target], node.target, _is_last(node, symbols))
    module.recompile()

    def boxed(args: list[Any]) -> Any:
        given = tuple(args)
        args.clear()
        return module(*given)

    boxed._boxed_call = True  # type: ignore[attr-defined]
    return boxed


def _takes(node: fx.Node) -> bool:
    values = [first(each.meta.get("val")) for each in (node, *node.all_input_nodes)]
    tensors = [value for value in values if isinstance(value, Tensor) and value.dtype is not torch.int64]
    kinds = {(value.dtype, value.device.type, value.layout) for value in tensors}
    return any(kinds == {(dtype, "cpu", torch.strided)} for dtype in FLOATS)


def _is_last(node: fx.Node, symbols: dict[Any, int]) -> bool:
    out = first(node.meta["val"])
    if out is None:  # a gradient that nobody asks for
        out = node.args[0].meta["val"]
    try:
        shape, stride = ([evaluate(size, symbols) for size in sizes] for sizes in (out.shape, out.stride()))
    except Unsupported:
        return False
    return lies_last(shape, stride)


def _or_torch(kernel: Callable[..., Any], theirs: Any, last: bool) -> Callable[..., Any]:
    """Torch's own where ours refuses what comes."""

    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return kernel(last, *args, **kwargs)
        except (Unsupported, ValueError, TypeError):
            return theirs(*args, **kwargs)

    run.__name__ = kernel.__name__
    return run


def _kernel(target: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def put(function: Callable[..., Any]) -> Callable[..., Any]:
        KERNELS[target] = function
        return function

    return put


def _picture(x: Tensor, last: bool) -> Array:
    if x.dim() != 4:
        raise Unsupported(f"it has {x.dim()} dimensions")
    return array_of(x).transpose(TO_LAST) if last else array_of(x)


def _tensor(array: Array, last: bool) -> Tensor:
    y = torch.from_numpy(np.ascontiguousarray(array))  # an op gives what lies as x does
    return y.permute(TO_FIRST) if last else y


def _sizes(x: Tensor, last: bool) -> tuple[int, ...]:
    return tuple(x.shape[i] for i in TO_LAST) if last else tuple(x.shape)


def _order(last: bool) -> str:
    return "NHWC" if last else "NCHW"


def _pair(values: Ints) -> tuple[int, int]:
    return (values[0], values[-1])


def _filters(weight: Tensor, last: bool) -> Array:
    """A weight as an op with channels last or first takes it: (R, S, C, K) or (K, C, R, S)."""
    return array_of(weight).transpose(2, 3, 1, 0) if last else array_of(weight)


def _settings(stride: Ints, padding: Ints, dilation: Ints, groups: int) -> dict[str, Any]:
    pads = tuple((p, p) for p in _pair(padding))
    return {"stride": _pair(stride), "padding": pads, "dilation": _pair(dilation), "groups": groups}


def _as_picture(x: Tensor, *lists: Ints) -> tuple[Tensor, list[list[int]]]:
    """A line as a picture one pixel high: the tensor, and what an op is told for each axis, strides or paddings."""
    return x.unsqueeze(2), [[fill, *given] for fill, given in zip((1, 0, 1, 0), lists, strict=True)]


@_kernel(aten.convolution.default)
def convolution(
    last: bool, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints, dilation: Ints,
    transposed: bool, output_padding: Ints, groups: int,
) -> Tensor:  # fmt: skip
    if x.dim() == 3:
        picture, given = _as_picture(x, stride, padding, dilation, output_padding)
        step, pads, spread, extra = given
        y = convolution(False, picture, weight.unsqueeze(2), bias, step, pads, spread, transposed, extra, groups)
        return y.squeeze(2)
    settings = _settings(stride, padding, dilation, groups)
    images, shift = _picture(x, last), None if bias is None else array_of(bias)
    if transposed:
        settings["output_padding"] = _pair(output_padding)
        y = conv_transpose2d(images, _filters(weight, last), shift, layout=_order(last), **settings)
    else:
        order = Layouts("NHWC", "NCHW", "NHWC") if last else "NCHW"
        y = conv2d(images, array_of(weight), shift, layout=order, **settings)  # type: ignore[arg-type]
    return _tensor(y, last)


@_kernel(aten.convolution_backward.default)
def convolution_backward(
    last: bool, grad_output: Tensor, x: Tensor, weight: Tensor, bias_sizes: Any, stride: Ints, padding: Ints,
    dilation: Ints, transposed: bool, output_padding: Ints, groups: int, mask: Sequence[bool],
) -> tuple[Tensor | None, ...]:  # fmt: skip
    if x.dim() == 3:
        picture, given = _as_picture(x, stride, padding, dilation, output_padding)
        step, pads, spread, extra = given
        found = convolution_backward(
            False, grad_output.unsqueeze(2), picture, weight.unsqueeze(2), bias_sizes, step, pads, spread, transposed,
            extra, groups, mask,
        )  # fmt: skip
        return (*(each if each is None else each.squeeze(2) for each in found[:2]), found[2])
    settings: dict[str, Any] = {"layout": _order(last), **_settings(stride, padding, dilation, groups)}
    gradient, images, filters = _picture(grad_output, last), _picture(x, last), _filters(weight, last)
    grad_x = grad_weight = grad_bias = None
    if transposed:
        settings["output_padding"] = _pair(output_padding)
    if mask[0] and transposed:
        grad_x = _tensor(grad.conv_transpose2d_input(gradient, filters, **settings), last)
    elif mask[0]:
        grad_x = _tensor(grad.conv2d_input(gradient, filters, images.shape, **settings), last)
    kernel = _pair(weight.shape[2:])
    if mask[2]:
        grad_bias = np.empty(grad_output.shape[1], images.dtype)
    if mask[1]:
        if transposed:
            made = grad.conv_transpose2d_weight(gradient, images, kernel, **settings)
        else:
            made = grad.conv2d_weight(gradient, images, kernel, grad_bias=grad_bias, **settings)
        grad_weight = torch.from_numpy(np.ascontiguousarray(made))
        if last:
            grad_weight = grad_weight.permute(3, 2, 0, 1).contiguous()
    if grad_bias is not None and (transposed or not mask[1]):
        grad_bias = grad.bias(gradient, layout=_order(last))
    return grad_x, grad_weight, None if grad_bias is None else torch.from_numpy(grad_bias)


def _window(kernel: Ints, stride: Ints, padding: Ints, ceil_mode: bool, last: bool) -> dict[str, Any]:
    pads = tuple((p, p) for p in _pair(padding))
    given = {"kernel_size": _pair(kernel), "stride": _pair(stride or kernel), "padding": pads}
    return {**given, "ceil_mode": ceil_mode, "layout": _order(last)}


@_kernel(aten.max_pool2d_with_indices.default)
def max_pool(
    last: bool, x: Tensor, kernel: Ints, stride: Ints = (), padding: Ints = (0,), dilation: Ints = (1,),
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    settings = _window(kernel, stride, padding, ceil_mode, last)
    y, indices = max_pool2d(_picture(x, last), dilation=_pair(dilation), return_indices=True, **settings)
    return _tensor(y, last), _tensor(indices, last)


@_kernel(aten.max_pool2d_with_indices_backward.default)
def max_pool_backward(
    last: bool, grad_output: Tensor, x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints,
    ceil_mode: bool, indices: Tensor,
) -> Tensor:  # fmt: skip
    given = _picture(grad_output, last), _picture(indices, last)
    return _tensor(grad.max_pool2d(*given, _sizes(x, last), layout=_order(last)), last)


@_kernel(aten.avg_pool2d.default)
def avg_pool(
    last: bool, x: Tensor, kernel: Ints, stride: Ints = (), padding: Ints = (0,), ceil_mode: bool = False,
    count_include_pad: bool = True, divisor: int | None = None,
) -> Tensor:  # fmt: skip
    if divisor is not None:
        raise Unsupported("it has a divisor of its own")
    settings = _window(kernel, stride, padding, ceil_mode, last)
    return _tensor(avg_pool2d(_picture(x, last), count_include_pad=count_include_pad, **settings), last)


@_kernel(aten.avg_pool2d_backward.default)
def avg_pool_backward(
    last: bool, grad_output: Tensor, x: Tensor, kernel: Ints, stride: Ints, padding: Ints, ceil_mode: bool,
    count_include_pad: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    if divisor is not None:
        raise Unsupported("it has a divisor of its own")
    settings = _window(kernel, stride, padding, ceil_mode, last)
    made = grad.avg_pool2d(
        _picture(grad_output, last), _sizes(x, last), count_include_pad=count_include_pad, **settings
    )  # fmt: skip
    return _tensor(made, last)


@_kernel(aten._adaptive_avg_pool2d.default)
def adaptive_pool(last: bool, x: Tensor, size: Ints) -> Tensor:
    return _tensor(adaptive_avg_pool2d(_picture(x, last), _pair(size), layout=_order(last)), last)


@_kernel(aten._adaptive_avg_pool2d_backward.default)
def adaptive_pool_backward(last: bool, grad_output: Tensor, x: Tensor) -> Tensor:
    made = grad.adaptive_avg_pool2d(_picture(grad_output, last), _sizes(x, last), layout=_order(last))
    return _tensor(made, last)


@_kernel(aten.addmm.default)
def addmm(last: bool, bias: Tensor, x: Tensor, weight: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    if bias.dim() != 1 or len(bias) != weight.shape[1] or beta != 1 or alpha != 1:
        raise Unsupported("it is not a dense layer")
    return torch.from_numpy(linear(array_of(x), array_of(weight).T, array_of(bias)))


@_kernel(aten.mm.default)
def mm(last: bool, x: Tensor, y: Tensor) -> Tensor:
    """The way back of a dense layer: to its weight where x is a gradient turned around, else to its input."""
    if x.stride(0) == 1 and x.stride(1) != 1:
        return torch.from_numpy(grad.linear_weight(array_of(x).T, array_of(y)))
    return torch.from_numpy(grad.linear_input(array_of(x), array_of(y)))
