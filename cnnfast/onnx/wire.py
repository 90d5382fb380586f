"""The messages of onnx.proto, and how they lie in a file: protobuf's wire format.

They are read here, rather than by the package onnx, so that nothing is held twice: a tensor's numbers stay where they
are until somebody wants its array, and a graph within an attribute is never opened. Format:
https://protobuf.dev/programming-guides/encoding/; messages: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

MOST_MESSAGES = 10_000_000
"""More than that in one file are refused: a message of two bytes takes a hundred times that of memory."""
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


class Source(Protocol):
    """Bytes that are somewhere."""

    def read(self, start: int, stop: int) -> bytes: ...
    def fill(self, start: int, array: NDArray[np.uint8]) -> None: ...


class InMemory:
    """A file that was given as its bytes."""

    def __init__(self, content: bytes) -> None:
        self.content, self.size = content, len(content)

    def read(self, start: int, stop: int) -> bytes:
        return self.content[start:stop]

    def fill(self, start: int, array: NDArray[np.uint8]) -> None:
        array[:] = np.frombuffer(self.content, np.uint8, array.size, start)


class InFile:
    """An open file of so many bytes. One that has become shorter since is a ValueError, not a signal as with mmap."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def read(self, start: int, stop: int) -> bytes:
        self.file.seek(start)
        return self.file.read(stop - start)

    def fill(self, start: int, array: NDArray[np.uint8]) -> None:
        self.file.seek(start)
        if self.file.readinto(array) != array.size:  # type: ignore[attr-defined]
            raise ValueError(f"the file ends before byte {start + array.size}")


class Span(NamedTuple):
    """Bytes that have not been read."""

    source: Source
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Field(NamedTuple):
    """name : the attribute it becomes
    kind : "int", "float", "double", "string", "bytes", a message, or "span": left where it is
    many : repeated
    runs : where many numbers lie one behind the other, they are one array among the values
    """

    name: str
    kind: Any
    many: bool = False
    runs: bool = False


class Message:
    """An attribute for each field; what the file does not say is None, () where it is repeated, "" where it is text."""

    FIELDS: ClassVar[dict[int, Field]] = {}
    name: str

    def __init_subclass__(cls) -> None:
        for each in cls.FIELDS.values():
            setattr(cls, each.name, () if each.many else "" if each.kind == "string" else None)

    def __getattr__(self, name: str) -> Any:  # only for type checkers: every field is an attribute of the class
        raise AttributeError(name)


class Entry(Message):
    FIELDS: ClassVar = {1: Field("key", "string"), 2: Field("value", "string")}


class Tensor(Message):
    FIELDS: ClassVar = {
        1: Field("dims", "int", True), 2: Field("data_type", "int"), 3: Field("segment", "span"),
        4: Field("float_data", "float", True, True), 5: Field("int32_data", "int", True, True),
        6: Field("string_data", "span", True), 7: Field("int64_data", "int", True, True), 8: Field("name", "string"),
        9: Field("raw_data", "span"),
        10: Field("double_data", "double", True, True), 11: Field("uint64_data", "int", True, True),
        13: Field("external_data", Entry, True), 14: Field("data_location", "int"),
    }  # fmt: skip


class Dimension(Message):
    FIELDS: ClassVar = {1: Field("dim_value", "int"), 2: Field("dim_param", "string")}


class Shape(Message):
    FIELDS: ClassVar = {1: Field("dim", Dimension, True)}


class TensorType(Message):
    FIELDS: ClassVar = {1: Field("elem_type", "int"), 2: Field("shape", Shape)}


class Type(Message):
    FIELDS: ClassVar = {
        1: Field("tensor_type", TensorType), 4: Field("sequence_type", "span"), 5: Field("map_type", "span"),
        8: Field("sparse_tensor_type", "span"), 9: Field("optional_type", "span"),
    }  # fmt: skip


class ValueInfo(Message):
    FIELDS: ClassVar = {1: Field("name", "string"), 2: Field("type", Type)}


class Attribute(Message):
    FIELDS: ClassVar = {
        1: Field("name", "string"), 2: Field("f", "float"), 3: Field("i", "int"), 4: Field("s", "bytes"),
        5: Field("t", Tensor), 6: Field("g", "span"), 7: Field("floats", "float", True), 8: Field("ints", "int", True),
        9: Field("strings", "bytes", True), 10: Field("tensors", "span", True), 11: Field("graphs", "span", True),
        20: Field("type", "int"), 21: Field("ref_attr_name", "string"),
    }  # fmt: skip


