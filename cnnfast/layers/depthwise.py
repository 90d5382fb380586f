"""Convolutions that keep channels apart: DepthwiseConv2D, SeparableConv2D."""

from typing import Any, Unpack

from cnnfast import grad
from cnnfast.graph.ir import Graph
from cnnfast.layers import window
from cnnfast.layers.activations import ActivatedLayer, add_bias_grad, weighted
from cnnfast.layers.base import Backprop, Options
from cnnfast.layers.sizes import known
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import conv2d, depthwise_conv2d
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
        depthwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None, bias_regularizer: Any = None, **options: Unpack[Options],
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
        self.regularizers = depthwise_regularizer, bias_regularizer

    def build(self, input_shape: Shape) -> None:
        self.build_depthwise(known(input_shape))
        self.build_bias(known(input_shape) * self.depth_multiplier)

    def build_depthwise(self, channels: int) -> None:
        """Make the kernel that keeps channels apart."""
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        initializer, regularizer = self.initializers[0], self.regularizers[0]
        self.depthwise_kernel = self.add_weight("depthwise_kernel", shape, initializer, regularizer=regularizer)

    def build_bias(self, filters: int) -> None:
        """Make the bias, if there is to be one."""
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight("bias", (filters,), self.initializers[1], regularizer=self.regularizers[1])

    def spatial(self, input_shape: Shape) -> window.Sizes:
        return window.output_sizes(
            shapes.conv_size, input_shape[1:3], self.kernel_size, self.strides, self.padding, self.dilation_rate
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], *self.spatial(input_shape), known(input_shape) * self.depth_multiplier

    def settings(self) -> dict[str, Any]:
        """The op's arguments but x, the weights and out."""
        bias = self.bias.values if self.bias else None
        return {"bias": bias, "activation": self.activation.fused, **self.window()}

    def window(self) -> dict[str, Any]:
        """What the op and its gradients are told of the window."""
        return {"stride": self.strides, "padding": self.padding, "dilation": self.dilation_rate}

    def run(self, x: Array, out: Array | None = None, **changed: Any) -> Array:
        return depthwise_conv2d(x, self.depthwise_kernel.values, out=out, **self.settings() | changed)

    def backward(self, x: Array) -> Backprop:
        back = self.backward_depthwise(x)

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            add_bias_grad(self, self.bias, grad_output)
            result: Array | None = back(grad_output, inputs)
            return result

        return backprop

    def backward_depthwise(self, x: Array) -> Backprop:
        """The way back through the convolution that keeps channels apart."""
        weight, window, size = self.depthwise_kernel.values, self.window(), (self.kernel_size[0], self.kernel_size[1])

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            if self.learns(self.depthwise_kernel):
                self.depthwise_kernel.add_grad(grad.depthwise_conv2d_weight(grad_output, x, size, **window))
            return grad.depthwise_conv2d_input(grad_output, weight, x.shape, **window) if inputs else None

        return backprop

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
        pointwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        pointwise_regularizer: Any = None, **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, strides, padding, depth_multiplier, bias_initializer=bias_initializer, **settings)
        self.filters = checks.integer("filters", filters, minimum=1)
        self.pointwise_initializer, self.pointwise_regularizer = pointwise_initializer, pointwise_regularizer

    def build(self, input_shape: Shape) -> None:
        self.build_depthwise(known(input_shape))
        between = (1, 1, known(input_shape) * self.depth_multiplier, self.filters)
        self.pointwise_kernel = self.add_weight(
            "pointwise_kernel", between, self.pointwise_initializer, regularizer=self.pointwise_regularizer
        )
        self.build_bias(self.filters)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], *self.spatial(input_shape), self.filters

    def run(self, x: Array, out: Array | None = None, **changed: Any) -> Array:
        return separable_conv2d(
            x, self.depthwise_kernel.values, self.pointwise_kernel.values, out=out, **self.settings() | changed
        )

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        """Its two steps, for the way back needs what lies between them."""
        between = depthwise_conv2d(x, self.depthwise_kernel.values, **self.window())
        back = self.backward_depthwise(x)
        weight, bias = self.pointwise_kernel.values, self.bias.values if self.bias else None
        y, before = self.activation.forward(lambda fused: conv2d(between, weight, bias, activation=fused))

        def backprop(grad_output: Array, inputs: bool = True, of_logits: bool = False) -> Array | None:
            g = grad_output if of_logits else before(grad_output)
            if self.learns(self.pointwise_kernel):
                self.pointwise_kernel.add_grad(grad.conv2d_weight(g, between, (1, 1)))
            add_bias_grad(self, self.bias, g)
            if not inputs and not self.learns(self.depthwise_kernel):
                return None
            result: Array | None = back(grad.conv2d_input(g, weight, between.shape), inputs)
            return result

        return y, backprop

    def node(self, graph: Graph, x: str) -> str:
        settings = self.settings()
        inputs = [x, graph.constant(self.depthwise_kernel.values), graph.constant(self.pointwise_kernel.values)]
        bias = settings.pop("bias")
        if bias is not None:
            inputs.append(graph.constant(bias))
        return graph.add("separable_conv2d", inputs, self.name, **settings)
