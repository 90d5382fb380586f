"""Conv2DTranspose: the convolution that grows a map, in decoders."""

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
from cnnfast.ops.conv_transpose import conv_transpose2d


class Conv2DTranspose(ActivatedLayer):
    """Transposed convolution with a kernel (R, S, K, C).

    Parameters
    ----------
    padding : "valid" (sizes (n - 1)*stride + kernel, at least n*stride), "same" (n*stride), or pixels to crop, as
        `conv_transpose2d` takes them
    output_padding : rows and columns added at the end, by default as Keras chooses them
    the others : see Conv2D

    Examples
    --------
    >>> from cnnfast.layers import Conv2DTranspose
    >>> Conv2DTranspose(64, 2, strides=2).compute_output_shape((None, 28, 28, 128))
    (None, 56, 56, 64)
    """

    rank = 4

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: Any = "valid", *, output_padding: Any = None,
        data_format: Any = None, dilation_rate: Any = 1, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(activation, **options)
        window.data_format(data_format)
        self.filters = checks.integer("filters", filters, minimum=1)
        self.kernel_size = window.numbers("kernel_size", kernel_size, 2)
        self.strides = window.numbers("strides", strides, 2)
        self.dilation_rate = window.numbers("dilation_rate", dilation_rate, 2)
        self.padding = window.padding(padding, 2)
        self.output_padding = self._output_padding(padding, output_padding)
        self.use_bias = checks.boolean("use_bias", use_bias)
        self.initializers = kernel_initializer, bias_initializer
        self.regularizers = kernel_regularizer, bias_regularizer

    def _output_padding(self, padding: Any, given: Any) -> window.Ints:
        if given is not None:
            return window.numbers("output_padding", given, 2, minimum=0)
        if not isinstance(padding, str) or self.padding == "same":
            return 0, 0
        spread = (shapes.dilated(k, d) for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))
        return tuple(max(stride - k, 0) for k, stride in zip(spread, self.strides, strict=True))

    def build(self, input_shape: Shape) -> None:
        shape = (*self.kernel_size, self.filters, known(input_shape))
        self.kernel = self.add_weight("kernel", shape, self.initializers[0], regularizer=self.regularizers[0])
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.filters,), self.initializers[1], regularizer=self.regularizers[1])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sizes, _ = input_shape
        return batch, *(self._size(size, i) for i, size in enumerate(sizes)), self.filters

    def _size(self, size: int | None, i: int) -> int | None:
        if size is None:
            return None
        kernel, stride, dilation, extra = (
            self.kernel_size[i], self.strides[i], self.dilation_rate[i], self.output_padding[i]
        )  # fmt: skip
        if isinstance(self.padding, str):
            sides, extra = shapes.transpose_same_padding(kernel, stride, dilation)
        else:
            sides = self.padding[i]
        return shapes.conv_transpose_size(size, kernel, stride, sides, extra, dilation, shapes.AXES[i])

    def settings(self) -> dict[str, Any]:
        """The op's arguments but x and out."""
        bias = self.bias.values if self.bias else None
        return {"weight": self.kernel.values, "bias": bias, "activation": self.activation.fused, **self.window()}

    def window(self) -> dict[str, Any]:
        """What the op and its gradients are told of the window."""
        return {
            "stride": self.strides, "padding": self.padding, "output_padding": self.output_padding,
            "dilation": self.dilation_rate,
        }  # fmt: skip

    def run(self, x: Array, out: Array | None = None, **changed: Any) -> Array:
        return conv_transpose2d(x, out=out, **self.settings() | changed)

    def backward(self, x: Array) -> Backprop:
        weight, window = self.kernel.values, self.window()
        size = self.kernel_size[0], self.kernel_size[1]

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            if self.learns(self.kernel):
                self.kernel.add_grad(grad.conv_transpose2d_weight(grad_output, x, size, **window))
            add_bias_grad(self, self.bias, grad_output)
            return grad.conv_transpose2d_input(grad_output, weight, **window) if inputs else None

        return backprop

    def node(self, graph: Graph, x: str) -> str:
        return weighted(graph, "conv_transpose2d", x, self.name, **self.settings())
