"""torch tensors as cnnfast sees them: their layout, and their memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnnfast.ops.arrays import Array
from cnnfast.ops.signatures import NAMES

Shape = tuple[int, int, int, int]
DTYPES = {getattr(torch, name): dtype for dtype, name in NAMES.items() if name in ("float32", "float64")}
"""torch's dtype -> NumPy's, of all that the ops take."""


def channels_last(x: Tensor) -> bool:
    """Whether torch sees (N, C, H, W) as channels_last, as `c10::is_channels_last_strides_2d` has it: of a shape whose
    layout is ambiguous, strides that can only have been meant are."""
    if x.ndim != 4:
        return False
    size, stride = x.shape, x.stride()
    if stride[1] == 0:
        return False
    least: Any = 0
    for axis in (1, 3, 2, 0):
        if size[axis] == 0 or stride[axis] < least or (axis == 0 and least == stride[1]):
            return False
        least = stride[axis] * size[axis] if size[axis] > 1 else stride[axis]
    return True


def memory_format(last: bool) -> Any:
    """torch's name of a layout."""
    return torch.channels_last if last else torch.contiguous_format


def layout(last: bool) -> str:
    """cnnfast's name of it."""
    return "NHWC" if last else "NCHW"


def in_layout(x: Tensor, last: bool) -> Tensor:
    """x itself where it lies so, else a copy that does."""
    return readable(x).contiguous(memory_format=memory_format(last))


def readable(x: Tensor) -> Tensor:
    """x itself, or a copy where its memory holds the negative of it, or numbers at odd addresses."""
    plain = x.resolve_neg()
    return plain.clone() if plain.data_ptr() % plain.element_size() else plain


def ordered(size: Sequence[int], last: bool) -> Shape:
    """(N, C, H, W) as cnnfast writes that shape in a layout."""
    N, C, H, W = size
    return (N, H, W, C) if last else (N, C, H, W)


def strides(size: Sequence[int], last: bool) -> tuple[int, ...]:
    """Of a new tensor of this size (N, C, H, W)."""
    _, C, H, W = size
    return (H * W * C, 1, W * C, C) if last else (C * H * W, H * W, W, 1)


def empty(like: Tensor, size: Sequence[int], last: bool = False) -> Tensor:
    """A new tensor of like's dtype and device."""
    return torch.empty(tuple(size), dtype=like.dtype, device=like.device, memory_format=memory_format(last))


def view(x: Tensor, last: bool = False) -> Array:
    """x's memory as a NumPy array: NHWC's axes where `last`, which x must then lie in."""
    plain = x.detach().resolve_neg()
    return plain.permute(0, 2, 3, 1).numpy() if last else plain.numpy()


def check_images(name: str, x: Tensor) -> "np.dtype[Any]":
    """x must be (N, C, H, W) of float32 or float64; the dtype."""
    if x.ndim != 4:
        raise ValueError(f"{name} must have 4 dimensions (N, C, H, W), got shape {tuple(x.shape)}")
    if 0 in x.shape[1:]:
        raise ValueError(f"{name} must have no empty dimension but N, got shape {tuple(x.shape)}")
    return check_dtype(name, x)


def check_dtype(name: str, x: Tensor) -> "np.dtype[Any]":
    """x must be float32 or float64; NumPy's dtype of it."""
    dtype = DTYPES.get(x.dtype)
    if dtype is None:
        raise TypeError(f"{name} must be float32 or float64, got {x.dtype}")
    return dtype


def check_same(name: str, x: Tensor | None, beside: Tensor) -> None:
    """A tensor beside the first must have its dtype and be on its device."""
    if x is not None and (x.dtype != beside.dtype or x.device != beside.device):
        raise TypeError(f"{name} must be {beside.dtype} on {beside.device}, got {x.dtype} on {x.device}")
