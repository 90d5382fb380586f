"""An ONNX file as protobuf, and its initializers as arrays."""

import os
from typing import Any

from cnnfast.ops.arrays import Array


def read(model: str | os.PathLike[str] | bytes) -> tuple[Any, dict[str, Array]]:
    """(ModelProto, initializers by name)."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise ImportError("reading ONNX files needs the extra onnx: pip install 'cnnfast[onnx]'") from None
    if isinstance(model, bytes):
        content = model
    else:
        with open(model, "rb") as file:
            content = file.read()
    file = onnx.ModelProto()
    try:
        file.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(f"model must be an ONNX file: {error}") from None
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in file.graph.initializer}
    return file, arrays
