"""Model: layers joined into a network, from inputs to outputs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph
from cnnfast.layers.base import Layer
from cnnfast.layers.input import InputLayer
from cnnfast.layers.names import name_layers, snake_case
from cnnfast.layers.tensor import Shape, Tensor, trace
from cnnfast.layers.weight import Weight, assign_all
from cnnfast.network_plan import NetworkPlan
from cnnfast.ops import arrays, checks, exchange
from cnnfast.ops.arrays import Array
from cnnfast.stored import Stored
from cnnfast.summary import summary
from cnnfast.training.batches import is_iterable, unpacked

PLANS = 2
"""How many sizes of input a model keeps a plan for: each holds a packed copy of the weights."""


class Model(Stored):
    """A network of layers: what lies between some inputs and some outputs. A model is itself a layer of others.

    Parameters
    ----------
    inputs, outputs : a Tensor, or a list of them
    name : by default "functional"

    Raises
    ------
    ValueError : the outputs need an input that is not among the inputs, or two layers have one name
    TypeError : inputs or outputs are not Tensors

    Examples
    --------
    >>> from cnnfast import Input, Model
    >>> from cnnfast.layers import Add, Conv2D
    >>> x = Input((8, 8, 3))
    >>> model = Model(x, Add()([x, Conv2D(3, 3, padding="same")(x)]))
    >>> model.output_shape, model.count_params()
    ((None, 8, 8, 3), 84)
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self._set_graph(_tensors("inputs", inputs), _tensors("outputs", outputs))
        if not trainable:
            self.trainable = False

    def _set_graph(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        self.inputs, self.outputs = inputs, outputs
        self._traced = trace(inputs, outputs)
        self._layers = list(dict.fromkeys(each.layer for each in self._traced if not self._begins(each)))
        name_layers(self._layers)
        self._plans: dict[tuple[Shape, ...], NetworkPlan] = {}
        self._planned_version = -1
        self.given_input_shape = inputs[0].shape
        self.built = True

    def _begins(self, tensor: Tensor) -> bool:
        """Whether the network begins at a tensor that some layer outside of it gives."""
        return any(tensor is each for each in self.inputs) and not isinstance(tensor.layer, InputLayer)

    @property
    def traced(self) -> list[Tensor]:
        """Every tensor of the network, in the order in which they can be computed."""
        return list(self._traced)

    @property
    def layers(self) -> list[Layer]:
        """The layers, in the order in which they were called."""
        return list(self._layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or by its place.

        Raises
        ------
        ValueError : there is none, or neither or both were said
        """
        if (name is None) == (index is None):
            raise ValueError(f"either name or index must be given, got {name!r} and {index!r}")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"index must be that of one of {len(self.layers)} layers, got {index}")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"name must be one of {', '.join(layer.name for layer in self.layers)}, got {name!r}")

    @property
    def kind(self) -> str:
        return "Functional" if type(self) is Model else type(self).__name__

    @property
    def name(self) -> str:
        return self._name or snake_case(self.kind)

    @property
    def input_shape(self) -> Any:
        """The input's shape, or a list of them."""
        return _one([tensor.shape for tensor in self._known().inputs])

    @property
    def output_shape(self) -> Any:
        """The output's shape, or a list of them."""
        return _one([tensor.shape for tensor in self._known().outputs])

    def _known(self) -> "Model":
        if not self.built:
            raise ValueError(
                f"{self.label} does not know its input's shape: give its first layer an input_shape, begin it with an "
                "Input, or call build((None, ...))"
            )
        return self

    @property
    def weights(self) -> list[Weight]:
        """Every layer's weights, in the layers' order; a weight that two layers share comes once."""
        return list(dict.fromkeys(weight for layer in self.layers for weight in layer.weights))

    @property
    def trainable_weights(self) -> list[Weight]:
        if not self.trainable:
            return []
        return list(dict.fromkeys(weight for layer in self.layers for weight in layer.trainable_weights))

    @property
    def trainable(self) -> bool:
        """Whether training may change the weights; setting it sets that of every layer, as in Keras."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = value
        for layer in getattr(self, "_layers", ()):
            layer.trainable = value

    @property
    def version(self) -> int:
        return sum([layer.version for layer in self._layers])

    def compute_output_shape(self, *input_shapes: Shape) -> Any:
        shapes = self._shapes(input_shapes)
        return _one([shapes[id(tensor)] for tensor in self.outputs])

    def connect(self, inputs: tuple[Any, ...], training: bool | None = None) -> Tensor:
        if self.built and len(self.outputs) != 1:
            raise ValueError(f"{self.label} has {len(self.outputs)} outputs, a layer of another model has one")
        return super().connect(inputs, training)

    def _shapes(self, input_shapes: Sequence[Shape]) -> dict[int, Shape]:
        """The shape of every tensor for inputs of these shapes, which must fit those the model was made for."""
        if len(input_shapes) != len(self._known().inputs):
            raise ValueError(f"{self.label} has {len(self.inputs)} inputs, got {len(input_shapes)}")
        found: dict[int, Shape] = {}
        for tensor, shape in zip(self.inputs, input_shapes, strict=True):
            fits = len(shape) == len(tensor.shape) and all(
                a is None or b is None or a == b for a, b in zip(tensor.shape[1:], shape[1:], strict=True)
            )
            if not fits:
                raise ValueError(f"{self.label} takes inputs of shape {tensor.shape}, got {shape}")
            found[id(tensor)] = tuple(shape)
        for tensor in self._traced:
            if id(tensor) not in found:
                found[id(tensor)] = tensor.layer.ready(*(found[id(each)] for each in tensor.inputs))
        return found

    def call(self, *inputs: Array, out: Array | None = None) -> Any:
        """y, one layer's call after the other; `predict` and `plan` are the fast ways."""
        self._shapes([x.shape for x in inputs])
        values = {id(tensor): x for tensor, x in zip(self.inputs, inputs, strict=True)}
        for tensor in self._traced:
            if id(tensor) not in values:
                with tensor.layer.named():
                    values[id(tensor)] = tensor.layer.call(*(values[id(each)] for each in tensor.inputs))
        results = [values[id(tensor)] for tensor in self.outputs]
        if out is None:
            return _one(results)
        out[...] = results[0]
        return out

    def plan(self, *input_shapes: Any) -> NetworkPlan:
        """Make the network ready for inputs of these shapes: every layer planned, every buffer laid out.

        Parameters
        ----------
        input_shapes : for each input its shape with the batch: (1, 32, 32, 1). The batch guides the choice of
            algorithms; the plan runs any.

        Returns
        -------
        A plan: `plan(x, out=None)`; it keeps the weights of now

        Raises
        ------
        ValueError, TypeError : a shape does not fit; the message names the layer

        Examples
        --------
        >>> import numpy as np, cnnfast
        >>> plan = cnnfast.models.LeNet5().plan((1, 32, 32, 1))
        >>> plan(np.zeros((1, 32, 32, 1), np.float32)).shape
        (1, 10)
        """
        shapes = [_plannable(shape) for shape in input_shapes]
        if len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"input_shapes must have one batch, got {shapes}")
        self._shapes(shapes)
        return NetworkPlan(self.graph(*shapes), shapes)

    def graph(self, *input_shapes: Any) -> Graph:
        """The network as a graph, which holds the weights of now.

        >>> import cnnfast
        >>> [node.op for node in cnnfast.models.LeNet5().graph((1, 32, 32, 1)).nodes][:4]
        ['conv2d', 'avg_pool2d', 'conv2d', 'avg_pool2d']
        """
        names = [f"input:{i}" for i in range(len(self.inputs))]
        graph = Graph(names, [])
        graph.outputs = self._emit(graph, names, input_shapes)
        return graph

    def _emit(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> list[str]:
        """Add every layer to a graph; the names of the outputs."""
        known = self._shapes(shapes)
        names = {id(tensor): name for tensor, name in zip(self.inputs, inputs, strict=True)}
        for tensor in self._traced:
            if id(tensor) not in names:
                with tensor.layer.named():
                    given = [names[id(each)] for each in tensor.inputs]
                    names[id(tensor)] = tensor.layer.nodes(graph, given, [known[id(each)] for each in tensor.inputs])
        return [names[id(tensor)] for tensor in self.outputs]

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return self._emit(graph, inputs, shapes)[0]

    def predict(self, x: Any, batch_size: int = 32, verbose: object = 0) -> Any:
        """y of many images, batch_size of them at a time.

        Parameters
        ----------
        x : (N, ...) of numbers, cast to float32; a list where the model has several inputs; or an iterable of batches,
            x or (x, y) as `fit` takes them
        batch_size : how many images run at once: more take more memory
        verbose : for programs that give it; nothing is printed

        Returns
        -------
        y : (N, ...) float32; a list where the model has several outputs. An image's bits do not depend on its batch.

        Raises
        ------
        ValueError, TypeError : x does not fit
        MemoryError : no memory for the output or the buffers

        Examples
        --------
        >>> import numpy as np, cnnfast
        >>> cnnfast.models.LeNet5().predict(np.zeros((100, 32, 32, 1))).shape
        (100, 10)
        """
        size = checks.integer("batch_size", batch_size, minimum=1)
        if is_iterable(x):
            return self._joined([self.predict_on_batch(unpacked(each)[0]) for each in x])
        inputs = [_numbers(each) for each in (x if isinstance(x, list | tuple) and len(self._begin(x)) > 1 else [x])]
        if not self.built:
            self.prepare(*(each.shape for each in inputs))
        if len({each.shape[:1] for each in inputs}) > 1:
            raise ValueError(f"x must hold as many images for each input, got shapes {[each.shape for each in inputs]}")
        plan = self._prepared([each.shape for each in inputs], size)
        n = len(inputs[0])
        if n <= size:
            return exchange.like(x, plan(*inputs))
        joined = self._joined([plan(*(each[i : i + size] for each in inputs)) for i in range(0, n, size)])
        return exchange.like(x, joined)

    def _joined(self, parts: Sequence[Any]) -> Any:
        if not parts:
            raise ValueError("x must give a batch, got an iterable of none")
        if len(self.outputs) == 1:
            return np.concatenate(parts)
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _begin(self, x: Any) -> Sequence[Any]:
        return self.inputs if self.built else [x]

    def _prepared(self, shapes: Sequence[Any], batch_size: int) -> NetworkPlan:
        """The plan for images of these shapes with the weights of now; one is kept for each of the last few shapes."""
        version = self.version
        if version != self._planned_version:
            self._plans, self._planned_version = {}, version
        key = tuple([shape[1:] for shape in shapes])
        plan = self._plans.get(key)
        if plan is None:
            n = max(1, min(batch_size, shapes[0][0] if shapes[0] else 1))
            plan = self.plan(*((n, *rest) for rest in key))
            while len(self._plans) >= PLANS:
                del self._plans[next(iter(self._plans))]
            self._plans[key] = plan
        return plan

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace all weights, given in the order of `get_weights`; on an error none is changed."""
        with self.named():
            assign_all(self._known().weights, weights)

    def count_params(self) -> int:
        """How many numbers the weights hold."""
        return sum(weight.size for weight in self._known().weights)

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print the layers, their output shapes and their parameters: Keras' table."""
        print_fn(summary(self))


def _tensors(name: str, value: Any) -> list[Tensor]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not items or not all(isinstance(item, Tensor) for item in items):
        raise TypeError(f"{name} must be a Tensor or a list of them, got {value!r}")
    return items


def _plannable(shape: Any) -> Shape:
    if not isinstance(shape, tuple | list) or not shape:
        raise TypeError(f"input_shape must be a tuple of sizes, the batch first, got {shape!r}")
    sizes = tuple(checks.integer("input_shape", size, minimum=0) for size in shape)
    if 0 in sizes[1:]:
        raise ValueError(f"input_shape must have no empty dimension but N, got {sizes}")
    return sizes


def _numbers(value: Any) -> Array:
    array = arrays.as_array("x", value)
    if array.dtype == np.float32:
        return array
    if array.dtype.kind not in "fiub":
        raise TypeError(f"x must hold numbers, got dtype {array.dtype}")
    return array.astype(np.float32)


def _one(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items
