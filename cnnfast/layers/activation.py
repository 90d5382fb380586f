"""Activations as layers of their own: Activation, ReLU, LeakyReLU, PReLU, ELU, Softmax."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

from cnnfast import grad
from cnnfast.graph.ir import Graph
from cnnfast.layers import activations
from cnnfast.layers.base import Backprop, Layer, Options
from cnnfast.layers.sizes import known
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks
from cnnfast.ops.activations import elu, leaky_relu, prelu, relu, relu6
from cnnfast.ops.arrays import Array
from cnnfast.ops.softmax import softmax


class Elementwise(Layer):
    """What they have in common: the shape stays."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def function(self) -> activations.Function:
        """What it computes, where it is one of the activations that convolutions fuse."""
        raise NotImplementedError(f"{self.label} cannot be trained: {type(self).__name__} does not define forward")

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        function = self.function()
        run = function.run or activations.copy
        y, back = function.forward(lambda fused: x if fused is None else run(x))

        def backprop(grad_output: Array, inputs: bool = True, of_logits: bool = False) -> Array | None:
            if not inputs:
                return None
            return grad_output if of_logits else back(grad_output)

        return y, backprop


class Activation(Elementwise):
    """An activation by its name in Keras, or any function of an array.

    >>> import numpy as np
    >>> from cnnfast.layers import Activation
    >>> Activation("relu")(np.array([-1.0, 2.0], np.float32)).tolist()
    [0.0, 2.0]
    """

    def __init__(self, activation: Any, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def function(self) -> activations.Function:
        return self.activation

    @property
    def last_activation(self) -> str:
        return self.activation.name

    def call(self, x: Array, out: Array | None = None) -> Array:
        return (self.activation.run or activations.copy)(x, out=out)

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return self.activation.node(graph, inputs[0], self.name)


class ReLU(Elementwise):
    """max(x, 0); with max_value 6 it is ReLU6; with negative_slope that slope stays below 0.

    >>> import numpy as np
    >>> from cnnfast.layers import ReLU
    >>> ReLU(max_value=6)(np.array([-1.0, 8.0], np.float32)).tolist()
    [0.0, 6.0]
    """

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.negative_slope = checks.number("negative_slope", negative_slope)
        if max_value not in (None, 6):
            raise ValueError(f"max_value must be None or 6, got {max_value!r}")
        if max_value and self.negative_slope:
            raise ValueError(f"negative_slope must be 0 with a max_value, got {negative_slope!r}")
        self.max_value = max_value

    def function(self) -> activations.Function:
        if self.negative_slope:
            return _leaky(self.negative_slope)
        return activations.NAMED["relu6" if self.max_value else "relu"]

    def call(self, x: Array, out: Array | None = None) -> Array:
        if self.negative_slope:
            return leaky_relu(x, self.negative_slope, out=out)
        return (relu6 if self.max_value else relu)(x, out=out)

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        if self.negative_slope:
            return graph.add("leaky_relu", inputs, self.name, negative_slope=self.negative_slope)
        return graph.add("relu6" if self.max_value else "relu", inputs, self.name)


class LeakyReLU(Elementwise):
    """x, times negative_slope where it is below 0.

    >>> import numpy as np
    >>> from cnnfast.layers import LeakyReLU
    >>> LeakyReLU(0.5)(np.array([-1.0, 2.0], np.float32)).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.3, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.negative_slope = checks.number("negative_slope", negative_slope)

    def function(self) -> activations.Function:
        return _leaky(self.negative_slope)

    def call(self, x: Array, out: Array | None = None) -> Array:
        return leaky_relu(x, self.negative_slope, out=out)

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return graph.add("leaky_relu", inputs, self.name, negative_slope=self.negative_slope)


class PReLU(Elementwise):
    """LeakyReLU whose slope is learned, one for each channel.

    Parameters
    ----------
    alpha_initializer : of the slopes
    shared_axes : every axis but the channels', as the engine has it: (1, 2) for pictures. Keras' default, a slope for
        each pixel, is not offered.

    References
    ----------
    He et al., "Delving deep into rectifiers", arXiv:1502.01852.
    """

    def __init__(self, alpha_initializer: Any = "zeros", shared_axes: Any = None, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.initializer, self.shared_axes = alpha_initializer, shared_axes

    def build(self, input_shape: Shape) -> None:
        shared = tuple(range(1, len(input_shape) - 1))
        if self.shared_axes is not None and tuple(self.shared_axes) != shared:
            raise ValueError(f"shared_axes must be {shared}: one slope for each channel, got {self.shared_axes!r}")
        self.shared_axes = shared
        self.alpha = self.add_weight("alpha", (known(input_shape),), self.initializer)

    def call(self, x: Array, out: Array | None = None) -> Array:
        return prelu(x, self.alpha.values, out=out)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        alpha = self.alpha.values

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            grad_input, grad_alpha = grad.prelu(grad_output, x, alpha)
            if self.learns(self.alpha):
                self.alpha.add_grad(grad_alpha)
            return grad_input if inputs else None

        return prelu(x, alpha), backprop

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return graph.add("prelu", [*inputs, graph.constant(self.alpha.values)], self.name)


class ELU(Elementwise):
    """x, and alpha * (exp(x) - 1) where it is below 0."""

    def __init__(self, alpha: float = 1.0, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.alpha = checks.number("alpha", alpha)

    def function(self) -> activations.Function:
        return activations.Function("elu", ("elu", self.alpha), partial(elu, alpha=self.alpha))

    def call(self, x: Array, out: Array | None = None) -> Array:
        return elu(x, self.alpha, out=out)

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return graph.add("elu", inputs, self.name, alpha=self.alpha)


class Softmax(Elementwise):
    """exp(x) / sum of exp(x) along an axis, the last by default."""

    def __init__(self, axis: int = -1, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.axis = checks.integer("axis", axis, -32)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        y = self.call(x)

        def backprop(grad_output: Array, inputs: bool = True, of_logits: bool = False) -> Array | None:
            if not inputs:
                return None
            return grad_output if of_logits else grad.softmax(grad_output, y, self.axis)

        return y, backprop

    @property
    def last_activation(self) -> str:
        return "softmax" if self.axis == -1 else ""

    def call(self, x: Array, out: Array | None = None) -> Array:
        return softmax(x, self.axis, out=out)

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return graph.add("softmax", inputs, self.name, axis=self.axis)


def _leaky(slope: float) -> activations.Function:
    return activations.Function("leaky_relu", ("leaky_relu", slope), partial(leaky_relu, negative_slope=slope))
