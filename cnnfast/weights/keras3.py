"""The layout of Keras 3's .weights.h5 files: a group for each layer, named after its class and its place among them.

layers/conv2d/vars/0, layers/conv2d_1/vars/0, layers/sequential/layers/dense/vars/0: a layer's own name, which users
give and Keras counts in a process, stands in an attribute of `vars`. Keras reads by place; so does cnnfast where names
do not tell.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cnnfast.layers.activation import PReLU
from cnnfast.layers.base import Layer
from cnnfast.layers.input import InputLayer
from cnnfast.layers.names import snake_case
from cnnfast.layers.weight import Weight
from cnnfast.weights.places import Sizes, is_model

if TYPE_CHECKING:
    from cnnfast.model import Model


def stored_shape(layer: Layer, weight: Weight) -> Sizes:
    """A weight's shape in Keras' files: its PReLU has an axis for each one that shares a slope."""
    return (1,) * len(layer.shared_axes) + weight.shape if isinstance(layer, PReLU) else weight.shape


def in_keras_order(model: "Model") -> list[Layer]:
    """The layers as `model.layers` of Keras has them: by their distance from the output, then as a walk finds them."""
    if model.kind == "Sequential":
        return model.layers
    depths = dict.fromkeys((tensor.layer for tensor in model.traced), 0)
    for tensor in reversed(model.traced):
        for source in tensor.inputs:
            if source.layer in depths:
                depths[source.layer] = max(depths[source.layer], depths[tensor.layer] + 1)
    found: dict[Layer, int] = {}
    waiting = list(reversed(model.outputs))
    while waiting:
        tensor = waiting.pop()
        if tensor.layer in depths and tensor.layer not in found:
            found[tensor.layer] = len(found)
            waiting += reversed(tensor.inputs)
    return sorted(found, key=lambda layer: (-depths[layer], found[layer]))


def by_place(model: "Model", prefix: str = "", seen: set[Layer] | None = None) -> Iterator[tuple[str, str, Layer]]:
    """Every layer: its place in a file ("sequential/dense_1"), its name ("head/logits"), itself.

    A layer that several networks within share has its place in the first.
    """
    seen = set() if seen is None else seen
    counts: dict[str, int] = {}
    own = {*model.layers}
    for layer in in_keras_order(model):
        if layer not in own and not isinstance(layer, InputLayer):
            continue  # of the network that this one is cut out of
        base = snake_case(layer.kind)
        counts[base] = counts.get(base, -1) + 1
        place = f"{prefix}{base}_{counts[base]}" if counts[base] else f"{prefix}{base}"
        if layer in seen:
            continue
        seen.add(layer)
        yield place, layer.name, layer
        if is_model(layer):
            for inner, name, each in by_place(layer, f"{place}/", seen):  # type: ignore[arg-type]
                yield inner, f"{layer.name}/{name}", each


def write(file: Any, model: "Model") -> None:
    """Into an open, empty h5 file."""
    file.create_group("vars").attrs["name"] = model.name
    file.create_group("layers")
    for place, _, layer in by_place(model):
        group = file.create_group("layers/" + place.replace("/", "/layers/"))
        values = group.create_group("vars")
        values.attrs["name"] = layer.name
        for i, weight in enumerate([] if is_model(layer) else layer.weights):
            values.create_dataset(str(i), data=weight.values.reshape(stored_shape(layer, weight)))
