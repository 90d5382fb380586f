"""Convolutions along one, two or three axes, channels last: Conv1D, Conv2D, Conv3D."""

from typing import Any, ClassVar, Unpack

from cnnfast.graph.ir import Graph
from cnnfast.layers import window
from cnnfast.layers.activations import ActivatedLayer, weighted
from cnnfast.layers.base import Options
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

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: Any = "valid", *, data_format: Any = None,
        dilation_rate: Any = 1, groups: int = 1, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", **options: Unpack[Options],
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

    def _padding(self, padding: Any) -> window.Padding:
        return window.padding(padding, self.axes)

    def build(self, input_shape: Shape) -> None:
        channels = known(input_shape)
        if channels % self.groups:
            raise ValueError(f"groups must divide the input's {channels} channels, got {self.groups}")
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight("kernel", shape, self.initializers[0])
        self.bias = self.add_weight("bias", (self.filters,), self.initializers[1]) if self.use_bias else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sizes, _ = input_shape
        spatial = window.output_sizes(
            shapes.conv_size, sizes, self.kernel_size, self.strides, self.padding, self.dilation_rate
        )
        return batch, *spatial, self.filters

    def settings(self) -> dict[str, Any]:
        """The op's arguments but x and out."""
        one = self.axes == 1
        return {
            "weight": self.kernel.values,
            "bias": self.bias.values if self.bias else None,
            "stride": self.strides[0] if one else self.strides,
            "padding": self.padding if isinstance(self.padding, str) or not one else self.padding[0],
            "dilation": self.dilation_rate[0] if one else self.dilation_rate,
            "groups": self.groups,
            "activation": self.activation.fused,
        }


class Conv1D(Conv):
    """Convolution of sequences (N, L, C) with a kernel (S, C/groups, K); see Conv2D.

    padding is "valid", "same" or "causal": all of it before the sequence, so that no output reads what comes later.

    >>> from cnnfast.layers import Conv1D
    >>> Conv1D(8, 3, padding="same").compute_output_shape((None, 100, 4))
    (None, 100, 8)
    """

    rank, axes = 3, 1

    def _padding(self, padding: Any) -> window.Padding:
        if isinstance(padding, str) and padding.lower() == "causal":
            return ((shapes.dilated(self.kernel_size[0], self.dilation_rate[0]) - 1, 0),)
        return super()._padding(padding)

    def run(self, x: Array, out: Array | None = None) -> Array:
        return conv1d(x, out=out, **self.settings())


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
    data_format : "channels_last", which is the only one

    Examples
    --------
    >>> from cnnfast.layers import Conv2D
    >>> Conv2D(32, 3, activation="relu").compute_output_shape((None, 28, 28, 1))
    (None, 26, 26, 32)
    """

    rank, axes = 4, 2

    def run(self, x: Array, out: Array | None = None) -> Array:
        return conv2d(x, out=out, **self.settings())

    def node(self, graph: Graph, x: str) -> str:
        return weighted(graph, "conv2d", x, self.name, **self.settings())


class Conv3D(Conv):
    """Convolution of volumes (N, D, H, W, C) with a kernel (T, R, S, C/groups, K); see Conv2D.

    padding is "valid" or "same".

    >>> from cnnfast.layers import Conv3D
    >>> Conv3D(8, 3).compute_output_shape((None, 16, 32, 32, 1))
    (None, 14, 30, 30, 8)
    """

    rank, axes = 5, 3

    def run(self, x: Array, out: Array | None = None) -> Array:
        return conv3d(x, out=out, **self.settings())
