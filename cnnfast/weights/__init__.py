"""Weights in files: what a model saves and loads, Keras' h5 and .keras files, torch's state dicts.

A file's names and shapes are read first. One that does not fit is refused with a list of all that is wrong, and a
weight is changed only where everything fits.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cnnfast.ops.arrays import Array
from cnnfast.weights import archive, h5, npz, state_dict, tensors
from cnnfast.weights.places import fill, own_places

if TYPE_CHECKING:
    from cnnfast.model import Model

FilePath = str | os.PathLike[str]

OURS = {".npz": npz, ".safetensors": tensors}
KERAS = {".h5": h5, ".hdf5": h5, ".keras": archive}
WRITTEN = OURS | {".weights.h5": h5}
WHOLE = OURS | {".keras": archive}
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


def load(model: "Model", filepath: FilePath) -> None:
    """See `Model.load_weights`."""
    path, form = _form(filepath, OURS | KERAS)
    with form.opened(path) as stored:
        if isinstance(stored, h5.Contents):
            places = h5.places(model, stored)
        else:
            places = own_places(model)
            if stored.keys().isdisjoint(places) and not any("/" in name for name in stored):
                raise ValueError(f"{path} is not as save_weights writes it: load_torch reads a torch state dict")
        fill(places, stored, f"{path} for {model.label}")


def save(model: "Model", filepath: FilePath) -> None:
    """See `Model.save_weights`."""
    path, form = _form(filepath, WRITTEN)
    if form is h5:
        h5.write(path, model)
    else:
        form.write(path, _named(model))


def save_whole(model: "Model", filepath: FilePath, entry: Mapping[str, Any]) -> None:
    """Weights and the network's configuration in one file; see `Model.save`."""
    path, form = _form(filepath, WHOLE)
    config = json.dumps(entry)
    if form is archive:
        archive.write(path, model, config)
    else:
        form.write(path, _named(model), config)


def load_config(filepath: FilePath) -> Any:
    """The configuration in a whole model's file; ValueError where there is none."""
    path, form = _form(filepath, WHOLE)
    text = form.config(path)
    if text is None:
        raise ValueError(f"{path} holds weights alone: load_weights reads them into a model")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: its configuration must be JSON: {error}") from error


def _named(model: "Model") -> dict[str, Array]:
    return {name: place.weight.values for name, place in own_places(model).items()}


def load_state_dict(
    model: "Model", filepath: FilePath, names: Mapping[str, str], ignored: Sequence[str] = ()
) -> None:  # fmt: skip
    """See `cnnfast.models.load_torch`; names: of torch's modules by the layers', where they are others."""
    path, form = _form(filepath, OURS)
    places = state_dict.places(model, names)
    with form.opened(path) as found:
        stored = {
            name: each for name, each in found.items()
            if name in places or not (name.startswith(tuple(ignored)) or name.endswith(state_dict.UNUSED))
        }  # fmt: skip
        fill(places, stored, f"{path} for {model.label}")


def _form(filepath: FilePath, forms: Mapping[str, ModuleType]) -> tuple[Path, ModuleType]:
    """The path, and the module that knows its format: by its extension."""
    path = Path(filepath)
    suffix = path.suffix.lower()
    if path.name.lower().endswith(".weights.h5") and ".weights.h5" in forms:
        suffix = ".weights.h5"
    if suffix in PICKLES:
        raise ValueError(
            f"filepath must not be a pickle, which runs code as it is read, got {str(path)!r}: in torch, "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors') writes what can be read"
        )
    if suffix not in forms:
        raise ValueError(f"filepath must end in {', '.join(forms)}, got {str(path)!r}")
    return path, forms[suffix]
