"""What every layer is: a name, weights, a shape rule, what it computes, and the way back."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypedDict, Unpack

import numpy as np

from cnnfast.graph.ir import Graph, Spec
from cnnfast.layers.configured import Configured
from cnnfast.layers.names import snake_case
from cnnfast.layers.sizes import batched
from cnnfast.layers.tensor import Shape, Tensor
from cnnfast.layers.weighted import Weighted
from cnnfast.ops import checks, exchange
from cnnfast.ops.arrays import Array, as_array

Runner = Callable[..., Array]
"""run(*inputs, out=y): a layer made ready for inputs of one shape."""

Backprop = Callable[..., Any]
"""backprop(grad_output, inputs=True): adds to the weights' gradients, and gives the input's gradient: a tuple of them
where there are several inputs, None where `inputs` is False because nobody asks for it."""

AXES = {2: "(N, C)", 3: "(N, L, C)", 4: "(N, H, W, C)", 5: "(N, D, H, W, C)"}


class Options(TypedDict, total=False):
    """The keywords that every layer takes."""

    name: str | None
    input_shape: Sequence[int | None] | None
    trainable: bool


class Layer(Configured, Weighted):
    """A step of a network. Called on a `Tensor` it takes its place in a network, called on an array it computes.

    A layer of your own defines `compute_output_shape` and `call`; `build` where it has weights, `forward` where it is
    to be trained, and `plan` where something can be made ready once for many runs.

    Parameters
    ----------
    name : unique in a network; a network gives its unnamed layers Keras' names: conv2d, conv2d_1, ...
    input_shape : the shape of one input, without the batch: on the first layer of a Sequential, instead of an Input
    trainable : whether training may change the weights
    """

    rank: ClassVar[int | None] = None
    """How many dimensions an input has, the batch among them; None: any number."""

    def __init__(self, **options: Unpack[Options]) -> None:
        for given in options.keys() - Options.__annotations__.keys():
            raise TypeError(f"{type(self).__name__} has no argument {given!r}")
        self._name = options.get("name")
        if self._name is not None and not isinstance(self._name, str):
            raise TypeError(f"name must be a string, got {self._name!r}")
        self.given_input_shape = batched(options.get("input_shape"))
        self.trainable = checks.boolean("trainable", options.get("trainable", True))
        self.built = False
        self._weights = []
        self._tensors: list[Tensor] = []
        self._channels: list[Shape] = []  # of the inputs that it was built for

    # What a layer defines.

    def build(self, *input_shapes: Any) -> None:
        """Make the weights for inputs of these shapes (with the batch); called once."""

    def compute_output_shape(self, *input_shapes: Any) -> Shape:
        """The output's shape from the inputs': the batch first, None where a size is unknown.

        >>> from cnnfast.layers import MaxPooling2D
        >>> MaxPooling2D(2).compute_output_shape((None, 28, 28, 8))
        (None, 14, 14, 8)
        """
        raise NotImplementedError(f"{type(self).__name__} must define compute_output_shape")

    def call(self, *inputs: Any, **keywords: Any) -> Array:
        """y of these inputs, as the layer computes it in inference; `out=` is where to write it."""
        raise NotImplementedError(f"{type(self).__name__} must define call")

    def forward(self, *inputs: Any, **keywords: Any) -> tuple[Any, Backprop]:
        """y of these inputs, and the way back: `backprop(grad_output)` gives the input's gradient.

        Parameters
        ----------
        inputs : arrays, as `call` takes them
        training : a keyword, by default False: whether the layer behaves as in training (dropout drops, batch
            normalization takes the batch's statistics) or as in inference

        Returns
        -------
        y, backprop : backprop(grad_output) adds the gradients of the trainable weights to their `grad` and returns
            grad_input; backprop(grad_output, inputs=False) does not compute grad_input
        """
        raise NotImplementedError(f"{self.label} cannot be trained: {type(self).__name__} does not define forward")

    @property
    def last_activation(self) -> str:
        """The activation that the layer ends in, by Keras' name, where its backprop takes of_logits=True: a gradient of
        what goes into that activation. A crossentropy knows it better than the way back through a softmax does."""
        return ""

    def plan(self, *input_shapes: Any) -> Runner:
        """run(*inputs, out=y), made ready for inputs of these shapes in any batch, with the weights of now."""
        return self.call

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        """Add to a graph what the layer computes of these values, whose shapes are those; the name of what it gives.

        By default `plan` is called, into which no pass of the graph looks.
        """
        return graph.add("call", inputs, self.name, run=self.plan(*shapes), spec=self._spec)

    def _spec(self, *specs: Spec) -> Spec:
        shape: Any = self.compute_output_shape(*(spec.shape for spec in specs))
        return Spec(shape, np.dtype(np.float32))

    # What every layer has.

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """The layer on a Tensor (or a list of them, where it takes several), or on an array.

        With training=True it behaves as in training (see `forward`). On a Tensor training=False says that the layer
        keeps to inference there even while the network is trained; None leaves it to the network.
        """
        given = tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
        if any(isinstance(each, Tensor) for each in given):
            return self.connect(given, training)
        arrays = [as_array("x", each) for each in given]
        with self.named():
            self.ready(*(each.shape for each in arrays))
            y = self.forward(*arrays, training=True)[0] if training else self.call(*arrays)
        return exchange.like(given, y)

    def connect(self, inputs: tuple[Any, ...], training: bool | None = None) -> Tensor:
        """Take a place in a network that is being written."""
        for each in inputs:
            if not isinstance(each, Tensor):
                raise TypeError(f"{self.label}: every input must be a Tensor where one is, got {type(each).__name__}")
        tensor = Tensor(self.ready(*(each.shape for each in inputs)), self, inputs, training)
        self._tensors.append(tensor)
        return tensor

    def ready(self, *input_shapes: Shape) -> Shape:
        """Check the inputs' shapes, build if that is still to be done, and give the output's shape."""
        with self.named():
            self.prepare(*input_shapes)
            return self.compute_output_shape(*input_shapes)

    def prepare(self, *input_shapes: Shape) -> None:
        """Check the inputs' dimensions and channels, and build if that is still to be done."""
        for shape in input_shapes:
            if self.rank is not None and len(shape) != self.rank:
                raise ValueError(f"its input must have {self.rank} dimensions {AXES[self.rank]}, got shape {shape}")
        if not self.built:
            try:
                self.build(*input_shapes)
                self.compute_output_shape(*input_shapes)
            except (ValueError, TypeError):
                self._weights = []  # it may yet be called on an input that it takes
                raise
            self._channels = [shape[-1:] for shape in input_shapes]
            self.built = True
        elif self._weights:
            for shape, channels in zip(input_shapes, self._channels, strict=False):
                if shape[-1] is not None and shape[-1:] != channels:
                    raise ValueError(f"its weights are for inputs of {channels[0]} channels, got shape {shape}")

    @property
    def name(self) -> str:
        """The name given; else the class's in snake_case, as Keras writes it, until a network counts it."""
        return self._name or snake_case(type(self).__name__)

    @property
    def has_name(self) -> bool:
        return self._name is not None

    def set_name(self, name: str | None) -> None:
        """Networks name the layers that their users did not."""
        self._name = name

    @property
    def label(self) -> str:
        """How errors call it: `conv2d_1 (Conv2D)`."""
        return f"{self.name} ({self.kind})"

    @property
    def kind(self) -> str:
        return type(self).__name__

    @property
    def input(self) -> Tensor | list[Tensor]:
        """What the layer was called on in the network it stands in."""
        inputs = self._only().inputs
        return inputs[0] if len(inputs) == 1 else list(inputs)

    @property
    def output(self) -> Tensor:
        """What the layer gives in the network it stands in: an output for a Model of features."""
        return self._only()

    def _only(self) -> Tensor:
        if len(self._tensors) != 1:
            raise AttributeError(
                f"{self.label} was called {len(self._tensors)} times, so it has no one input or output"
            )
        return self._tensors[0]

    def __repr__(self) -> str:
        return f"<{self.label}>"
