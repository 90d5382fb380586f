"""What a layer of Keras' says of its window, as cnnfast's ops take it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from cnnfast.ops import shapes
from cnnfast.ops.checks import Pair, Sides


class Window(NamedTuple):
    """A convolution or pool but for its arrays; padding is worked out."""

    layout: str
    stride: Pair = (1, 1)
    padding: Sides = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    output_padding: Pair = (0, 0)


def layout_of(layer: Any) -> str:
    """The layer's data_format."""
    return "NHWC" if layer.data_format == "channels_last" else "NCHW"


def window_of(layer: Any, shape: Sequence[int], groups: int = 1) -> Window:
    """A convolution's."""
    _, H, W, _ = shapes.split(shape, layout_of(layer))
    stride, dilation = _pair(layer.strides), _pair(layer.dilation_rate)
    sides = shapes.resolve(_sides(layer), (H, W), _pair(layer.kernel_size), stride, dilation)
    return Window(layout_of(layer), stride, sides, dilation, groups)


def pool_of(layer: Any, shape: Sequence[int]) -> Window:
    """A pool's."""
    _, H, W, _ = shapes.split(shape, layout_of(layer))
    stride, size = _pair(layer.strides), _pair(layer.pool_size)
    return Window(layout_of(layer), stride, shapes.resolve(_sides(layer), (H, W), size, stride, (1, 1)))


def transposed_of(layer: Any, shape: Sequence[int]) -> tuple[Window | None, tuple[int, ...]]:
    """A transposed convolution's, and its output's shape; None where Keras crops in a way of its own."""
    size = tuple(layer.compute_output_shape(tuple(shape)))
    if layer.padding == "same" and layer.output_padding is not None:
        return None, size
    _, H, W, _ = shapes.split(shape, layout_of(layer))
    _, P, Q, _ = shapes.split(size, layout_of(layer))
    stride, dilation = _pair(layer.strides), _pair(layer.dilation_rate)
    sides, extra = [], []
    for n, p, k, s, d in zip((H, W), (P, Q), layer.kernel_size, stride, dilation, strict=True):
        before = shapes.transpose_same_padding(k, s, d)[0][0] if layer.padding == "same" else 0
        after = (n - 1) * s + shapes.dilated(k, d) - before - p  # below 0: outputs that no input reaches
        if -after >= s:
            return None, size
        sides.append((before, max(after, 0)))
        extra.append(max(-after, 0))
    return Window(layout_of(layer), stride, (sides[0], sides[1]), dilation, 1, (extra[0], extra[1])), size


def _sides(layer: Any) -> Any:
    return "same" if layer.padding == "same" else ((0, 0), (0, 0))


def _pair(value: Any) -> Pair:
    return int(value[0]), int(value[1])
