"""Where a file's arrays go: each has a name, a shape in the file, and a way from there into a weight."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnnfast.layers.base import Layer
from cnnfast.layers.weight import Weight, assign_all
from cnnfast.ops.arrays import Array

if TYPE_CHECKING:
    from cnnfast.model import Model

Sizes = tuple[int, ...]

CONFIG_BYTES = 2**23
"""Of a network's configuration in JSON, at most; that of a network of 500 layers has 2**19."""

SHOWN = 10
"""How many names a message lists of each kind of fault."""


class Stored(NamedTuple):
    """An array of a file; `read` reads it, and raises ValueError where it does not hold what it says."""

    shape: Sizes
    read: Callable[[], Array]


class Place(NamedTuple):
    """Where an array goes: its shape in the file, and the values of the weight from it."""

    weight: Weight
    shape: Sizes
    arrange: Callable[[Array], Array] = lambda stored: stored


def fill(places: Mapping[str, Place], stored: Mapping[str, Stored], what: str) -> None:
    """Assign every weight from the array of its place's name; ValueError lists all that does not fit, and none is."""
    faults = {
        "missing": [name for name in places if name not in stored],
        "unexpected": [name for name in stored if name not in places],
        "of another shape": [
            f"{name} {stored[name].shape}, not {place.shape}"
            for name, place in places.items()
            if name in stored and stored[name].shape != place.shape
        ],
    }
    if any(faults.values()):
        told = "; ".join(f"{kind}: {_listed(names)}" for kind, names in faults.items() if names)
        raise ValueError(f"{what}: {told}")
    values = []
    for name, place in places.items():
        array = stored[name].read()
        if array.dtype.kind not in "fiu" or array.shape != place.shape:
            raise ValueError(f"{what}: {name} must be numbers of shape {place.shape}, got {array.dtype} {array.shape}")
        values.append(place.arrange(array))
    assign_all([place.weight for place in places.values()], values)


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def own_places(model: "Model") -> dict[str, Place]:
    """Every weight at its layer's name and its own, "conv2d/kernel"; a model within has its name before its layers'."""
    result: dict[str, Place] = {}
    for prefix, layer in _layers(model, ""):
        for weight in layer.weights:
            name = f"{prefix}{layer.name}/{weight.name}"
            if name in result:
                raise ValueError(f"{layer.label} must have names of its own for its weights, got {weight.name!r} twice")
            result[name] = Place(weight, weight.shape)
    return result


def _layers(model: "Model", prefix: str) -> Iterator[tuple[str, Layer]]:
    for layer in model.layers:
        if is_model(layer):
            yield from _layers(layer, f"{prefix}{layer.name}/")  # type: ignore[arg-type]
        else:
            yield prefix, layer


def is_model(layer: Layer) -> bool:
    """Whether it has layers of its own. (cnnfast.model itself stands above this module.)"""
    return hasattr(layer, "layers")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What a damaged file makes its reader raise becomes a ValueError that names it."""
    if not path.is_file():
        with open(path, "rb"):  # the system's own error: there is none, or it is a folder
            pass
    try:
        yield
    except (ValueError, PermissionError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{path} is damaged: {error}") from error

