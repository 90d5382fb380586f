"""Activations by Keras' names: which of them a convolution takes in its own run, and which follow it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cnnfast import grad
from cnnfast.graph.ir import Graph
from cnnfast.graph.table import same
from cnnfast.layers.base import Backprop, Layer, Runner
from cnnfast.layers.weight import Weight
from cnnfast.ops import checks, options
from cnnfast.ops.activations import elu, hardsigmoid, hardswish, leaky_relu, relu, relu6, selu
from cnnfast.ops.arrays import Array
from cnnfast.ops.gates import gelu, mish, sigmoid, silu, softplus, tanh
from cnnfast.ops.grad.activations import FROM_OUTPUT
from cnnfast.ops.softmax import log_softmax, softmax


@dataclass(frozen=True)
class Function:
    """An activation.

    fused: what the `activation` argument of a convolution calls it; None where it has to run by itself
    run: y = run(x, out=None)
    """

    name: str
    fused: options.Activation = None
    run: Callable[..., Array] | None = None

    def node(self, graph: Graph, x: str, name: str) -> str:
        """Add it to a graph as an op of its own."""
        if self.run is None:
            return graph.add("identity", [x], name)
        if self.fused is None:
            if self.name in PROBABILITIES:
                return graph.add(self.name, [x], name, axis=-1)
            return graph.add("call", [x], name, run=self.run, spec=same)
        if isinstance(self.fused, str):
            return graph.add(self.fused, [x], name)
        op, parameter = self.fused
        attributes: dict[str, Any] = {PARAMETERS[op]: parameter}
        return graph.add(op, [x], name, **attributes)

    def forward(self, linear: Callable[[options.Activation], Array]) -> tuple[Array, Callable[[Array], Array]]:
        """y, and the way back through the activation alone, of a layer that runs `linear(what it fuses)`."""
        if self.run is None:
            return linear(None), _straight
        fused = self.fused
        if fused is None:
            y = self.run(linear(None))
            back = PROBABILITIES.get(self.name, self._unknown)
            return y, lambda grad_output: back(grad_output, y)
        if (fused if isinstance(fused, str) else fused[0]) in FROM_OUTPUT:
            y = linear(fused)
            return y, lambda grad_output: grad.activation(grad_output, y, fused)
        x = linear(None)
        return self.run(x), lambda grad_output: grad.activation(grad_output, x, fused)

    def _unknown(self, grad_output: Array, y: Array) -> Array:
        raise ValueError(f"activation must be one whose gradient is known to be trained, got {self.name}")

    @property
    def follows(self) -> bool:
        """Whether it has to run by itself."""
        return self.run is not None and self.fused is None


PARAMETERS = {"leaky_relu": "negative_slope", "elu": "alpha"}
"""What the ops call the number that stands beside their name in `activation=("elu", 0.5)`."""
LEAKY_SLOPE = 0.2
"""Of Keras' activation "leaky_relu"; its layer LeakyReLU has 0.3, torch and the functional API 0.01."""

LINEAR = Function("linear")
PROBABILITIES: dict[str, Callable[[Array, Array], Array]] = {
    "softmax": lambda grad_output, y: grad.softmax(grad_output, y),
    "log_softmax": lambda grad_output, y: grad.log_softmax(grad_output, y),
}
"""The way back through those that no op fuses, from their output."""


def _straight(grad_output: Array) -> Array:
    return grad_output


def _table() -> dict[str, Function]:
    slope = partial(leaky_relu, negative_slope=LEAKY_SLOPE)
    rows = [
        LINEAR,
        Function("relu", "relu", relu), Function("relu6", "relu6", relu6),
        Function("leaky_relu", ("leaky_relu", LEAKY_SLOPE), slope),
        Function("sigmoid", "sigmoid", sigmoid), Function("tanh", "tanh", tanh),
        Function("gelu", "gelu", gelu), Function("silu", "silu", silu),
        Function("hard_silu", "hardswish", hardswish),
        Function("elu", "elu", elu), Function("selu", "selu", selu), Function("mish", "mish", mish),
        Function("softplus", "softplus", softplus), Function("hard_sigmoid", "hardsigmoid", hardsigmoid),
        Function("softmax", run=softmax),
        Function("log_softmax", run=log_softmax),
    ]  # fmt: skip
    table = {row.name: row for row in rows}
    return table | {"swish": table["silu"], "hard_swish": table["hard_silu"]}


