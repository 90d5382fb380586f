"""Input: where a network begins."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from cnnfast.layers.base import Layer
from cnnfast.layers.config import arguments
from cnnfast.layers.sizes import input_sizes
from cnnfast.layers.tensor import Shape, Tensor
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array


class InputLayer(Layer):
    """The layer behind an `Input`; it computes nothing."""

    def __init__(self, shape: Any, batch_size: int | None = None, name: str | None = None) -> None:
        super().__init__(name=name)
        batch = None if batch_size is None else checks.integer("batch_size", batch_size, minimum=1)
        self.shape: Shape = (batch, *input_sizes("shape", shape))
        self.connect(())

    def get_config(self) -> dict[str, Any]:
        return {"batch_shape": self.shape, "dtype": "float32", "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        given = dict(config)
        shape = given.pop("batch_shape", None)
        if not isinstance(shape, list | tuple) or not shape:
            raise ValueError(f"batch_shape must be sizes, the batch first, got {shape!r}")
        return cls(shape[1:], shape[0], **arguments(cls, given))

    def compute_output_shape(self, *input_shapes: Any) -> Shape:
        return self.shape

    def call(self, x: Array, out: Array | None = None) -> Array:
        return x


def Input(shape: Any, batch_size: int | None = None, dtype: Any = None, name: str | None = None) -> Tensor:
    """The beginning of a network.

    Parameters
    ----------
    shape : of one input, without the batch: (28, 28, 1); None where any size will do
    batch_size : None for any, which is what summaries show; plans run any batch in either case
    dtype : "float32", which is the only one; `predict` casts what it is given
    name : the input's, by default input_layer

    Returns
    -------
    A Tensor to call layers on

    Raises
    ------
    TypeError, ValueError : shape is not a tuple of sizes >= 1, or dtype another

    Examples
    --------
    >>> import cnnfast
    >>> x = cnnfast.Input((28, 28, 1))
    >>> cnnfast.layers.Conv2D(8, 3)(x).shape
    (None, 26, 26, 8)
    """
    if dtype not in (None, "float32", np.float32):
        raise ValueError(f'dtype must be "float32", got {dtype!r}')
    return InputLayer(shape, batch_size, name).output
