"""Several inputs into one: Add, Multiply, Concatenate. They are called on a list."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, ClassVar, Unpack

from cnnfast import grad
from cnnfast.graph.ir import Graph
from cnnfast.layers.base import Backprop, Layer, Options
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.elementwise import add, concatenate, multiply
from cnnfast.ops.options import Activation


class Merge(Layer):
    """What they have in common: two inputs or more."""

    def _several(self, input_shapes: tuple[Shape, ...]) -> None:
        if len(input_shapes) < 2:
            raise ValueError(f"it needs a list of two inputs or more, got {len(input_shapes)}")


class Elementwise(Merge):
    """Element by element; a size 1 is repeated, as NumPy does."""

    combine: ClassVar[Callable[..., Array]]

    def compute_output_shape(self, *input_shapes: Shape) -> Shape:
        self._several(input_shapes)
        result = input_shapes[0]
        for shape in input_shapes[1:]:
            if len(shape) != len(result):
                raise ValueError(f"its inputs must have as many dimensions, got shapes {result} and {shape}")
            result = tuple(_broadcast(a, b, (result, shape)) for a, b in zip(result, shape, strict=True))
        return result

    def call(self, *inputs: Array, out: Array | None = None) -> Array:
        combine = type(self).combine
        y = inputs[0]
        for each in inputs[1:-1]:
            y = combine(y, each)
        return combine(y, inputs[-1], out=out)

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        y = inputs[0]
        for each in inputs[1:]:
            y = graph.add(type(self).combine.__name__, [y, each], self.name)
        return y


class Add(Elementwise):
    """The sum of its inputs: a skip connection.

    >>> from cnnfast.layers import Add
    >>> Add().compute_output_shape((None, 56, 56, 64), (None, 56, 56, 64))
    (None, 56, 56, 64)
    """

    combine = staticmethod(add)

    def forward(
        self, *inputs: Array, training: bool = False, activation: Activation = None
    ) -> tuple[Array, Backprop]:
        """See `Layer.forward`; with an activation ("relu" or "relu6") that follows, in the same pass."""
        shapes = [x.shape for x in inputs]
        y = add(reduce(add, inputs[:-1]), inputs[-1], activation=activation)

        def backprop(grad_output: Array, inputs: bool = True) -> tuple[Array, ...] | None:
            if not inputs:
                return None
            g = grad_output if activation is None else grad.activation(grad_output, y, activation)
            return tuple(grad.unbroadcast(g, shape) for shape in shapes)

        return y, backprop


class Multiply(Elementwise):
    """The product of its inputs: a gate."""

    combine = staticmethod(multiply)

    def forward(self, *inputs: Array, training: bool = False) -> tuple[Array, Backprop]:
        factors = inputs

        def backprop(grad_output: Array, inputs: bool = True) -> tuple[Array, ...] | None:
            if not inputs:
                return None
            return tuple(
                grad.unbroadcast(reduce(multiply, [*factors[:i], *factors[i + 1 :]], grad_output), x.shape)
                for i, x in enumerate(factors)
            )

        return self.call(*inputs), backprop


class Concatenate(Merge):
    """Its inputs side by side along one axis, by default the channels'.

    >>> from cnnfast.layers import Concatenate
    >>> Concatenate().compute_output_shape((None, 28, 28, 64), (None, 28, 28, 32))
    (None, 28, 28, 96)
    """

    def __init__(self, axis: int = -1, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.axis = checks.integer("axis", axis, minimum=-8)

    def compute_output_shape(self, *input_shapes: Shape) -> Shape:
        self._several(input_shapes)
        first = input_shapes[0]
        if not -len(first) < self.axis < len(first) or self.axis == 0:
            raise ValueError(f"axis must be one of {first} but the batch's, got {self.axis}")
        at = self.axis % len(first)
        for shape in input_shapes[1:]:
            if len(shape) != len(first) or any(
                a != b for i, (a, b) in enumerate(zip(first, shape, strict=True)) if i not in (0, at) and a and b
            ):
                raise ValueError(f"its inputs must agree but along axis {at}, got shapes {first} and {shape}")
        sizes = [shape[at] for shape in input_shapes]
        total = None if None in sizes else sum(size for size in sizes if size is not None)
        return *first[:at], total, *first[at + 1 :]

    def call(self, *inputs: Array, out: Array | None = None) -> Array:
        return concatenate(inputs, self.axis, out=out)

    def forward(self, *inputs: Array, training: bool = False) -> tuple[Array, Backprop]:
        sizes = [x.shape[self.axis] for x in inputs]

        def backprop(grad_output: Array, inputs: bool = True) -> tuple[Array, ...] | None:
            return grad.concatenate(grad_output, sizes, self.axis) if inputs else None

        return self.call(*inputs), backprop

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return graph.add("concatenate", inputs, self.name, axis=self.axis)


def _broadcast(a: int | None, b: int | None, both: Any) -> int | None:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if a is None or b is None:
        return a or b
    raise ValueError(f"its inputs must have one shape, got {both[0]} and {both[1]}")
