"""The same numbers in another shape: Flatten, Reshape; and Dropout, which leaves them as they are in inference."""

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from cnnfast.graph.ir import Graph
from cnnfast.layers.base import Backprop, Layer, Options
from cnnfast.layers.initializers import next_seed
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.elementwise import multiply


class View(Layer):
    """What they have in common: nothing is computed, and a plan does not even run them."""

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        _, *sizes = self.compute_output_shape(*shapes)
        return graph.add("reshape", inputs, self.name, shape=(0, *sizes))

    def call(self, x: Array, out: Array | None = None) -> Array:
        shape = self.compute_output_shape(x.shape)
        y = x.reshape(shape)  # type: ignore[arg-type]  # an array's shape has no None
        if out is None:
            return y
        out[...] = y
        return out

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        shape = x.shape

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            return grad_output.reshape(shape) if inputs else None

        return self.call(x), backprop


class Flatten(View):
    """Each input as one row, the last axis fastest.

    >>> from cnnfast.layers import Flatten
    >>> Flatten().compute_output_shape((None, 5, 5, 16))
    (None, 400)
    """

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sizes = input_shape
        return batch, None if None in sizes else math.prod(size for size in sizes if size is not None)


class Reshape(View):
    """Each input in the shape target_shape, one of whose sizes may be -1: what is left.

    >>> from cnnfast.layers import Reshape
    >>> Reshape((7, 7, -1)).compute_output_shape((None, 784))
    (None, 7, 7, 16)
    """

    def __init__(self, target_shape: Any, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        if not isinstance(target_shape, tuple | list):
            raise TypeError(f"target_shape must be a tuple of sizes, got {target_shape!r}")
        self.target_shape = tuple(checks.integer("target_shape", size, minimum=-1) for size in target_shape)
        if self.target_shape.count(-1) > 1 or 0 in self.target_shape:
            raise ValueError(f"target_shape must hold sizes >= 1 and one -1 at most, got {self.target_shape}")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sizes = input_shape
        if None in sizes:
            return batch, *(None if size == -1 else size for size in self.target_shape)
        count, wanted = math.prod(size for size in sizes if size), math.prod(s for s in self.target_shape if s > 0)
        left = count // wanted
        if (-1 not in self.target_shape and count != wanted) or left * wanted != count:
            raise ValueError(f"target_shape {self.target_shape} does not hold the {count} numbers of {input_shape}")
        return batch, *(left if size == -1 else size for size in self.target_shape)


class Dropout(View):
    """In training a share `rate` of the inputs is set to 0, and the rest is scaled up; in inference nothing happens.

    Parameters
    ----------
    rate : from 0 to 1
    seed : of the layer's own generator; None draws what `set_random_seed` leads to

    References
    ----------
    Srivastava et al., "Dropout", JMLR 15, 2014.
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.rate = checks.number("rate", rate)
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate must be from 0 to 1, got {rate!r}")
        self.seed = None if seed is None else checks.integer("seed", seed, minimum=0)
        self._generator = np.random.default_rng(next_seed() if self.seed is None else self.seed)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        if not training or self.rate == 0:
            return super().forward(x)
        scale = np.float32(0 if self.rate == 1 else 1 / (1 - self.rate))
        mask = (self._generator.random(x.shape, np.float32) >= np.float32(self.rate)) * scale

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            return multiply(grad_output, mask) if inputs else None

        return multiply(x, mask), backprop

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape
