"""An ONNX file, and its tensors as arrays: what a file says of a tensor is held against what it has before any memory
is taken for it."""

import math
import os
import stat
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnfast.onnx import wire
from cnnfast.onnx.wire import InFile, InMemory, Span
from cnnfast.ops.arrays import Array

DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
"""TensorProto.DataType in NumPy's words; what is not here (strings, complex, what NumPy has not) is not supported."""
BFLOAT16 = 16
REFUSED = {
    8: "STRING", 14: "COMPLEX64", 15: "COMPLEX128", 17: "FLOAT8E4M3FN", 18: "FLOAT8E4M3FNUZ", 19: "FLOAT8E5M2",
    20: "FLOAT8E5M2FNUZ", 21: "UINT4", 22: "INT4", 23: "FLOAT4E2M1", 24: "FLOAT8E8M0", 25: "UINT2", 26: "INT2",
}  # fmt: skip
FIELDS = {
    "float32": "float_data", "float64": "double_data", "int64": "int64_data", "uint32": "uint64_data",
    "uint64": "uint64_data",
}  # fmt: skip
"""Where a tensor's numbers are if not in raw_data; those of all other types are in int32_data."""
EXTERNAL_KEYS = {"location", "offset", "length", "checksum"}
MOST_DIMS = 32
FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, STRINGS, GRAPHS = 1, 2, 3, 4, 5, 6, 7, 8, 10
"""AttributeProto.AttributeType"""


class Read(NamedTuple):
    """A file that has been read.

    proto : its ModelProto, as `wire.Model`
    arrays : its initializers by name
    """

    proto: Any
    arrays: dict[str, Array]


def read(model: str | os.PathLike[str] | bytes) -> Read:
    """A model of a path or of a file's bytes.

    Raises
    ------
    ValueError : it is no model, or a tensor of it cannot be what it claims; the message names it
    OSError : a file cannot be read
    """
    if isinstance(model, bytes | bytearray | memoryview):
        return _read(InMemory(bytes(model)), None)
    if not isinstance(model, str | os.PathLike):
        raise TypeError(f"model must be a path or bytes, got {type(model).__name__}")
    with open(model, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"model must be a file, got {os.fspath(model)!r}")
        return _read(InFile(file, status.st_size), Path(os.path.realpath(model)).parent)


def _read(source: InMemory | InFile, folder: Path | None) -> Read:
    try:
        proto: Any = wire.model_of(source)
    except ValueError as error:
        raise ValueError(f"model must be an ONNX file: {error}") from None
    if proto.graph is None:
        raise ValueError("model must be an ONNX file: it holds no graph")
    if proto.graph.sparse_initializer:
        raise ValueError("the model has sparse initializers, which are not supported")
    arrays: dict[str, Array] = {}
    for each in proto.graph.initializer:
        name = each.name
        if not name or name in arrays:
            raise ValueError(f"initializer {name!r}: the name must be there, and only once")
        arrays[name] = array_of(each, f"initializer {name!r}", folder)
    return Read(proto, arrays)


def dtype_of(data_type: int | None, what: str) -> np.dtype[Any]:
    """The dtype of a TensorProto.DataType."""
    if data_type == BFLOAT16:
        return _bfloat16(what)
    if data_type not in DTYPES:
        name = REFUSED.get(data_type or 0, "unknown")
        raise ValueError(f"{what}: element type {data_type} ({name}) is not supported")
    return np.dtype(DTYPES[data_type])


def _bfloat16(what: str) -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError:
        raise ValueError(f"{what}: element type bfloat16 needs the package ml_dtypes") from None
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def array_of(tensor: Any, what: str, folder: Path | None = None) -> Array:
    """A tensor's array; `what` is how errors call it. External data must be in `folder`; without one there is none."""
    dtype = dtype_of(tensor.data_type, what)
    shape = tuple(tensor.dims)
    if len(shape) > MOST_DIMS or any(size < 0 for size in shape):
        raise ValueError(f"{what}: dims must be at most {MOST_DIMS} sizes >= 0, got {shape[: MOST_DIMS + 1]}")
    if math.prod(size or 1 for size in shape) * dtype.itemsize >= 2**63:
        raise ValueError(f"{what}: dims {shape} are more than there can be")
    if tensor.segment is not None:
        raise ValueError(f"{what}: it comes in segments, which is not supported")
    typed = [name for name in {*FIELDS.values(), "int32_data", "string_data"} if getattr(tensor, name)]
    if tensor.data_location == 1:
        if typed or tensor.raw_data is not None:
            raise ValueError(f"{what}: it has external data, and yet has data of its own")
        return _external(tensor, what, shape, dtype, folder)
    if tensor.external_data or tensor.data_location not in (None, 0):
        raise ValueError(f"{what}: data_location must be EXTERNAL for external data, got {tensor.data_location}")
    if tensor.raw_data is not None and (len(tensor.raw_data) or not typed):
        if typed:
            raise ValueError(f"{what}: it has its data twice, in raw_data and {typed[0]}")
        return _raw(tensor.raw_data, what, shape, dtype)
    return _typed(tensor, what, shape, dtype, typed)