NAMED = _table()


def get(value: Any) -> Function:
    """The activation that an argument asks for: a name, None, or a function of an array.

    >>> get("relu").fused, get(None).name, get("softmax").follows
    ('relu', 'linear', True)
    """
    if value is None:
        return LINEAR
    if callable(value):
        name = getattr(value, "__name__", "activation")
        return Function(f"{name}()", run=_writing_out(value))  # no name of ours, whatever it is called
    return NAMED[checks.choice("activation", value, NAMED)]


def _writing_out(function: Callable[[Array], Array]) -> Callable[..., Array]:
    """A user's function of an array, with `out`."""

    def run(x: Array, out: Array | None = None) -> Array:
        y = function(x)
        if out is None:
            return y
        out[...] = y
        return out

    return run


class ActivatedLayer(Layer):
    """A layer that ends in an activation: within its own run where the engine fuses it, else in a run that follows."""

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activation = get(activation)

    def run(self, x: Array, out: Array | None = None, **changed: Any) -> Array:
        """The layer with what is fused of its activation, or with another `activation`: each of its layers defines
        this."""
        raise NotImplementedError

    def learn(self, x: Array, activation: options.Activation) -> Array:
        """`run` with this activation, for weights that change with every call: nothing is made ready for many."""
        return self.run(x, activation=activation)

    def backward(self, x: Array) -> Backprop:
        """The way back from before the activation: each of its layers defines this."""
        raise NotImplementedError(f"{self.label} cannot be trained: {type(self).__name__} does not define backward")

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        back = self.backward(x)
        y, before = self.activation.forward(lambda fused: self.learn(x, fused))

        def backprop(grad_output: Array, inputs: bool = True, of_logits: bool = False) -> Array | None:
            result: Array | None = back(grad_output if of_logits else before(grad_output), inputs)
            return result

        return y, backprop

    @property
    def last_activation(self) -> str:
        return self.activation.name

    def call(self, x: Array, out: Array | None = None) -> Array:
        if not self.activation.follows:
            return self.run(x, out)
        assert self.activation.run is not None
        return self.activation.run(self.run(x), out=out)

    def plan(self, *input_shapes: Any) -> Runner:
        return self.run

    def node(self, graph: Graph, x: str) -> str:
        """Add the layer to a graph with what is fused of its activation."""
        raise NotImplementedError

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        alone = type(self).node is ActivatedLayer.node
        y = super().nodes(graph, inputs, shapes) if alone else self.node(graph, inputs[0])
        return self.activation.node(graph, y, self.name) if self.activation.follows else y


def copy(x: Array, out: Array | None = None) -> Array:
    """The linear activation as a run of its own."""
    if out is None:
        return x.copy()
    out[...] = x
    return out


def weighted(graph: Graph, op: str, x: str, name: str, *, weight: Array, bias: Array | None, **attributes: Any) -> str:
    """Add an op of x with constant weights and, where there is one, a bias."""
    inputs = [x, graph.constant(weight, f"{name}.weight")]
    if bias is not None:
        inputs.append(graph.constant(bias, f"{name}.bias"))
    return graph.add(op, inputs, name, **attributes)


def add_bias_grad(layer: Layer, bias: Weight | None, grad_output: Array) -> None:
    """Add a bias' gradient, the sum over all axes but the channels', where training may change it."""
    if bias is not None and layer.learns(bias):
        bias.add_grad(grad.bias(grad_output))


def add_weight_grads(
    layer: Layer, kernel: Weight, bias: Weight | None, grad_output: Array, of_weight: Callable[..., Array]
) -> None:
    """Add gradients: a kernel's, which `of_weight(grad_bias=...)` gives, and a bias', in one pass if both learn."""
    beside = None
    if bias is not None and layer.learns(kernel) and layer.learns(bias):
        beside = np.empty(bias.shape, grad_output.dtype)
    if layer.learns(kernel):
        kernel.add_grad(of_weight(grad_bias=beside))
    if bias is not None and beside is not None:
        bias.add_grad(beside)
    else:
        add_bias_grad(layer, bias, grad_output)
