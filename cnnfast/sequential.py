"""Sequential: a network that is a chain of layers."""

from collections.abc import Iterable
from typing import Any

from cnnfast.layers.base import Layer
from cnnfast.layers.input import Input, InputLayer
from cnnfast.layers.names import name_layers
from cnnfast.layers.tensor import Shape, Tensor
from cnnfast.model import Model


class Sequential(Model):
    """Layers, each called on what the one before gives.

    Parameters
    ----------
    layers : the first may be an Input, or have an input_shape; else the network waits for `build` or its first data
    name : by default "sequential"

    Examples
    --------
    >>> from cnnfast import Sequential
    >>> from cnnfast.layers import Conv2D, Dense, Flatten
    >>> model = Sequential()
    >>> model.add(Conv2D(32, kernel_size=(3, 3), activation="relu", input_shape=(28, 28, 1)))
    >>> model.add(Flatten())
    >>> model.add(Dense(10, activation="softmax"))
    >>> model.output_shape, model.count_params()
    ((None, 10), 216650)
    """

    def __init__(self, layers: Iterable[Any] = (), name: str | None = None, trainable: bool = True) -> None:
        Layer.__init__(self, name=name, trainable=trainable)
        self._layers = []
        for layer in layers:
            self.add(layer)
        if not trainable:
            self.trainable = False

    def add(self, layer: Any) -> None:
        """Put a layer at the end.

        Raises
        ------
        ValueError : it does not take what the layer before it gives, or has another's name; the network is as before
        TypeError : it is not a layer
        """
        if isinstance(layer, Tensor) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if not isinstance(layer, Layer):
            raise TypeError(f"layer must be a cnnfast.layers.Layer, got {layer!r}")
        if isinstance(layer, InputLayer):
            self._begin_at(layer.output)
            return
        if not self._layers and not self.built and layer.given_input_shape is not None:
            self._begin_at(Input(layer.given_input_shape[1:]))
        named = layer.has_name
        name_layers([layer], self._layers)
        try:
            output = layer(self.outputs[0]) if self.built else None
        except (ValueError, TypeError):
            if not named:
                layer.set_name(None)
            raise
        self._layers.append(layer)
        if output is not None:
            self._extend(output)

    def pop(self) -> Layer:
        """Take the last layer away, and give it: to put another head on a network."""
        if not self._layers:
            raise ValueError(f"{self.label} has no layers")
        layer = self._layers.pop()
        if self.built:
            self._extend(self.outputs[0].inputs[0])
        return layer

    def build(self, *input_shapes: Any) -> None:
        """Make every layer's weights for inputs of this shape, the batch first: (None, 28, 28, 1)."""
        (shape,) = input_shapes
        if self.built:
            self._shapes([shape])
            return
        layers, self._layers = self._layers, []
        self._begin_at(Input(tuple(shape[1:])))
        try:
            for layer in layers:
                self.add(layer)
        except (ValueError, TypeError):
            self._layers, self.built = layers, False
            raise

    def prepare(self, *input_shapes: Shape) -> None:
        if not self.built and len(input_shapes) == 1:
            self.build(*input_shapes)

    def _begin_at(self, tensor: Tensor) -> None:
        if self._layers or self.built:
            raise ValueError(f"an Input must be the first of {self.label}, which has begun already")
        self._extend(tensor, [tensor])

    def _extend(self, output: Tensor, inputs: list[Tensor] | None = None) -> None:
        layers = self._layers
        self._set_graph(inputs or self.inputs, [output])
        self._layers = layers
