"""What a layer is as far as its weights go."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cnnfast.layers import initializers, regularizers
from cnnfast.layers.weight import Weight, assign_all
from cnnfast.ops.arrays import Array


class Weighted:
    """A thing with weights, some of which training may change."""

    built: bool
    trainable: bool
    """Whether training may change the weights."""
    _weights: list[Weight]

    @property
    def label(self) -> str:
        """How errors call it: `conv2d_1 (Conv2D)`."""
        raise NotImplementedError

    @contextmanager
    def named(self) -> Iterator[None]:
        """Errors raised within say which layer they are of."""
        try:
            yield
        except (ValueError, TypeError) as error:
            kind = ValueError if isinstance(error, ValueError) else TypeError
            if str(error).startswith(self.label):
                raise
            raise kind(f"{self.label}: {error}") from error

    def add_weight(
        self, name: str, shape: tuple[int, ...], initializer: object, trainable: bool = True, regularizer: object = None
    ) -> Weight:
        """Make a weight; `get_weights` lists them in the order in which they were made."""
        weight = Weight(name, shape, initializers.get(f"{name}_initializer", initializer), trainable)
        weight.regularizer = regularizers.get(f"{name}_regularizer", regularizer)
        self._weights.append(weight)
        return weight

    @property
    def weights(self) -> list[Weight]:
        """The weights, in the order in which `build` makes them."""
        return self._weights

    @property
    def trainable_weights(self) -> list[Weight]:
        return [weight for weight in self.weights if self.learns(weight)]

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The weights that training leaves as they are, or changes by other means than gradients."""
        trainable = set(self.trainable_weights)
        return [weight for weight in self.weights if weight not in trainable]

    def learns(self, weight: Weight | None) -> bool:
        """Whether a weight of this layer wants its gradient."""
        return weight is not None and self.trainable and weight.trainable

    @property
    def version(self) -> int:
        """Grows whenever a weight is set."""
        return sum([weight.version for weight in self.weights])

    def count_params(self) -> int:
        """How many numbers the layer's weights hold."""
        if not self.built:
            raise ValueError(f"{self.label} has no weights before it knows its input's shape: build it first")
        return sum(weight.size for weight in self.weights)

    def get_weights(self) -> list[Array]:
        """Copies of the weights, in Keras' order."""
        return [weight.values.copy() for weight in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace all weights, given in the order of `get_weights`; on an error none is changed."""
        with self.named():
            if not self.built:
                raise ValueError("its weights can be set once it knows its input's shape: build it first")
            assign_all(self.weights, weights)
