"""Convolutions that keep channels apart: DepthwiseConv2D, SeparableConv2D."""

from typing import Any, Unpack

from cnnfast.graph.ir import Graph
from cnnfast.layers import window
from cnnfast.layers.activations import ActivatedLayer, weighted
from cnnfast.layers.base import Options
from cnnfast.layers.sizes import known
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import depthwise_conv2d
from cnnfast.ops.separable import separable_conv2d


class DepthwiseConv2D(ActivatedLayer):
    """Convolve each channel by itself, into depth_multiplier channels: channel c gives c*depth_multiplier + m.

    Parameters
    ----------
    depth_multiplier : channels out for each channel in
    the others : see Conv2D

    Examples
    --------
    >>> from cnnfast.layers import DepthwiseConv2D
    >>> DepthwiseConv2D(3, strides=2, padding="same").compute_output_shape((None, 112, 112, 32))
    (None, 56, 56, 32)

    References
    ----------
    Howard et al., "MobileNets", arXiv:1704.04861.
    """

    rank = 4

    def __init__(
        self, kernel_size: Any, strides: Any = 1, padding: Any = "valid", depth_multiplier: int = 1, *,
        data_format: Any = None, dilation_rate: Any = 1, activation: Any = None, use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(activation, **options)
        window.data_format(data_format)
        self.kernel_size = window.numbers("kernel_size", kernel_size, 2)
        self.strides = window.numbers("strides", strides, 2)
        self.dilation_rate = window.numbers("dilation_rate", dilation_rate, 2)
        self.padding = window.padding(padding, 2)
        self.depth_multiplier = checks.integer("depth_multiplier", depth_multiplier, minimum=1)
        self.use_bias = checks.boolean("use_bias", use_bias)
        self.initializers = depthwise_initializer, bias_initializer

    def build(self, input_shape: Shape) -> None:
        channels = known(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self.add_weight("depthwise_kernel", shape, self.initializers[0])
        filters = channels * self.depth_multiplier
        self.bias = self.add_weight("bias", (filters,), self.initializers[1]) if self.use_bias else None

    def spatial(self, input_shape: Shape) -> window.Sizes:
        return window.output_sizes(
            shapes.conv_size, input_shape[1:3], self.kernel_size, self.strides, self.padding, self.dilation_rate
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], *self.spatial(input_shape), known(input_shape) * self.depth_multiplier

    def settings(self) -> dict[str, Any]:
        """The op's arguments but x, the weights and out."""
        return {
            "bias": self.bias.values if self.bias else None, "stride": self.strides, "padding": self.padding,
            "dilation": self.dilation_rate, "activation": self.activation.fused,
        }  # fmt: skip

    def run(self, x: Array, out: Array | None = None) -> Array:
        return depthwise_conv2d(x, self.depthwise_kernel.values, out=out, **self.settings())

    def node(self, graph: Graph, x: str) -> str:
        return weighted(graph, "depthwise_conv2d", x, self.name, weight=self.depthwise_kernel.values, **self.settings())


class SeparableConv2D(DepthwiseConv2D):
    """A depthwise convolution, then a 1x1 one, in one pass.

    Parameters
    ----------
    filters : channels out of the 1x1 convolution
    the others : see DepthwiseConv2D and Conv2D

    Examples
    --------
    >>> from cnnfast.layers import SeparableConv2D
    >>> layer = SeparableConv2D(64, 3, padding="same")
    >>> layer.ready((None, 28, 28, 32)), layer.count_params()
    ((None, 28, 28, 64), 2400)
    """

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: Any = "valid", *, depth_multiplier: int = 1,
        pointwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, strides, padding, depth_multiplier, bias_initializer=bias_initializer, **settings)
        self.filters = checks.integer("filters", filters, minimum=1)
        self.pointwise_initializer = pointwise_initializer

    def build(self, input_shape: Shape) -> None:
        channels = known(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self.add_weight("depthwise_kernel", shape, self.initializers[0])
        between = (1, 1, channels * self.depth_multiplier, self.filters)
        self.pointwise_kernel = self.add_weight("pointwise_kernel", between, self.pointwise_initializer)
        self.bias = self.add_weight("bias", (self.filters,), self.initializers[1]) if self.use_bias else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], *self.spatial(input_shape), self.filters

    def run(self, x: Array, out: Array | None = None) -> Array:
        return separable_conv2d(
            x, self.depthwise_kernel.values, self.pointwise_kernel.values, out=out, **self.settings()
        )

    def node(self, graph: Graph, x: str) -> str:
        settings = self.settings()
        inputs = [x, graph.constant(self.depthwise_kernel.values), graph.constant(self.pointwise_kernel.values)]
        bias = settings.pop("bias")
        if bias is not None:
            inputs.append(graph.constant(bias))
        return graph.add("separable_conv2d", inputs, self.name, **settings)
