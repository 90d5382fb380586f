"""Pooling of pictures: MaxPooling2D, AveragePooling2D, MinPooling2D, and over the whole picture or to a given size."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

from cnnfast import grad
from cnnfast.graph.ir import Graph
from cnnfast.layers import window
from cnnfast.layers.base import Backprop, Layer, Options
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks, shapes
from cnnfast.ops.adaptive import adaptive_avg_pool2d, adaptive_max_pool2d
from cnnfast.ops.arrays import Array
from cnnfast.ops.pool import avg_pool2d, max_pool2d, min_pool2d


class Pooling2D(Layer):
    """What they have in common; see MaxPooling2D."""

    rank = 4
    pool: ClassVar[Callable[..., Array]]
    extra: ClassVar[dict[str, Any]] = {}

    def __init__(
        self, pool_size: Any = 2, strides: Any = None, padding: Any = "valid", *, data_format: Any = None,
        ceil_mode: bool = False, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(**options)
        window.data_format(data_format)
        self.pool_size = window.numbers("pool_size", pool_size, 2)
        self.strides = self.pool_size if strides is None else window.numbers("strides", strides, 2)
        self.padding = window.padding(padding, 2)
        self.ceil_mode = checks.boolean("ceil_mode", ceil_mode)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sizes, channels = input_shape
        spatial = window.output_sizes(
            shapes.pool_size, sizes, self.pool_size, self.strides, self.padding, ceil_mode=self.ceil_mode
        )
        return batch, *spatial, channels

    def settings(self) -> dict[str, Any]:
        """The op's arguments but x and out."""
        return {
            "kernel_size": self.pool_size, "stride": self.strides, "padding": self.padding,
            "ceil_mode": self.ceil_mode, **self.extra,
        }  # fmt: skip

    def call(self, x: Array, out: Array | None = None) -> Array:
        return type(self).pool(x, out=out, **self.settings())

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return graph.add(type(self).pool.__name__, inputs, self.name, **self.settings())


class MaxPooling2D(Pooling2D):
    """The largest value in each window.

    Parameters
    ----------
    pool_size, strides : an integer, or (height, width); strides is by default pool_size
    padding : "valid", "same", or any form of `max_pool2d`'s; padding never wins
    ceil_mode : keep a last window that runs over the end
    data_format : "channels_last", which is the only one

    Examples
    --------
    >>> from cnnfast.layers import MaxPooling2D
    >>> MaxPooling2D(2, ceil_mode=True).compute_output_shape((None, 5, 5, 8))
    (None, 3, 3, 8)
    """

    pool = staticmethod(max_pool2d)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        y, indices = max_pool2d(x, return_indices=True, **self.settings())
        return y, scatter(indices, x.shape)


class AveragePooling2D(Pooling2D):
    """The mean of each window, padding left out, as Keras does; see MaxPooling2D."""

    pool = staticmethod(avg_pool2d)
    extra: ClassVar[dict[str, Any]] = {"count_include_pad": False}

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        shape = x.shape

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            return grad.avg_pool2d(grad_output, shape, **self.settings()) if inputs else None

        return self.call(x), backprop


class MinPooling2D(Pooling2D):
    """The smallest value in each window; see MaxPooling2D. Keras has none."""

    pool = staticmethod(min_pool2d)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            return grad.min_pool2d(grad_output, x, **self.settings()) if inputs else None

        return self.call(x), backprop


class AdaptivePooling2D(Layer):
    """What the pools to a given size have in common."""

    rank = 4
    pool: ClassVar[Callable[..., Array]]

    def __init__(self, output_size: Any, *, data_format: Any = None, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        window.data_format(data_format)
        self.output_size = checks.pair("output_size", output_size, minimum=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], *self.output_size, input_shape[3]

    def call(self, x: Array, out: Array | None = None) -> Array:
        return type(self).pool(x, self.output_size, out=out)

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return graph.add(type(self).pool.__name__, inputs, self.name, output_size=self.output_size)


class AdaptiveAveragePooling2D(AdaptivePooling2D):
    """Means over output_size windows of nearly equal size that cover the picture, as torch cuts them.

    >>> from cnnfast.layers import AdaptiveAveragePooling2D
    >>> AdaptiveAveragePooling2D(6).compute_output_shape((None, 13, 13, 256))
    (None, 6, 6, 256)
    """

    pool = staticmethod(adaptive_avg_pool2d)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        shape = x.shape

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            return grad.adaptive_avg_pool2d(grad_output, shape) if inputs else None

        return self.call(x), backprop


class GlobalPooling2D(AdaptivePooling2D):
    """What the global pools have in common: one window, the picture."""

    def __init__(self, *, data_format: Any = None, keepdims: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(1, data_format=data_format, **options)
        self.keepdims = checks.boolean("keepdims", keepdims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        N, _, _, C = input_shape
        return (N, 1, 1, C) if self.keepdims else (N, C)

    def call(self, x: Array, out: Array | None = None) -> Array:
        N, _, _, C = x.shape
        y = type(self).pool(x, 1, out=None if out is None else out.reshape(N, 1, 1, C))
        if out is None:
            return y if self.keepdims else y.reshape(N, C)
        return out

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        y = super().nodes(graph, inputs, shapes)
        return y if self.keepdims else graph.add("flatten", [y], self.name)


class GlobalAveragePooling2D(GlobalPooling2D):
    """The mean of each channel.

    >>> from cnnfast.layers import GlobalAveragePooling2D
    >>> GlobalAveragePooling2D().compute_output_shape((None, 7, 7, 512))
    (None, 512)
    """

    pool = staticmethod(adaptive_avg_pool2d)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        N, _, _, C = shape = x.shape

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            return grad.global_avg_pool2d(grad_output.reshape(N, 1, 1, C), shape) if inputs else None

        return self.call(x), backprop


class GlobalMaxPooling2D(GlobalPooling2D):
    """The maximum of each channel."""

    pool = staticmethod(adaptive_max_pool2d)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        y, indices = adaptive_max_pool2d(x, 1, return_indices=True)
        return y if self.keepdims else y.reshape(len(x), x.shape[3]), scatter(indices, x.shape)


def scatter(indices: Array, shape: tuple[int, ...]) -> Backprop:
    """The way back through a pool that takes a pixel of each window: the one with that index in its picture."""

    def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
        return grad.max_pool2d(grad_output.reshape(indices.shape), indices, shape) if inputs else None

    return backprop
