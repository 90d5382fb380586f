"""Layers' names: Keras' rule, counted in each network instead of in the process."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnfast.layers.base import Layer


def snake_case(name: str) -> str:
    """Keras' rule from a class to its layers' names.

    >>> snake_case("MaxPooling2D"), snake_case("ReLU")
    ('max_pooling2d', 're_lu')
    """
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def name_layers(layers: Sequence["Layer"], taken: Sequence["Layer"] = ()) -> None:
    """Give unnamed layers Keras' names, counted in this network: conv2d, conv2d_1, ...; names are unique."""
    names = {layer.name for layer in taken}
    for layer in layers:
        if layer.has_name:
            if layer.name in names:
                raise ValueError(f"name must be unique in a network, got two layers {layer.name!r}")
            names.add(layer.name)
    for layer in layers:
        if not layer.has_name:
            base, i = layer.name, 0
            while layer.name in names:
                i += 1
                layer.set_name(f"{base}_{i}")
            layer.set_name(layer.name)
            names.add(layer.name)
