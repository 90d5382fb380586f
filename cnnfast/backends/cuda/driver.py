"""The device's side: contexts, code and launches, through the CUDA driver alone.

The driver is asked for when the first array on a device comes, never when this is imported. Every call is on the
device's primary context, which torch, CuPy, JAX and Numba share, and on the caller's stream; nothing here waits.
"""

import ctypes
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, NamedTuple

from .kernel import Kernel, Step, cubin, forget
from .toolchain import SIMULATED, types

FIELDS: Final = {"int32": "i4x", "uint32": "I4x", "float32": "f4x", "int64": "q", "uint64": "Q", "float64": "d"}
"""How `struct` writes a scalar of each type into a field of 8 bytes."""


class Device(NamedTuple):
    """A device: its number, primary context, name, compute capability, and bytes of shared memory a block may have."""

    number: int
    context: Any
    name: str
    cc: tuple[int, int]
    shared: int


class Loaded(NamedTuple):
    """A kernel on a device: the driver's function, and how its arguments are packed."""

    function: Any
    format: str


@cache
def api() -> Any:
    """The driver's functions, once it has been found."""
    from cuda.bindings import driver

    try:
        status = driver.cuInit(0)[0]
    except RuntimeError as error:
        raise RuntimeError(f"no CUDA driver on this machine: arrays on a device need NVIDIA's ({error})") from error
    if status:
        raise RuntimeError(f"no CUDA device can be used: {_said(driver, status)}")
    return driver


def call(what: str, function: str, *args: Any) -> Any:
    """What a function of the driver returns; an error says that it was `what` that failed."""
    driver = api()
    status, *values = getattr(driver, function)(*args)
    if status:
        kind = MemoryError if status == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY else RuntimeError
        raise kind(f"{what} failed on the CUDA device: {_said(driver, status)}")
    return values[0] if len(values) == 1 else tuple(values)


def _said(driver: Any, status: Any) -> str:
    name, text = (getattr(driver, function)(status)[1] for function in ("cuGetErrorName", "cuGetErrorString"))
    return f"{name.decode()}, {text.decode()}" if name else f"error {int(status)}"


@cache
def device(number: int) -> Device:
    """The device of this number, as torch counts them."""
    count = call("counting devices", "cuDeviceGetCount")
    if not 0 <= number < count:
        raise RuntimeError(f"there is no CUDA device {number}: this machine has {count}")
    handle = call("finding a device", "cuDeviceGet", number)
    attributes = api().CUdevice_attribute
    major, minor, shared = (
        call("asking a device", "cuDeviceGetAttribute", getattr(attributes, f"CU_DEVICE_ATTRIBUTE_{name}"), handle)
        for name in (
            "COMPUTE_CAPABILITY_MAJOR", "COMPUTE_CAPABILITY_MINOR", "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
        )
    )  # fmt: skip
    context = call("taking the primary context", "cuDevicePrimaryCtxRetain", handle)
    name = call("asking a device", "cuDeviceGetName", 256, handle)
    return Device(number, context, name.rstrip(b"\0").decode(), (major, minor), shared)


def device_of(address: int) -> int:
    """The number of the device whose memory this is."""
    if SIMULATED:
        return 0
    ordinal = api().CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    return int(call("asking where an array lies", "cuPointerGetAttribute", ordinal, address))


@contextmanager
def current(here: Device) -> Iterator[None]:
    """The device's context is the thread's own within; what was before is so again."""
    if int(call("asking for the context", "cuCtxGetCurrent")) == int(here.context):
        yield
        return
    call("changing the context", "cuCtxPushCurrent", here.context)
    try:
        yield
    finally:
        call("changing the context", "cuCtxPopCurrent")


_loaded: dict[tuple[str, int], Loaded] = {}
_loading = threading.Lock()


def loaded(made: Kernel, here: Device) -> Loaded:
    """The kernel on a device: compiled or read from the cache, and loaded, when it is first asked for."""
    found = _loaded.get((made.name, here.number))
    if found is None:
        with _loading:
            found = _loaded.get((made.name, here.number)) or _load(made, here)
            _loaded[made.name, here.number] = found
    return found


def _load(made: Kernel, here: Device) -> Loaded:
    if made.shared > here.shared:
        raise RuntimeError(f"{made.name} needs {made.shared} bytes of shared memory, {here.name} has {here.shared}")
    what = f"loading {made.name}"
    try:
        module = call(what, "cuModuleLoadData", cubin(made, here.cc))
    except RuntimeError:
        if not forget(made, here.cc):  # what lay on the disk may be broken
            raise
        module = call(what, "cuModuleLoadData", cubin(made, here.cc))
    function = call(what, "cuModuleGetFunction", module, b"kernel")
    if made.shared:
        attribute = api().CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        call(f"shared memory of {made.name}", "cuFuncSetAttribute", function, attribute, made.shared)
    fields = ("Q" if isinstance(each, types.CPointer) else FIELDS[str(each)] for each in made.parameters)
    return Loaded(function, "<" + "".join(fields))


