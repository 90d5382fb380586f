"""DLPack's tensor, read from its capsule: for arrays that say where they lie in no other way.

https://dmlc.github.io/dlpack/latest/c_api.html
"""

import ctypes
from typing import Any, Final

from .arrays import Described

CUDA: Final = (2, 13)
"""Its device types whose memory a CUDA device reads: its own, and managed."""
CODES: Final = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 6: "bool"}
LEGACY: Final = 1
"""The stream to hand over on, as DLPack calls the legacy default stream."""


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("offset", ctypes.c_uint64),
    )  # fmt: skip


def describe(name: str, value: Any) -> Described:
    """An array that has __dlpack__ alone. The capsule is let go at once: value keeps the memory."""
    if not hasattr(value, "__dlpack__"):
        raise TypeError(f"{name} must be an array on a CUDA device, got {type(value).__name__}")
    capsule = value.__dlpack__(stream=LEGACY)
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    try:
        tensor = _Tensor.from_address(pointer(capsule, b"dltensor"))
    except ValueError as error:
        raise TypeError(f"{name} gave a DLPack capsule that cannot be read: {error}") from None
    if tensor.device_type not in CUDA or tensor.lanes != 1 or tensor.code not in CODES:
        raise TypeError(
            f"{name} must be an array of numbers on a CUDA device, got DLPack's device type {tensor.device_type} and "
            f"type code {tensor.code}"
        )
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    strides = tuple(tensor.strides[i] for i in range(tensor.ndim)) if tensor.strides else None
    dtype = f"{CODES[tensor.code]}{tensor.bits}"
    return Described((tensor.data or 0) + tensor.offset, shape, strides, dtype, tensor.device)
