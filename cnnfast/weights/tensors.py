"""safetensors: a header in JSON, then the arrays. The package reads it, and holds its offsets to its length."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cnnfast.ops.arrays import Array
from cnnfast.ops.files import replacing
from cnnfast.weights.places import Stored, reading

HEADER = 2**24
"""Bytes of a header, at most: some 100,000 tensors."""

CONFIG = "cnnfast_model"
"""The entry of the header that makes a file of weights a whole model's."""

DTYPES = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8")


def package() -> Any:
    """The module of the package that knows NumPy."""
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError('safetensors files need the package: pip install "cnnfast[weights]"') from None
    return safetensors


@contextmanager
def opened(path: Path) -> Iterator[dict[str, Stored]]:
    """The file's arrays by name."""
    with _file(path) as file:
        yield {name: _stored(file, name, path) for name in file.keys()}  # noqa: SIM118  # it is no dict


@contextmanager
def _file(path: Path) -> Iterator[Any]:
    library = package()
    with reading(path):
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > HEADER:
            raise ValueError(f"{path} must have a header of at most {HEADER} bytes, says {length}")
        with library.safe_open(path, framework="numpy") as file:
            yield file


def config(path: Path) -> bytes | None:
    """The network's configuration, where the file is a whole model's."""
    with _file(path) as file:
        text = (file.metadata() or {}).get(CONFIG)
        return None if text is None else text.encode()


def _stored(file: Any, name: str, path: Path) -> Stored:
    entry = file.get_slice(name)
    if entry.get_dtype() not in DTYPES:
        raise ValueError(f"{path}: {name} must be of one of the dtypes {', '.join(DTYPES)}, got {entry.get_dtype()}")
    return Stored(tuple(entry.get_shape()), partial(file.get_tensor, name))


def write(path: Path, arrays: Mapping[str, Array], config: str | None = None) -> None:
    """Write the file at once."""
    library = package()
    with replacing(path) as name:
        library.numpy.save_file(dict(arrays), name, None if config is None else {CONFIG: config})
