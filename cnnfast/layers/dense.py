"""Dense: every output from every input."""

import math
from typing import Any, Unpack

from cnnfast import grad
from cnnfast.graph.ir import Graph
from cnnfast.layers.activations import ActivatedLayer, add_weight_grads, weighted
from cnnfast.layers.base import Backprop, Options
from cnnfast.layers.sizes import known
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import conv2d
from cnnfast.ops.linear import linear
from cnnfast.ops.options import Activation


class Dense(ActivatedLayer):
    """y = activation(x @ kernel + bias) along the last axis, with a kernel (C, K).

    Parameters
    ----------
    units : K
    the others : see Conv2D

    Examples
    --------
    >>> from cnnfast.layers import Dense
    >>> layer = Dense(120, activation="tanh")
    >>> layer.ready((None, 400)), layer.count_params()
    ((None, 120), 48120)
    """

    def __init__(
        self, units: int, activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(activation, **options)
        self.units = checks.integer("units", units, minimum=1)
        self.use_bias = checks.boolean("use_bias", use_bias)
        self.initializers = kernel_initializer, bias_initializer
        self.regularizers = kernel_regularizer, bias_regularizer

    def build(self, input_shape: Shape) -> None:
        shape = (known(input_shape), self.units)
        self.kernel = self.add_weight("kernel", shape, self.initializers[0], regularizer=self.regularizers[0])
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.units,), self.initializers[1], regularizer=self.regularizers[1])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 2:
            raise ValueError(f"its input must have 2 dimensions or more (N, ..., C), got shape {input_shape}")
        return *input_shape[:-1], self.units

    def settings(self) -> dict[str, Any]:
        """The op's arguments but x and out; its weight is (K, C), as torch's."""
        return {
            "weight": self.kernel.values.T, "bias": self.bias.values if self.bias else None,
            "activation": self.activation.fused,
        }  # fmt: skip

    def run(self, x: Array, out: Array | None = None, **changed: Any) -> Array:
        return linear(x, out=out, **self.settings() | changed)

    def learn(self, x: Array, activation: Activation) -> Array:
        """As a 1x1 convolution, whose weight the kernel is as it lies, with the same bits: linear's is turned over."""
        rows, (C, K) = math.prod(x.shape[:-1]), self.kernel.shape
        bias = self.bias.values if self.bias else None
        pixels, weight = x.reshape(rows, 1, 1, C), self.kernel.values.reshape(1, 1, C, K)
        return conv2d(pixels, weight, bias, activation=activation).reshape(*x.shape[:-1], K)

    def backward(self, x: Array) -> Backprop:
        kernel = self.kernel.values
        rows, (C, K) = math.prod(x.shape[:-1]), self.kernel.shape

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            def of_weight(grad_bias: Array | None) -> Array:
                pixels = grad_output.reshape(rows, 1, 1, K), x.reshape(rows, 1, 1, C)
                return grad.conv2d_weight(*pixels, 1, grad_bias=grad_bias).reshape(C, K)

            add_weight_grads(self, self.kernel, self.bias, grad_output, of_weight)
            if not inputs:
                return None
            pixels, weight = grad_output.reshape(rows, 1, 1, K), kernel.reshape(1, 1, C, K)
            return grad.conv2d_input(pixels, weight, (rows, 1, 1, C)).reshape(x.shape)

        return backprop

    def node(self, graph: Graph, x: str) -> str:
        return weighted(graph, "linear", x, self.name, **self.settings())
