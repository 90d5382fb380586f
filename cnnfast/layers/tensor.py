"""What a layer gives when it is called while a network is being written: a shape, and where it came from."""

from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnfast.layers.base import Layer

Shape = tuple[int | None, ...]
"""Sizes, the batch first; None where a size is not known yet."""

_serial = count()


class Tensor:
    """The output of a layer in a network that is being written; it has no values.

    Attributes
    ----------
    shape : (None, 28, 28, 1); None is the batch, or any size not known yet
    layer, inputs : the layer that gives it, and what that layer was called on
    training : False where its layer keeps to inference while the network is trained, None where the network says
    serial : tensors count up as they are made, so sorting by it puts a network in an order it can run in
    """

    __slots__ = ("inputs", "layer", "serial", "shape", "training")

    def __init__(
        self, shape: Shape, layer: "Layer", inputs: "tuple[Tensor, ...]" = (), training: bool | None = None
    ) -> None:
        self.shape, self.layer, self.inputs, self.training = shape, layer, inputs, training
        self.serial = next(_serial)

    def __array__(self, *arguments: Any, **keywords: Any) -> Any:
        raise TypeError(f"a Tensor of a network that is being written has no values: {self!r}")

    def __repr__(self) -> str:
        return f"<Tensor {self.shape} of {self.layer.label}>"


def trace(inputs: list[Tensor], outputs: list[Tensor]) -> list[Tensor]:
    """Every tensor from the inputs to the outputs, in an order in which a network can compute them."""
    found = {id(tensor): tensor for tensor in inputs}
    waiting = list(outputs)
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in found:
            continue
        if not tensor.inputs:
            raise ValueError(f"outputs must depend on the inputs alone, and need {tensor.layer.label} as well")
        found[id(tensor)] = tensor
        waiting.extend(tensor.inputs)
    return sorted(found.values(), key=lambda tensor: tensor.serial)
