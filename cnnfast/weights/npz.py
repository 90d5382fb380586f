"""NumPy's .npz: a zip of arrays. Objects are never unpickled."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.ops.arrays import Array
from cnnfast.ops.files import replacing
from cnnfast.weights.places import CONFIG_BYTES, Stored, reading

SUFFIX = ".npy"
CONFIG = "model.json"
"""The member that makes a file of weights a whole model's."""


@contextmanager
def opened(path: Path) -> Iterator[dict[str, Stored]]:
    """The file's arrays by name: headers alone are read, so an array of a wrong shape is never unpacked."""
    with reading(path), zipfile.ZipFile(path) as archive:
        yield {
            name.removesuffix(SUFFIX): Stored(_shape(archive, name), partial(_read, archive, name))
            for name in archive.namelist()
            if name != CONFIG
        }


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """From the header; ValueError where the member is not an array of numbers."""
    form: Any = np.lib.format
    with archive.open(name) as member:
        version = form.read_magic(member)
        headers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
        if version not in headers:
            raise ValueError(f"{archive.filename}: {name} is of NumPy's format {version}, which holds no plain numbers")
        shape, _, dtype = headers[version](member)
    if dtype.kind not in "fiu":
        raise ValueError(f"{archive.filename}: {name} must be numbers, got dtype {dtype}")
    return tuple(shape)


def _read(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as member:
        array: Array = np.lib.format.read_array(member, allow_pickle=False)
    return array


def config(path: Path) -> bytes | None:
    """The network's configuration, where the file is a whole model's."""
    with reading(path), zipfile.ZipFile(path) as archive:
        return member(archive, CONFIG, CONFIG_BYTES) if CONFIG in archive.namelist() else None


def member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A file of the archive; ValueError where it says that it is longer than it may be."""
    size = archive.getinfo(name).file_size
    if size > most:
        raise ValueError(f"{archive.filename}: {name} must hold at most {most} bytes, says {size}")
    return archive.read(name)


def write(path: Path, arrays: Mapping[str, Array], config: str | None = None) -> None:
    """Write the file at once."""
    named: dict[str, Any] = dict(arrays)
    with replacing(path) as name:
        with open(name, "wb") as file:  # by a name of another case than .npz, NumPy would write beside it
            np.savez(file, **named)
        if config is not None:
            with zipfile.ZipFile(name, "a") as archive:
                archive.writestr(zipfile.ZipInfo(CONFIG), config)
