"""What the arguments of compiled calls are: read from their types while Numba compiles, normalised while it runs.

A function that is chosen by an argument's type and has the same parameters as its siblings stands for an overload:
Numba compiles the one that fits.
"""

from typing import Any

import numpy as np
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import register_jitable

from cnnfast.ops import options

DTYPES = {types.float32: 0, types.float64: 1}
"""The C API's names of the floating dtypes."""


def is_none(kind: Any) -> bool:
    """Whether an argument is None or left out with that default."""
    return kind is None or isinstance(kind, types.NoneType) or getattr(kind, "value", 0) is None


def constant(name: str, kind: Any) -> Any:
    """The value of an argument that must be known while compiling: one that is spelt out, or a default."""
    if not isinstance(kind, types.Type):
        return kind
    if isinstance(kind, types.Omitted):
        return kind.value
    if isinstance(kind, types.NoneType):
        return None
    if isinstance(kind, types.Literal):
        return kind.literal_value
    raise TypingError(f"{name} must be written out within compiled code, got {kind}")


def choice(name: str, kind: Any, choices: tuple[str, ...]) -> int:
    """Which of the names an argument is."""
    value = constant(name, kind)
    if value not in choices:
        raise TypingError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return choices.index(value)


def floats(name: str, kind: Any, axes: int) -> Any:
    """The dtype of an array argument."""
    if not isinstance(kind, types.Array) or kind.ndim != axes or kind.dtype not in DTYPES or not kind.aligned:
        raise TypingError(f"{name} must be an array of float32 or float64 with {axes} dimensions, got {kind}")
    return kind.dtype


def output(name: str, kind: Any, axes: int, dtype: Any) -> None:
    """Check an array that is written."""
    if floats(name, kind, axes) != dtype or kind.layout != "C" or not kind.mutable:
        raise TypingError(f"{name} must be a writable C-contiguous array of {dtype}, got {kind}")


def activation(kind: Any) -> tuple[int, float]:
    """An activation's number in the C API and its parameter."""
    if isinstance(kind, types.Tuple | types.UniTuple):
        raise TypingError(f"activation must be a name within compiled code, got {kind}")
    name = constant("activation", kind)
    if name is None:
        return 0, 0.0
    return 1 + choice("activation", name, options.ACTIVATIONS), options.ALPHAS.get(name, 0.0)


def dense(kind: Any, dtype: Any) -> Any:
    """What makes an array contiguous and of a dtype."""
    if kind.dtype != dtype:
        return _as_float32 if dtype == types.float32 else _as_float64
    return _itself if kind.layout == "C" else _contiguous


def floats_in(name: str, kind: Any, axes: int, dtype: Any) -> Any:
    """`dense` of an array argument that is checked first."""
    floats(name, kind, axes)
    return dense(kind, dtype)


@register_jitable
def _itself(array: Any) -> Any:
    return array


@register_jitable
def _contiguous(array: Any) -> Any:
    return np.ascontiguousarray(array)


@register_jitable
def _as_float32(array: Any) -> Any:
    return np.ascontiguousarray(array.astype(np.float32))


@register_jitable
def _as_float64(array: Any) -> Any:
    return np.ascontiguousarray(array.astype(np.float64))


def _integer(kind: Any) -> bool:
    value = kind.value if isinstance(kind, types.Omitted) else kind
    if isinstance(value, types.Literal):
        value = value.literal_type
    return isinstance(value, types.Integer) or (isinstance(value, int) and not isinstance(value, bool))


def _pair(kind: Any) -> bool:
    return isinstance(kind, types.BaseTuple) and len(kind.types) == 2 and all(map(_integer, kind.types))


def pair(name: str, kind: Any) -> Any:
    """What makes (height, width) of an integer or a pair."""
    if _integer(kind):
        return _both
    if _pair(kind):
        return _each
    raise TypingError(f"{name} must be an integer or (height, width), got {kind}")


def integer(name: str, kind: Any) -> None:
    """Check an argument that is one integer."""
    if not _integer(kind):
        raise TypingError(f"{name} must be an integer, got {kind}")


@register_jitable
def _both(value: Any) -> Any:  # int64s, as C has them, whatever integers they are of
    return np.int64(value), np.int64(value)


@register_jitable
def _each(pair: Any) -> Any:
    return np.int64(pair[0]), np.int64(pair[1])


def sides(kind: Any) -> Any:
    """What makes (top, bottom, left, right) of padding in any of its forms."""
    if _integer(kind):
        return _one_padding
    if _pair(kind):
        return _two_paddings
    if isinstance(kind, types.BaseTuple) and len(kind.types) == 2 and all(map(_pair, kind.types)):
        return _four_paddings
    return (_no_padding, _same_padding)[choice("padding", kind, ("valid", "same"))]


@register_jitable
def _one_padding(padding: Any, size: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    side = np.int64(padding)
    return side, side, side, side


@register_jitable
def _two_paddings(padding: Any, size: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    above, aside = np.int64(padding[0]), np.int64(padding[1])
    return above, above, aside, aside


@register_jitable
def _four_paddings(padding: Any, size: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    (top, bottom), (left, right) = padding
    return np.int64(top), np.int64(bottom), np.int64(left), np.int64(right)


@register_jitable
def _no_padding(padding: Any, size: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    return 0, 0, 0, 0


@register_jitable
def _same_of(size: Any, kernel: Any, stride: Any, dilation: Any) -> Any:  # shapes.same_padding
    count = -(size // -stride)
    total = max((count - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


@register_jitable
def _same_padding(padding: Any, size: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    top, bottom = _same_of(size[0], kernel[0], stride[0], dilation[0])
    left, right = _same_of(size[1], kernel[1], stride[1], dilation[1])
    return top, bottom, left, right


@register_jitable
def at_least(name: str, values: Any, least: int) -> None:
    """Refuse numbers that are below it."""
    for value in values:
        if value < least:
            raise ValueError(f"{name} must be >= {least}, got {value}")


@register_jitable
def spatial(shape: Any, nchw: int) -> Any:
    """(N, H, W, C) of a shape in its layout's order."""
    if nchw:
        return shape[0], shape[2], shape[3], shape[1]
    return shape


@register_jitable
def same_shape(name: str, shape: Any, wanted: Any) -> None:
    """Refuse an array of another shape than y's."""
    for i in range(4):
        if shape[i] != wanted[i]:
            raise ValueError(f"{name} must have y's shape, {wanted[i]} along axis {i}, got {shape[i]}")


@register_jitable
def apart(out: Any, other: Any) -> None:
    """Refuse an output that lies where an input does, from its first byte to its last."""
    if other.size == 0:
        return
    begin = other.ctypes.data
    end = begin + other.itemsize
    for i in range(other.ndim):
        reach = (other.shape[i] - 1) * other.strides[i]
        if reach > 0:
            end += reach
        else:
            begin += reach
    if out.ctypes.data < end and begin < out.ctypes.data + out.nbytes:
        raise ValueError("out may not overlap an input")


@register_jitable
def keep(array: Any) -> None:
    """Called behind a call that was given the array's address: Numba frees what nothing mentions any more."""
