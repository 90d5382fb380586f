"""Keras 3's .keras files: a zip of metadata.json, config.json and model.weights.h5, not compressed."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cnnfast.ops.files import replacing
from cnnfast.ops.runtime import __version__
from cnnfast.weights import h5, keras3
from cnnfast.weights.npz import member
from cnnfast.weights.places import CONFIG_BYTES, reading

if TYPE_CHECKING:
    from cnnfast.model import Model

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
KERAS_VERSION = "3.15.1"
"""Whose form is written."""
EXPANSION = 100
"""How much longer than the archive the weights may be, where somebody compressed it: Keras' own limit."""


@contextmanager
def opened(path: Path) -> Iterator[h5.Contents]:
    """The file's arrays."""
    library = h5.package()
    with reading(path), zipfile.ZipFile(path) as archive:
        whole = io.BytesIO(member(archive, WEIGHTS, EXPANSION * path.stat().st_size))
        with library.File(whole, "r") as file:
            yield h5.contents(file, path)


def config(path: Path) -> bytes:
    """The network's configuration."""
    with reading(path), zipfile.ZipFile(path) as archive:
        return member(archive, CONFIG, CONFIG_BYTES)


def write(path: Path, model: "Model", config: str) -> None:
    """Write the file at once."""
    library = h5.package()
    weights = io.BytesIO()
    with library.File(weights, "w") as file:
        keras3.write(file, model)
    metadata = json.dumps({"keras_version": KERAS_VERSION, "cnnfast_version": __version__})
    with replacing(path) as name, zipfile.ZipFile(name, "w") as archive:
        for part, content in ((METADATA, metadata.encode()), (CONFIG, config.encode()), (WEIGHTS, weights.getbuffer())):
            with archive.open(zipfile.ZipInfo(part), "w", force_zip64=True) as file:  # one date: a model is one file
                file.write(content)