class Node(Message):
    FIELDS: ClassVar = {
        1: Field("input", "string", True), 2: Field("output", "string", True), 3: Field("name", "string"),
        4: Field("op_type", "string"), 5: Field("attribute", Attribute, True), 7: Field("domain", "string"),
        8: Field("overload", "string"),
    }  # fmt: skip


class Graph(Message):
    FIELDS: ClassVar = {
        1: Field("node", Node, True), 2: Field("name", "string"), 5: Field("initializer", Tensor, True),
        10: Field("doc_string", "string"), 11: Field("input", ValueInfo, True), 12: Field("output", ValueInfo, True),
        15: Field("sparse_initializer", "span", True),
    }  # fmt: skip


class OperatorSet(Message):
    FIELDS: ClassVar = {1: Field("domain", "string"), 2: Field("version", "int")}


class Model(Message):
    FIELDS: ClassVar = {
        1: Field("ir_version", "int"), 2: Field("producer_name", "string"), 3: Field("producer_version", "string"),
        4: Field("domain", "string"), 5: Field("model_version", "int"), 6: Field("doc_string", "string"),
        7: Field("graph", Graph), 8: Field("opset_import", OperatorSet, True),
        14: Field("metadata_props", Entry, True), 25: Field("functions", "span", True),
    }  # fmt: skip


IN_PLACE = (Model, Graph, Tensor)
"""Messages that can be large: they are walked through where they lie, any other is read whole."""


def model_of(source: Any) -> Model:
    """The model that is in these bytes.

    Raises
    ------
    ValueError : they are no model; the message says at which byte
    """
    model = Model()
    _Parser(source).walk(model, 0, source.size)
    return model


class _Parser:
    def __init__(self, source: Source) -> None:
        self.source, self.messages = source, 0

    def walk(self, message: Message, at: int, stop: int) -> None:
        """Add what lies between these bytes of the source to a message."""
        self._count()
        fields = message.FIELDS
        while at < stop:
            begin = at
            head = self.source.read(at, min(at + 20, stop))
            tag, i = _varint(head, 0, begin)
            wire, field = tag & 7, fields.get(tag >> 3)
            if wire == LENGTH:
                length, i = _varint(head, i, begin)
                at += i + length
                if at > stop:
                    raise ValueError(f"byte {begin}: a field is longer than what holds it")
                if field is not None:
                    self._long(message, field, begin + i, at)
                continue
            value, at = _scalar(head, i, wire, begin)
            at += begin
            if at > stop:
                raise ValueError(f"byte {begin}: a field is longer than what holds it")
            if field is not None and wire == WIRES.get(field.kind):
                _put(message, field, _number(field.kind, value))

    def _long(self, message: Message, field: Field, start: int, stop: int) -> None:
        """Add a field that has a length."""
        kind = field.kind
        if kind == "span":
            _put(message, field, Span(self.source, start, stop))
        elif isinstance(kind, type) and kind in IN_PLACE:
            self.walk(_part(message, field), start, stop)
        else:
            content = self.source.read(start, stop)
            if len(content) != stop - start:
                raise ValueError(f"the file ends before byte {stop}")
            _Small(self, content, start).field(message, field, 0, len(content))

    def _count(self) -> None:
        self.messages += 1
        if self.messages > MOST_MESSAGES:
            raise ValueError(f"the file holds more than {MOST_MESSAGES} messages")


