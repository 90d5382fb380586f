"""Dense: every output from every input."""

from typing import Any, Unpack

from cnnfast.graph.ir import Graph
from cnnfast.layers.activations import ActivatedLayer, weighted
from cnnfast.layers.base import Options
from cnnfast.layers.sizes import known
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.linear import linear


class Dense(ActivatedLayer):
    """y = activation(x @ kernel + bias) along the last axis, with a kernel (C, K).

    Parameters
    ----------
    units : K
    activation, use_bias, kernel_initializer, bias_initializer : see Conv2D

    Examples
    --------
    >>> from cnnfast.layers import Dense
    >>> layer = Dense(120, activation="tanh")
    >>> layer.ready((None, 400)), layer.count_params()
    ((None, 120), 48120)
    """

    def __init__(
        self, units: int, activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(activation, **options)
        self.units = checks.integer("units", units, minimum=1)
        self.use_bias = checks.boolean("use_bias", use_bias)
        self.initializers = kernel_initializer, bias_initializer

    def build(self, input_shape: Shape) -> None:
        self.kernel = self.add_weight("kernel", (known(input_shape), self.units), self.initializers[0])
        self.bias = self.add_weight("bias", (self.units,), self.initializers[1]) if self.use_bias else None

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

    def run(self, x: Array, out: Array | None = None) -> Array:
        return linear(x, out=out, **self.settings())

    def node(self, graph: Graph, x: str) -> str:
        return weighted(graph, "linear", x, self.name, **self.settings())
