"""Keras' h5 files of weights: those of Keras Applications and `save_weights("x.h5")`, and Keras 3's .weights.h5.

Layers are found by name. Where a file of Keras 2 has other names (Keras Applications changed some after the files were
made), its layers are taken in Keras' order, as Keras itself does, if every shape is right.

Only arrays and the names of layers are read, never a configuration; links to other files are refused.
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast.layers.base import Layer
from cnnfast.ops.arrays import Array
from cnnfast.ops.files import replacing
from cnnfast.weights import keras3
from cnnfast.weights.keras3 import by_place, stored_shape
from cnnfast.weights.places import Place, Sizes, Stored, is_model, reading

if TYPE_CHECKING:
    from cnnfast.model import Model

TEXTS, TEXT_BYTES = 2**16, 2**22
"""Names in an attribute, and their bytes, at most; HDF5 itself allows 64 KB."""


def package() -> Any:
    """h5py."""
    try:
        import h5py
    except ImportError:
        raise ImportError('h5 files need h5py: pip install "cnnfast[weights]"') from None
    return h5py


class Contents(dict[str, Stored]):
    """A file's arrays: "conv1/0" is the first of the layer conv1.

    in_order : whether layers are in Keras' order, as they are in its older files
    named : for Keras 3's places (see keras3.by_place) the layer's name
    """

    in_order = False
    named: Mapping[str, str] = {}

    @property
    def layers(self) -> list[str]:
        """The layers' names."""
        return list(dict.fromkeys(name.rpartition("/")[0] for name in self))


@contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """The file's arrays."""
    library = package()
    with reading(path), library.File(path, "r") as file:
        yield contents(file, path)


def contents(file: Any, path: Path) -> Contents:
    """The arrays of an open file, which is or lies within the one at `path`."""
    root = _child(file, "model_weights") if "model_weights" in file else file  # of a whole model that was saved
    stored = Contents()
    if "layer_names" in root.attrs or "layer_names0" in root.attrs:
        layers = _keras2(root)
        stored.in_order = True
    elif "layers" in root:
        found = list(_keras3(_child(root, "layers"), "", ""))
        layers = ((name, arrays) for _, name, arrays in found)
        stored.named = {place: name for place, name, _ in found}
    else:
        raise ValueError(f"{path} must be a file of weights as Keras writes it: it names no layers")
    for name, arrays in layers:
        for i, array in enumerate(arrays):
            if f"{name}/{i}" in stored:
                raise ValueError(f"{path}: it has two layers {name!r}")
            stored[f"{name}/{i}"] = _stored(array, f"{name}/{i}")
    return stored


def _keras2(root: Any) -> Iterator[tuple[str, list[Any]]]:
    """A group for each layer, whose attribute names its arrays in order."""
    for name in _names(root, "layer_names"):
        group = _child(root, name)
        yield name, [_child(group, weight) for weight in _names(group, "weight_names")]


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names; Keras cuts one that is too long for an attribute into several, numbered ones."""
    parts = [attribute] if attribute in group.attrs else []
    while parts[:1] != [attribute] and f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    return [name for part in parts for name in _texts(group, part)]


def _texts(group: Any, attribute: str) -> list[str]:
    """An attribute, once it is seen to be texts and not more than Keras writes: damage may make it endless."""
    entry = group.attrs.get_id(attribute)
    count = math.prod(entry.shape or ())
    if entry.dtype.kind not in "SO" or count > TEXTS or count * entry.dtype.itemsize > TEXT_BYTES:
        raise ValueError(f"{group.file.filename}: {attribute} of {group.name} must be names")
    texts = np.ravel(group.attrs[attribute])
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _keras3(layers: Any, place: str, prefix: str) -> Iterator[tuple[str, str, list[Any]]]:
    """Of every layer with arrays its place, its name, and the arrays; early Keras 3 tells no names but the places."""
    for key in layers:
        group = _child(layers, key)
        values = _child(group, "vars") if "vars" in group else None
        name = prefix + (_texts(values, "name")[0] if values and "name" in values.attrs else key)
        if "layers" in group:
            yield from _keras3(_child(group, "layers"), f"{place}{key}/", f"{name}/")
        elif values:
            yield f"{place}{key}", name, [_child(values, str(i)) for i in range(len(values))]


def _child(group: Any, path: str) -> Any:
    """What lies at a path within a group, in this very file; `path` comes from the file."""
    library = package()
    for part in path.split("/"):
        if not isinstance(group, library.Group) or not isinstance(group.get(part, getlink=True), library.HardLink):
            raise ValueError(f"{group.file.filename}: {path!r} must be in the file itself")
        group = group[part]
    return group


def _stored(array: Any, name: str) -> Stored:
    if not isinstance(array, package().Dataset) or array.is_virtual or array.external:
        raise ValueError(f"{name} must be an array in the file itself")
    if array.dtype.kind not in "fiu" or "dtype" in array.attrs:
        raise ValueError(f"{name} must be plain numbers, got {array.attrs.get('dtype', array.dtype)}")
    return Stored(tuple(array.shape), partial(_read, array))


def _read(array: Any) -> Array:
    values: Array = array[()]
    return values


def places(model: "Model", stored: Contents) -> dict[str, Place]:
    """Each layer's weights in order, under the name that the file has for the layer."""
    layers = [each for each in by_place(model) if each[2].weights and not is_model(each[2])]
    theirs = stored.layers
    result = _named(layers, counted([name for _, name, _ in layers], theirs))
    if result.keys() == stored.keys():
        return result
    if stored.in_order and len(theirs) == len(layers):
        other = _named(layers, dict(zip((name for _, name, _ in layers), theirs, strict=True)))
    else:
        other = _named(layers, {name: stored.named.get(place, "") for place, name, _ in layers})
    fits = {name: place.shape for name, place in other.items()} == {name: each.shape for name, each in stored.items()}
    return other if fits else result


def _named(layers: Iterable[tuple[str, str, Layer]], theirs: Mapping[str, str]) -> dict[str, Place]:
    return {
        f"{theirs[name]}/{i}": Place(weight, stored_shape(layer, weight), partial(_shaped, weight.shape))
        for _, name, layer in layers
        for i, weight in enumerate(layer.weights)
    }


def _shaped(shape: Sizes, stored: Array) -> Array:
    return stored.reshape(shape)


def write(path: Path, model: "Model") -> None:
    """Write the model's weights at once, as Keras 3 does."""
    library = package()
    with replacing(path) as name, library.File(name, "w") as file:
        keras3.write(file, model)


def counted(ours: Collection[str], theirs: Collection[str]) -> dict[str, str]:
    """Their name for each of ours. Keras counts layers without a name in the process, we in the network.

    >>> counted(["conv2d", "conv2d_1", "fc"], ["conv2d_9", "conv2d_10", "fc"])
    {'conv2d': 'conv2d_9', 'conv2d_1': 'conv2d_10', 'fc': 'fc'}
    """

    def by_base(names: Collection[str]) -> dict[str, list[str]]:
        found: dict[str, list[tuple[int, str]]] = {}
        for name in names:
            base, count = re.fullmatch(r"(.*?)(?:_(\d{1,9}))?", name, re.DOTALL).groups()  # type: ignore[union-attr]
            found.setdefault(base, []).append((int(count or 0), name))
        return {base: [name for _, name in sorted(those)] for base, those in found.items()}

    result = {name: name for name in ours}
    others = by_base(theirs)
    for base, names in by_base(ours).items():
        if len(names) == len(others.get(base, ())):
            result |= dict(zip(names, others[base], strict=True))
    return result
