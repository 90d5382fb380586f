"""A layer's weight: a name, a shape, and values that are drawn when they are first asked for."""

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.layers.initializers import Initializer, Values, Zeros, next_seed
from cnnfast.layers.regularizers import Regularizer
from cnnfast.ops.arrays import Array, as_array


class Weight:
    """One array that a layer learned or will learn.

    Its values are drawn late, from a seed that is taken at once: a summary of VGG19 costs nothing, and what a network
    begins with does not depend on which of its weights was looked at first.

    Attributes
    ----------
    name, shape : "kernel", (3, 3, 1, 32)
    trainable : whether training may change it; a batch normalisation's statistics are not
    version : how often it was assigned; plans made before are told from it
    grad : the gradients that were added since it was last set to None: of the values' shape
    regularizer : what training adds to the loss for it; None for nothing
    """

    def __init__(self, name: str, shape: tuple[int, ...], initializer: Initializer, trainable: bool = True) -> None:
        self.name, self.shape, self.trainable = name, shape, trainable
        self.version = 0
        self._initializer, self._seed = initializer, next_seed()
        self._values: Values | None = None
        self.grad: Values | None = None
        self.regularizer: Regularizer | None = None

    @property
    def values(self) -> Values:
        """The values, read-only: a change that a plan could not see must go through `assign`."""
        if self._values is None:
            values = self._initializer(self.shape, np.random.default_rng(self._seed))
            self._keep(self.check(values, "the initializer's values").astype(np.float32))
        assert self._values is not None
        return self._values

    def assign(self, values: Any) -> None:
        """Replace the values, by a copy of these: any floating or integer array of the weight's shape."""
        self._keep(self.check(values).astype(np.float32))
        self.version += 1

    def changing(self) -> "Changing":
        """A context that gives the values to be changed in place, as an optimizer does. Where somebody else holds them
        (a plan, the way back of a layer) a copy is changed instead."""
        if self._values is None or self._holders() > _ALONE:
            self._values = self.values.copy()
        return Changing(self, self._values)

    def _holders(self) -> int:
        return sys.getrefcount(self._values)

    def add_grad(self, grad: Values) -> None:
        """Add a gradient, in the order of the calls; the weight keeps the array it is given."""
        self.grad = grad if self.grad is None else self.grad + grad

    def check(self, values: Any, what: str = "the values") -> Array:
        """values as an array, which must be of numbers and of the weight's shape."""
        array = as_array(what, values)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{what} of {self.name} must be numbers, got dtype {array.dtype}")
        if array.shape != self.shape:
            raise ValueError(f"{what} of {self.name} must have shape {self.shape}, got {array.shape}")
        return array

    def _keep(self, values: Values) -> None:
        values = np.ascontiguousarray(values)
        values.flags.writeable = False
        self._values = values

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __repr__(self) -> str:
        return f"<Weight {self.name} {self.shape}{'' if self.trainable else ', not trainable'}>"


class Changing:
    """Values that may be written within. A generator's context would take as long as a small weight's step."""

    __slots__ = ("_values", "_weight")

    def __init__(self, weight: Weight, values: Values) -> None:
        self._weight, self._values = weight, values

    def __enter__(self) -> Values:
        self._values.flags.writeable = True
        return self._values

    def __exit__(self, *_: object) -> None:
        self._values.flags.writeable = False
        self._weight.version += 1


def _alone() -> int:
    """What `_holders` says of values that nobody else holds."""
    weight = Weight("", (1,), Zeros())
    weight.assign([0.0])
    return weight._holders()


_ALONE = _alone()


def assign_all(weights: Sequence[Weight], values: Sequence[Any]) -> None:
    """Assign values to weights; all must fit before one is changed."""
    arrays = [as_array("weights", each) for each in values]
    if len(arrays) != len(weights):
        raise ValueError(f"weights must be {len(weights)} arrays, got {len(arrays)}")
    for weight, array in zip(weights, arrays, strict=True):
        weight.check(array)
    for weight, array in zip(weights, arrays, strict=True):
        weight.assign(array)
