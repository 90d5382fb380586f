"""Weights in files: what a model saves and loads, Keras' h5 files, torch's state dicts.

A file's names and shapes are read first. One that does not fit is refused with a list of all that is wrong, and a
weight is changed only where everything fits.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from cnnfast.weights import h5, npz, state_dict, tensors
from cnnfast.weights.places import fill, own_places

if TYPE_CHECKING:
    from cnnfast.model import Model

FilePath = str | os.PathLike[str]

OURS = {".npz": npz, ".safetensors": tensors}
KERAS = {".h5": h5, ".hdf5": h5}
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


def load(model: "Model", filepath: FilePath) -> None:
    """See `Model.load_weights`."""
    path, form = _form(filepath, OURS | KERAS)
    with form.opened(path) as stored:
        if form is h5:
            places = h5.places(model, stored)
        else:
            places = own_places(model)
            if stored.keys().isdisjoint(places) and not any("/" in name for name in stored):
                raise ValueError(f"{path} is not as save_weights writes it: load_torch reads a torch state dict")
        fill(places, stored, f"{path} for {model.label}")


def save(model: "Model", filepath: FilePath) -> None:
    """See `Model.save_weights`."""
    path, form = _form(filepath, OURS)
    form.write(path, {name: place.weight.values for name, place in own_places(model).items()})


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
    if suffix in PICKLES:
        raise ValueError(
            f"filepath must not be a pickle, which runs code as it is read, got {str(path)!r}: in torch, "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors') writes what can be read"
        )
    if suffix not in forms:
        raise ValueError(f"filepath must end in {', '.join(forms)}, got {str(path)!r}")
    return path, forms[suffix]