class _Packed(threading.local):
    """This thread's argument buffers: each is filled and read by the driver within one launch."""

    def __init__(self) -> None:
        self.buffers: dict[str, tuple[Callable[..., None], Any, Any, int]] = {}

    def pack(self, form: str, values: Iterable[Any]) -> int:
        """The address of the addresses of the arguments."""
        found = self.buffers.get(form)
        if found is None:
            layout = struct.Struct(form)
            fields = ctypes.create_string_buffer(layout.size)
            at = ctypes.addressof(fields)
            pointers = (ctypes.c_void_p * (layout.size // 8))(*range(at, at + layout.size, 8))
            found = self.buffers[form] = (layout.pack_into, fields, pointers, ctypes.addressof(pointers))
        found[0](found[1], 0, *values)
        return found[3]


_packed = _Packed()


def launch(steps: Iterable[Step], pointers: Mapping[str, int], number: int, stream: int) -> None:
    """Launch the steps in order on a device's stream."""
    here = device(number)
    with current(here):
        start = api().cuLaunchKernel
        for made, grid, names, scalars in steps:
            if 0 in grid:
                continue  # nothing to do, which the driver has no word for
            function, form = loaded(made, here)
            arguments = _packed.pack(form, (*(pointers[name] for name in names), *scalars))
            status = start(function, *grid, *made.block, made.shared, stream, arguments, 0)[0]
            if status:
                raise RuntimeError(
                    f"launching {made.name} on {grid} blocks of {made.block} threads failed, or something launched "
                    f"before it did: {_said(api(), status)}"
                )


def clear(address: int, size: int, number: int, stream: int) -> None:
    """Zeros over so many bytes."""
    with current(device(number)):
        call("writing zeros", "cuMemsetD8Async", address, 0, size, stream)


def write(address: int, values: Any, number: int, stream: int) -> None:
    """A contiguous NumPy array's numbers to a device's memory."""
    if SIMULATED:
        ctypes.memmove(address, values.ctypes.data, values.nbytes)
        return
    with current(device(number)):
        call("writing constants", "cuMemcpyHtoDAsync", address, values.ctypes.data, values.nbytes, stream)


def follow(stream: int, others: Iterable[int], number: int) -> None:
    """What comes on `stream` is to come after what the other streams still do."""
    late = {other for other in others if other != stream}
    if not late:
        return
    with current(device(number)):
        for other in late:
            event = call("making an event", "cuEventCreate", api().CUevent_flags.CU_EVENT_DISABLE_TIMING.value)
            call("recording an event", "cuEventRecord", event, other)
            call("waiting for a stream", "cuStreamWaitEvent", stream, event, 0)
            call("letting an event go", "cuEventDestroy", event)


def event(number: int) -> Any:
    """A mark that a stream can pass and others can wait for, until it is let go."""
    with current(device(number)):
        return call("making an event", "cuEventCreate", api().CUevent_flags.CU_EVENT_DISABLE_TIMING.value)


def mark(passed: Any, number: int, stream: int) -> None:
    """The event is what the stream has been given until now."""
    with current(device(number)):
        call("recording an event", "cuEventRecord", passed, stream)


def after(passed: Any, number: int, stream: int) -> None:
    """What comes on the stream is to come after the event."""
    with current(device(number)):
        call("waiting for an event", "cuStreamWaitEvent", stream, passed, 0)


def finish(passed: Any, number: int) -> None:
    """Wait until the event has passed, and let it go."""
    with current(device(number)):
        call("what was launched", "cuEventSynchronize", passed)
        call("letting an event go", "cuEventDestroy", passed)


def wait(number: int, stream: int) -> None:
    """Until the stream has done all it was given."""
    with current(device(number)):
        call("what was launched", "cuStreamSynchronize", stream)


def milliseconds(work: Callable[[], object], number: int, stream: int) -> float:
    """What `work` launches takes on the device, by its own clock."""
    with current(device(number)):
        begin, end = (call("making an event", "cuEventCreate", 0) for _ in range(2))
        try:
            call("recording an event", "cuEventRecord", begin, stream)
            work()
            call("recording an event", "cuEventRecord", end, stream)
            call("what was launched", "cuEventSynchronize", end)
            return float(call("measuring", "cuEventElapsedTime", begin, end))
        finally:
            for event in (begin, end):
                call("letting an event go", "cuEventDestroy", event)