class _Small:
    """Parses a part of the file that has been read; `offset` is where it lay."""

    def __init__(self, parser: _Parser, content: bytes, offset: int) -> None:
        self.parser, self.content, self.offset = parser, content, offset

    def field(self, message: Message, field: Field, at: int, stop: int) -> None:
        kind = field.kind
        if kind == "string":
            try:
                _put(message, field, self.content[at:stop].decode())
            except UnicodeDecodeError:
                raise ValueError(f"byte {self.offset + at}: {field.name} is not UTF-8") from None
        elif kind == "bytes":
            _put(message, field, self.content[at:stop])
        elif kind == "span":
            source = InMemory(self.content[at:stop])
            _put(message, field, Span(source, 0, source.size))
        elif isinstance(kind, str):
            if field.many:
                numbers = _numbers(kind, self.content[at:stop], self.offset + at)
                _extend(message, field, [numbers] if field.runs else numbers.tolist())
        else:
            self.message(_part(message, field), at, stop)

    def message(self, message: Message, at: int, stop: int) -> None:
        self.parser._count()
        content, fields = self.content, message.FIELDS
        while at < stop:
            begin = at
            tag = content[at]
            at += 1
            if tag >= 128:
                tag, at = _varint(content, begin, self.offset)
            wire, field = tag & 7, fields.get(tag >> 3)
            if wire == LENGTH:
                if at >= stop:
                    raise ValueError(f"byte {self.offset + begin}: a field is cut off")
                length = content[at]
                at += 1
                if length >= 128:
                    length, at = _varint(content, at - 1, self.offset)
                end = at + length
                if end > stop:
                    raise ValueError(f"byte {self.offset + begin}: a field is longer than what holds it")
                if field is not None:
                    self.field(message, field, at, end)
                at = end
                continue
            value, at = _scalar(content, at, wire, self.offset)
            if at > stop:
                raise ValueError(f"byte {self.offset + begin}: a field is longer than what holds it")
            if field is not None and wire == WIRES.get(field.kind):
                _put(message, field, _number(field.kind, value))


WIRES = {"int": VARINT, "float": FIXED32, "double": FIXED64}


def _part(message: Message, field: Field) -> Message:
    """The message to fill: a new one, or what is there already, since parts of one message may come apart."""
    made: Message | None = None if field.many else getattr(message, field.name)
    if made is None:
        made = field.kind()
        _put(message, field, made)
    return made


def _put(message: Message, field: Field, value: Any) -> None:
    if field.many:
        _extend(message, field, [value])
    else:
        setattr(message, field.name, value)


def _extend(message: Message, field: Field, values: list[Any]) -> None:
    """Add to a repeated field."""
    there = message.__dict__.get(field.name)
    if there is None:
        setattr(message, field.name, values)
    else:
        there.extend(values)


def _varint(content: bytes, at: int, offset: int) -> tuple[int, int]:
    """An unsigned number of at most 64 bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            raise ValueError(f"byte {offset + at}: a number is cut off")
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at
    raise ValueError(f"byte {offset + at}: a number has more than 64 bits")


def _scalar(content: bytes, at: int, wire: int, offset: int) -> tuple[Any, int]:
    """A value without a length, as a number or its bytes; and where it ends."""
    if wire == VARINT:
        return _varint(content, at, offset)
    if wire not in (FIXED32, FIXED64):
        raise ValueError(f"byte {offset + at}: wire type {wire} is not known")
    end = at + (4 if wire == FIXED32 else 8)
    return content[at:end].ljust(end - at, b"\0"), end


def _number(kind: str, value: Any) -> Any:
    if kind == "int":
        return value - 2**64 if value >= 2**63 else value
    return struct.unpack("<f" if kind == "float" else "<d", value)[0]


DTYPES: dict[str, np.dtype[Any]] = {"int": np.dtype(np.int64), "float": np.dtype("<f4"), "double": np.dtype("<f8")}


def _numbers(kind: str, content: bytes, offset: int) -> NDArray[Any]:
    """Numbers that lie one behind the other."""
    if kind != "int":
        if len(content) % DTYPES[kind].itemsize:
            raise ValueError(f"byte {offset}: {len(content)} bytes are no {kind}s")
        return np.frombuffer(content, DTYPES[kind])
    raw = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(raw < 128)
    if raw.size and (not ends.size or ends[-1] != raw.size - 1):
        raise ValueError(f"byte {offset}: a number is cut off")
    starts = np.concatenate(([0], ends[:-1] + 1)) if ends.size else ends
    lengths = ends - starts + 1
    if (lengths > 10).any():
        raise ValueError(f"byte {offset}: a number has more than 64 bits")
    values = np.zeros(ends.size, np.uint64)
    for i in range(int(lengths.max(initial=0))):
        there = lengths > i
        values[there] |= (raw[starts[there] + i] & np.uint8(127)).astype(np.uint64) << np.uint64(7 * i)
    return values.view(np.int64)
