"""Convolutions along one, two or three axes, channels last: Conv1D, Conv2D, Conv3D."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Unpack

from cnnfast import grad
from cnnfast.graph.ir import Graph
from cnnfast.layers import window
from cnnfast.layers.activations import ActivatedLayer, add_bias_grad, add_weight_grads, weighted
from cnnfast.layers.base import Backprop, Options, Runner
from cnnfast.layers.sizes import known
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import conv2d
from cnnfast.ops.lines import conv1d
from cnnfast.ops.volumes import conv3d


class Conv(ActivatedLayer):
    """What the three have in common; see Conv2D."""

    axes: ClassVar[int]
    convolve: ClassVar[Callable[..., Array]]
    gradients: ClassVar[tuple[Callable[..., Array], Callable[..., Array]]]
    """Of the op: with respect to its input, and its weight."""

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: Any = "valid", *, data_format: Any = None,
        dilation_rate: Any = 1, groups: int = 1, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(activation, **options)
        window.data_format(data_format)
        self.filters = checks.integer("filters", filters, minimum=1)
        self.kernel_size = window.numbers("kernel_size", kernel_size, self.axes)
        self.strides = window.numbers("strides", strides, self.axes)
        self.dilation_rate = window.numbers("dilation_rate", dilation_rate, self.axes)
        self.padding = self._padding(padding)
        self.groups = checks.integer("groups", groups, minimum=1)
        if self.filters % self.groups:
            raise ValueError(f"groups must divide filters {self.filters}, got {self.groups}")
        self.use_bias = checks.boolean("use_bias", use_bias)
        self.initializers = kernel_initializer, bias_initializer
        self.regularizers = kernel_regularizer, bias_regularizer

    def _padding(self, padding: Any) -> window.Padding:
        return window.padding(padding, self.axes)

    def build(self, input_shape: Shape) -> None:
        channels = known(input_shape)
        if channels % self.groups:
            raise ValueError(f"groups must divide the input's {channels} channels, got {self.groups}")
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight("kernel", shape, self.initializers[0], regularizer=self.regularizers[0])
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.filters,), self.initializers[1], regularizer=self.regularizers[1])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sizes, _ = input_shape
        spatial = window.output_sizes(
            shapes.conv_size, sizes, self.kernel_size, self.strides, self.padding, self.dilation_rate
        )
        return batch, *spatial, self.filters

    def settings(self) -> dict[str, Any]:
        """The op's arguments but x and out."""
        bias = self.bias.values if self.bias else None
        return {"weight": self.kernel.values, "bias": bias, "activation": self.activation.fused, **self.window()}

    def window(self) -> dict[str, Any]:
        """What the op and its gradients are told of the window."""
        one = self.axes == 1
        return {
            "stride": self.strides[0] if one else self.strides,
            "padding": self.padding if isinstance(self.padding, str) or not one else self.padding[0],
            "dilation": self.dilation_rate[0] if one else self.dilation_rate,
            "groups": self.groups,
        }

    def run(self, x: Array, out: Array | None = None, **changed: Any) -> Array:
        return type(self).convolve(x, out=out, **self.settings() | changed)

    def plan(self, *input_shapes: Any) -> Runner:
        return partial(type(self).convolve, **self.settings())  # of now: lines and volumes are no ops of the graph

    def backward(self, x: Array) -> Backprop:
        weight, window = self.kernel.values, self.window()
        size = self.kernel_size[0] if self.axes == 1 else self.kernel_size
        of_input, of_weight = type(self).gradients

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            found = partial(of_weight, grad_output, x, size, **window)
            if self.axes == 2:
                add_weight_grads(self, self.kernel, self.bias, grad_output, found)
            else:
                if self.learns(self.kernel):
                    self.kernel.add_grad(found())
                add_bias_grad(self, self.bias, grad_output)
            return of_input(grad_output, weight, x.shape, **window) if inputs else None

        return backprop


class Conv1D(Conv):
    """Convolution of sequences (N, L, C) with a kernel (S, C/groups, K); see Conv2D.

    padding is "valid", "same" or "causal": all of it before the sequence, so that no output reads what comes later.

    >>> from cnnfast.layers import Conv1D
    >>> Conv1D(8, 3, padding="same").compute_output_shape((None, 100, 4))
    (None, 100, 8)
    """

    rank, axes, convolve = 3, 1, staticmethod(conv1d)
    gradients = grad.conv1d_input, grad.conv1d_weight

    def _padding(self, padding: Any) -> window.Padding:
        if isinstance(padding, str) and padding.lower() == "causal":
            return ((shapes.dilated(self.kernel_size[0], self.dilation_rate[0]) - 1, 0),)
        return super()._padding(padding)



class Conv2D(Conv):
    """Convolution of pictures (N, H, W, C) with a kernel (R, S, C/groups, K): Keras' words and defaults.

    Parameters
    ----------
    filters : K, how many kernels
    kernel_size, strides, dilation_rate : an integer, or (height, width)
    padding : "valid", "same", or any form of `conv2d`'s: 1, (1, 2), ((top, bottom), (left, right))
    groups : channels and filters in so many separate convolutions
    activation : a name of Keras' or a function
    use_bias : whether a bias is added to each filter's map
    kernel_initializer, bias_initializer : names or initializers
    kernel_regularizer, bias_regularizer : None, "l1", "l2" or a regularizer: what training adds to the loss
    data_format : "channels_last", which is the only one

    Examples
    --------
    >>> from cnnfast.layers import Conv2D
    >>> Conv2D(32, 3, activation="relu").compute_output_shape((None, 28, 28, 1))
    (None, 26, 26, 32)
    """

    rank, axes, convolve = 4, 2, staticmethod(conv2d)
    gradients = grad.conv2d_input, grad.conv2d_weight

    def node(self, graph: Graph, x: str) -> str:
        return weighted(graph, "conv2d", x, self.name, **self.settings())


class Conv3D(Conv):
    """Convolution of volumes (N, D, H, W, C) with a kernel (T, R, S, C/groups, K); see Conv2D.

    padding is "valid" or "same".

    >>> from cnnfast.layers import Conv3D
    >>> Conv3D(8, 3).compute_output_shape((None, 16, 32, 32, 1))
    (None, 14, 30, 30, 8)
    """

    rank, axes, convolve = 5, 3, staticmethod(conv3d)
    gradients = grad.conv3d_input, grad.conv3d_weight
