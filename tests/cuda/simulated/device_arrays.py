"""Arrays on the simulator's device: host memory behind the CUDA array interface, and torch's tensors."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class OnDevice:
    """An array as a framework nobody has heard of would give it."""

    def __init__(self, array: np.ndarray, **told: Any) -> None:
        self.array = array
        self.__cuda_array_interface__ = {
            "version": 3, "shape": array.shape, "typestr": array.dtype.str, "data": (array.ctypes.data, False),
            "strides": array.strides, "stream": None, **told,
        }  # fmt: skip


def numpy_of(value: Any) -> np.ndarray:
    """What lies in an array that an op returned."""
    return np.asarray(value._ary if hasattr(value, "_ary") else value.array)


class Tensor:
    """torch.Tensor as far as the edge looks; a brain half's bits are uint16."""

    is_cuda, is_quantized, layout = True, False, "strided"

    def __init__(
        self, array: np.ndarray, dtype: str | None = None, index: int = 0, requires_grad: bool = False
    ) -> None:  # fmt: skip
        self.array, self.dtype = array, f"torch.{dtype or array.dtype.name}"
        self.device, self.requires_grad = SimpleNamespace(index=index), requires_grad

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def stride(self) -> tuple[int, ...]:
        return tuple(step // self.array.itemsize for step in self.array.strides)

    def data_ptr(self) -> int:
        return self.array.ctypes.data

    def is_neg(self) -> bool:
        return False


def torch_module(monkeypatch: Any) -> ModuleType:
    """A module in torch's place."""
    torch: Any = ModuleType("torch")
    torch.Tensor, torch.strided, torch.is_grad_enabled = Tensor, "strided", lambda: True
    torch.cuda = SimpleNamespace(current_stream=lambda device: SimpleNamespace(cuda_stream=77))
    for name in ("float32", "float64", "float16", "bfloat16", "int64"):
        setattr(torch, name, name)

    def empty_strided(shape: Any, strides: Any, dtype: str, device: Any) -> Tensor:
        kind = np.dtype("uint16" if dtype.endswith("16") else dtype)
        steps = tuple(step * kind.itemsize for step in strides)
        return Tensor(np.ndarray(shape, kind, strides=steps), dtype, device.index)

    torch.empty_strided = empty_strided
    monkeypatch.setitem(sys.modules, "torch", torch)
    return torch
