"""The frameworks whose arrays lie on devices: how each says where, and how a new array of it is made.

None is imported here: an array of one exists only where somebody else imported it. Arrays of everybody else are read by
the CUDA array interface or DLPack, and answered in Numba's.
"""

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Final, NamedTuple

import numpy as np

from . import dlpack, driver
from .arrays import Described, DeviceArray
from .toolchain import SIMULATED, cuda

Shape = tuple[int, ...]


class Framework(NamedTuple):
    """describe(argument's name, array); make(like, shape, strides in elements, dtype) -> an array of its own.

    waits: it knows no stream but its own, so a call returns only when its results are there.
    """

    module: str
    name: str
    describe: Callable[[str, Any], Described]
    make: Callable[[DeviceArray, Shape, Shape, str], Any]
    waits: bool = False


def _torch(name: str, tensor: Any) -> Described:
    torch = sys.modules["torch"]
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_neg():
        raise TypeError(f"{name} must be a plain tensor with strides, got {tensor.layout}, {tensor.dtype}")
    device = tensor.device.index
    stream = torch.cuda.current_stream(device).cuda_stream
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Described(tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()), dtype, device, stream)


def _make_torch(like: DeviceArray, shape: Shape, strides: Shape, dtype: str) -> Any:
    torch = sys.modules["torch"]
    return torch.empty_strided(shape, strides, dtype=getattr(torch, dtype), device=like.owner.device)


def _cupy(name: str, array: Any) -> Described:
    cupy = sys.modules["cupy"]
    strides = tuple(step // array.itemsize for step in array.strides)
    stream = cupy.cuda.get_current_stream(array.device.id).ptr
    return Described(array.data.ptr, array.shape, strides, array.dtype.name, array.device.id, stream)


def _make_cupy(like: DeviceArray, shape: Shape, strides: Shape, dtype: str) -> Any:
    cupy = sys.modules["cupy"]
    kind = like.owner.dtype if dtype == like.dtype else np.dtype(dtype)
    with cupy.cuda.Device(like.device):
        flat = cupy.empty(int(np.prod(shape)), kind)
        return cupy.ndarray(shape, kind, flat.data, tuple(step * kind.itemsize for step in strides))


def _jax(name: str, array: Any) -> Described:
    devices = array.devices()
    if len(devices) != 1:
        raise TypeError(f"{name} must lie on one device, got an array on {len(devices)}")
    (device,) = devices
    array.block_until_ready()  # JAX names no stream to come after
    address = array.unsafe_buffer_pointer()
    return Described(address, array.shape, None, array.dtype.name, device.local_hardware_id, writable=False)


def _make_jax(like: DeviceArray, shape: Shape, strides: Shape, dtype: str) -> Any:
    """Its memory is written before anybody else has seen it: JAX's rule is about arrays that somebody has."""
    jax = sys.modules["jax"]
    (device,) = like.owner.devices()
    with _wide(jax):
        return jax.numpy.empty(shape, dtype, device=device).block_until_ready()


def _wide(jax: Any) -> Any:
    """64 bits are 64 bits within, which by JAX's default are 32."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return import_module("jax.experimental").enable_x64(True)


def _anybody(name: str, value: Any) -> Described:
    told = getattr(value, "__cuda_array_interface__", None)
    if told is not None:
        return _interface(name, told, getattr(value, "dtype", None))
    if SIMULATED and getattr(type(value), "__cuda_ndarray__", False):  # Numba's simulated array, a NumPy one inside
        return _interface(name, value.__array_interface__, None)
    found: Described = dlpack.describe(name, value)
    return found


def _interface(name: str, told: dict[str, Any], dtype: Any) -> Described:
    if told.get("mask") is not None:
        raise TypeError(f"{name} must not be a masked array: fill it first")
    called, size = _dtype(told["typestr"])
    if not called:
        raise TypeError(f"{name} must have a dtype of float32, float64, float16 or bfloat16, got {told['typestr']!r}")
    # NumPy has no word for the brain float: it is two bytes that the array itself knows the name of
    if called == "void16" and getattr(dtype, "name", "") == "bfloat16":
        called = "bfloat16"
    stream = told.get("stream")
    if stream == 0:
        raise TypeError(f"{name} has a __cuda_array_interface__ of stream 0, which version 3 forbids: 1, 2 or a handle")
    if stream == 1:
        stream = 0  # the same one, as torch and the driver call it
    address, readonly = told["data"]
    strides = told.get("strides")
    if strides is not None:
        if any(step % size for step in strides):
            raise TypeError(f"{name} must have strides of whole elements of {size} bytes, got {strides}")
        strides = tuple(step // size for step in strides)
    device = driver.device_of(address) if address else 0
    return Described(address, tuple(told["shape"]), strides, called, device, stream or 0, not readonly)


@cache
def _dtype(typestr: str) -> tuple[str, int]:
    """(name, bytes) of the array interface's word for a dtype; the name is empty where no array has such numbers."""
    kind = np.dtype(typestr)
    return kind.name if kind.isnative and kind.kind in "fiubV" else "", kind.itemsize


def _make_numba(like: DeviceArray, shape: Shape, strides: Shape, dtype: str) -> Any:
    try:
        kind = np.dtype(np.uint16 if SIMULATED and dtype == "bfloat16" else dtype)
    except TypeError:
        raise TypeError(
            f"a new array of {dtype} cannot be made as Numba's, which has NumPy's dtypes: import ml_dtypes first, "
            "which adds it, or give torch's, CuPy's or JAX's arrays"
        ) from None
    steps = tuple(step * kind.itemsize for step in strides)
    if SIMULATED:
        return cuda.device_array(shape, kind, strides=steps)
    with cuda.gpus[like.device]:
        # 1 is the same stream as 0, which Numba takes for "nothing to come after"
        stream = cuda.external_stream(like.stream or 1)
        return cuda.device_array(shape, kind, strides=steps, stream=stream)


def _recorded(name: str, value: Any) -> Described:
    found: Described = sys.modules[RECORDING].describe(name, value)
    return found


def _make_recorded(like: DeviceArray, shape: Shape, strides: Shape, dtype: str) -> Any:
    return sys.modules[RECORDING].make(like, shape, strides, dtype)


RECORDING: Final = f"{__package__}.recording"
FRAMEWORKS: Final = (
    Framework("torch", "Tensor", _torch, _make_torch),
    Framework("cupy", "ndarray", _cupy, _make_cupy),
    Framework("jax", "Array", _jax, _make_jax, waits=True),
    Framework(RECORDING, "Recorded", _recorded, _make_recorded),
)
ANYBODY: Final = Framework("numba", "", _anybody, _make_numba)


def framework_of(value: object) -> Framework:
    """The framework whose array value is, or what reads everybody's."""
    for each in FRAMEWORKS:
        kind = getattr(sys.modules.get(each.module), each.name, None)
        if kind is not None and isinstance(value, kind):
            return each
    return ANYBODY