def _raw(data: Span, what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    size = math.prod(shape) * dtype.itemsize
    if len(data) != size:
        raise ValueError(f"{what}: dims {shape} of {dtype} need {size} bytes, got {len(data)}")
    array = _empty(what, shape, dtype)
    data.source.fill(data.start, array.reshape(-1).view(np.uint8))
    if dtype.kind == "b":
        return np.asarray(array.view(np.uint8) != 0)
    return array


def _empty(what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    try:
        return np.empty(shape, dtype)
    except MemoryError:
        raise MemoryError(f"{what}: no memory for {shape} of {dtype}") from None


def _typed(tensor: Any, what: str, shape: tuple[int, ...], dtype: np.dtype[Any], typed: list[str]) -> Array:
    field = FIELDS.get(dtype.name, "int32_data")
    if typed not in ([], [field]):
        raise ValueError(f"{what}: the data of {dtype} must be in {field}, got {', '.join(sorted(typed))}")
    runs = getattr(tensor, field)
    count, size = sum(each.size if isinstance(each, np.ndarray) else 1 for each in runs), math.prod(shape)
    if count != size:
        raise ValueError(f"{what}: dims {shape} need {size} numbers, got {count}")
    plain = [each if isinstance(each, np.ndarray) else np.array([each]) for each in runs]
    values = np.concatenate(plain) if plain else np.zeros(0)
    if dtype.kind == "f" and field != "int32_data":
        return values.astype(dtype).reshape(shape)
    if dtype == np.uint64:
        return values.astype(np.int64).view(np.uint64).reshape(shape)
    halves = dtype.itemsize == 2 and dtype.kind not in "iu"  # their bits are told
    within = np.iinfo(np.uint16 if halves else np.uint8 if dtype.kind == "b" else dtype)
    if values.size and (values.min() < within.min or values.max() > within.max):
        raise ValueError(f"{what}: its numbers do not fit {dtype}")
    narrow = values.astype(within.dtype)
    return (narrow.view(dtype) if halves else narrow.astype(dtype)).reshape(shape)


def _external(tensor: Any, what: str, shape: tuple[int, ...], dtype: np.dtype[Any], folder: Path | None) -> Array:
    if folder is None:
        raise ValueError(f"{what}: external data needs a model that is given as a path")
    entries: dict[str, str] = {}
    for each in tensor.external_data:
        if each.key not in EXTERNAL_KEYS or each.key in entries:
            raise ValueError(f"{what}: external data has key {each.key!r}, which is not known, or is there twice")
        entries[each.key] = each.value
    size = math.prod(shape) * dtype.itemsize
    offset, length = (
        _natural(entries.get(key, default), key, what) for key, default in (("offset", "0"), ("length", str(size)))
    )
    if length != size:
        raise ValueError(f"{what}: dims {shape} of {dtype} need {size} bytes, its external data has length {length}")
    with (
        closing(_Inside(folder, entries.get("location", ""), what)) as inside,
        open(inside.descriptor, "rb", closefd=False) as file,
    ):
        if offset + length > inside.size:
            raise ValueError(f"{what}: external data ends at byte {offset + length} of a file of {inside.size}")
        return _raw(Span(InFile(file, inside.size), offset, offset + length), what, shape, dtype)


def _natural(text: str, key: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise ValueError(f"{what}: {key} of external data must be a number >= 0, got {text[:40]!r}")
    return int(text)


class _Inside:
    """A file of a folder, opened such that it is in it, whatever its name and whatever happens meanwhile: step by step,
    through no symbolic link."""

    def __init__(self, folder: Path, location: str, what: str) -> None:
        place = Path(location)
        wrong = f"{what}: external data must be in a file of the model's folder, got {location[:200]!r}"
        if not location or "\0" in location or place.is_absolute() or ".." in place.parts or not place.parts:
            raise ValueError(wrong)
        real = Path(os.path.realpath(folder / place))
        if folder not in real.parents:
            raise ValueError(f"{wrong}, which is a link to elsewhere")
        *steps, name = real.relative_to(folder).parts
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for step in steps:
                deeper = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                os.close(at)
                at = deeper
            self.descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
        finally:
            os.close(at)
        status = os.fstat(self.descriptor)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            self.close()
            raise ValueError(f"{wrong}, which is {'a hard link' if stat.S_ISREG(status.st_mode) else 'no plain file'}")

    def close(self) -> None:
        os.close(self.descriptor)


def value_of(attribute: Any, what: str) -> Any:
    """An attribute's value: a number, text, an array, or a list of numbers or text.

    Raises
    ------
    ValueError : it is of a kind that is not supported: a graph, a sparse tensor
    """
    kind, found = attribute.type, None
    if kind in (FLOAT, INT):
        found = attribute.f if kind == FLOAT else attribute.i
        found = (0.0 if kind == FLOAT else 0) if found is None else found
    elif kind == STRING:
        found = _text(attribute.s or b"", what)
    elif kind == TENSOR and attribute.t is not None:
        found = array_of(attribute.t, what)
    elif kind in (FLOATS, INTS):
        found = list(attribute.floats if kind == FLOATS else attribute.ints)
    elif kind == STRINGS:
        found = [_text(each, what) for each in attribute.strings]
    if found is None or attribute.ref_attr_name:
        sort = "a graph" if kind in (GRAPH, GRAPHS) else f"of type {kind}"
        raise ValueError(f"{what}: it is {sort}, which is not supported")
    return found


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what}: it is not UTF-8") from None
