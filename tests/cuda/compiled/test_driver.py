"""What the CUDA driver is told, in order: by a driver that writes it down, since no device is needed for that."""

import ctypes
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if toolchain.SIMULATED:
    pytest.skip("the driver is called where NUMBA_ENABLE_CUDASIM is not set", allow_module_level=True)

import cnnfast
from cnnfast.backends.cuda import arrays, driver, frameworks, kernel
from cnnfast.backends.cuda import run as launches
from cnnfast.backends.cuda.arrays import DeviceArray
from cnnfast.backends.cuda.kernel import Kernel, Plan, Step
from cnnfast.backends.cuda.toolchain import pointer, types


class Result(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100


class Driver(ModuleType):
    """cuda.bindings.driver, its calls kept and its failures chosen."""

    CUresult = Result
    CUevent_flags = SimpleNamespace(CU_EVENT_DISABLE_TIMING=SimpleNamespace(value=2))
    CUpointer_attribute = SimpleNamespace(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL=9)
    CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8)
    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR="major", CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR="minor",
        CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN="shared",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__("cuda.bindings.driver")
        self.calls: list[tuple[Any, ...]] = []
        self.fails: dict[str, Any] = {}
        self.context = 0
        self.packed: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cu"):
            raise AttributeError(name)

        def called(*args: Any) -> tuple[Any, ...]:
            self.calls.append((name, *args))
            failure = self.fails.get(name)
            if isinstance(failure, Exception):
                raise failure
            if failure is not None:
                return failure, None
            return (Result.CUDA_SUCCESS, *getattr(self, f"on_{name}", lambda *args: ())(*args))

        return called

    def on_cuDeviceGetCount(self) -> tuple[int]:
        return (2,)

    def on_cuDeviceGet(self, number: int) -> tuple[str]:
        return (f"device {number}",)

    def on_cuDevicePrimaryCtxRetain(self, device: str) -> tuple[int]:
        return (1000 + int(device[-1]),)

    def on_cuDeviceGetAttribute(self, attribute: str, device: str) -> tuple[int]:
        return ({"major": 9, "minor": 0, "shared": 232448}[attribute],)

    def on_cuDeviceGetName(self, size: int, device: str) -> tuple[bytes]:
        return (b"Made Up\0\0",)

    def on_cuCtxGetCurrent(self) -> tuple[int]:
        return (self.context,)

    def on_cuCtxPushCurrent(self, context: int) -> tuple[()]:
        self.context = context
        return ()

    def on_cuCtxPopCurrent(self) -> tuple[int]:
        self.context = 0
        return (0,)

    def on_cuModuleLoadData(self, code: bytes) -> tuple[bytes]:
        return (code,)

    def on_cuModuleGetFunction(self, module: bytes, name: bytes) -> tuple[bytes]:
        return (module,)

    def on_cuPointerGetAttribute(self, attribute: int, address: int) -> tuple[int]:
        return (1,)

    def on_cuEventCreate(self, flags: int) -> tuple[str]:
        return (f"event {flags}",)

    def on_cuEventElapsedTime(self, begin: str, end: str) -> tuple[float]:
        return (1.5,)

    def on_cuLaunchKernel(self, function: bytes, *args: Any) -> tuple[()]:
        count, size = function.count(b"\0"), 8
        addresses = (ctypes.c_void_p * count).from_address(args[8])
        self.packed.append(b"".join(ctypes.string_at(at, size) for at in addresses))
        return ()

    def on_cuGetErrorName(self, status: Result) -> tuple[bytes]:
        return (status.name.encode(),)

    def on_cuGetErrorString(self, status: Result) -> tuple[bytes]:
        return (b"as the driver says it",)

    def names(self) -> list[str]:
        return [name for name, *_ in self.calls]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    import cuda.bindings

    fake = Driver()
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", fake)
    monkeypatch.setattr(cuda.bindings, "driver", fake, raising=False)
    # a kernel's code says how many arguments it has, a zero byte each
    monkeypatch.setattr(driver, "cubin", lambda made, cc: f"{made.name} {cc}".encode() + b"\0" * len(made.parameters))
    monkeypatch.setattr(driver, "_loaded", {})
    driver.api.cache_clear()
    driver.device.cache_clear()
    yield fake
    driver.api.cache_clear()
    driver.device.cache_clear()


def made(name: str, *parameters: Any, shared: int = 0) -> Kernel:
    return Kernel(name, lambda: None, parameters, (32, 2, 1), shared)


def array(address: int, stream: int = 77, number: int = 0, owner: Any = None) -> DeviceArray:
    return DeviceArray(address, (4,), (1,), "float32", number, stream, address, owner)


P32 = pointer(types.float32)
STEP = Step(made("scale", P32, P32, types.int32, types.float32, types.int64), (5, 1, 1), ("x", "y"), (3, 0.5, 2**40))


def test_a_launch(told: Driver) -> None:
    driver.launch((STEP,), {"x": 4096, "y": 8192}, 1, 77)
    *before, start, after = told.calls
    assert start[:8] == ("cuLaunchKernel", b"scale (9, 0)" + b"\0" * 5, 5, 1, 1, 32, 2, 1)
    assert (start[8], start[9], start[11]) == (0, 77, 0)
    assert told.packed == [struct.pack("<QQi4xf4xq", 4096, 8192, 3, 0.5, 2**40)]
    assert [name for name, *_ in before if "Ctx" in name] == [
        "cuDevicePrimaryCtxRetain", "cuCtxGetCurrent", "cuCtxPushCurrent",
    ]  # fmt: skip
    assert after == ("cuCtxPopCurrent",)


def test_the_second_launch_asks_for_nothing(told: Driver) -> None:
    driver.launch((STEP,), {"x": 1, "y": 2}, 0, 0)
    told.calls.clear()
    told.context = 1000  # as torch leaves it
    driver.launch((STEP, STEP), {"x": 3, "y": 4}, 0, 0)
    assert told.names() == ["cuCtxGetCurrent", "cuLaunchKernel", "cuLaunchKernel"]
    assert told.packed[-1][:16] == struct.pack("<QQ", 3, 4)


def test_a_module_for_each_device(told: Driver) -> None:
    for number in (0, 1, 0, 1):
        driver.launch((STEP,), {"x": 1, "y": 2}, number, 0)
    assert told.names().count("cuModuleLoadData") == 2
    assert told.names().count("cuInit") == 1


def test_dynamic_shared_memory(told: Driver) -> None:
    driver.launch((Step(made("big", P32, shared=100_000), (1, 1, 1), ("x",), ()),), {"x": 1}, 0, 0)
    assert ("cuFuncSetAttribute", b"big (9, 0)\0", 8, 100_000) in told.calls
    assert told.calls[-2][8] == 100_000
    with pytest.raises(RuntimeError, match="huge needs 300000 bytes of shared memory, Made Up has 232448"):
        driver.launch((Step(made("huge", P32, shared=300_000), (1, 1, 1), ("x",), ()),), {"x": 1}, 0, 0)


def test_an_empty_grid_is_not_launched(told: Driver) -> None:
    driver.launch((STEP._replace(grid=(0, 1, 1)),), {"x": 1, "y": 2}, 0, 0)
    assert "cuLaunchKernel" not in told.names()


FAILURES = {
    "cuInit": (RuntimeError("libcuda.so.1 was not found"), "no CUDA driver on this machine"),
    "cuDeviceGet": (Result.CUDA_ERROR_INVALID_VALUE, "finding a device failed on the CUDA device"),
    "cuModuleLoadData": (Result.CUDA_ERROR_INVALID_VALUE, "loading scale failed"),
    "cuLaunchKernel": (Result.CUDA_ERROR_INVALID_VALUE, r"launching scale on \(5, 1, 1\) blocks of \(32, 2, 1\)"),
}  # fmt: skip


@pytest.mark.parametrize("function", FAILURES)
def test_failures_say_what_failed(told: Driver, function: str) -> None:
    told.fails[function], message = FAILURES[function]
    with pytest.raises(RuntimeError, match=message):
        driver.launch((STEP,), {"x": 1, "y": 2}, 0, 0)
    assert told.context == 0


def test_no_device_and_no_such_device(told: Driver) -> None:
    with pytest.raises(RuntimeError, match="there is no CUDA device 7: this machine has 2"):
        driver.device(7)
    told.fails["cuInit"] = Result.CUDA_ERROR_NO_DEVICE
    driver.api.cache_clear()
    with pytest.raises(RuntimeError, match="no CUDA device can be used: CUDA_ERROR_NO_DEVICE, as the driver says it"):
        driver.device(0)


def test_memory_that_cannot_be_had(told: Driver) -> None:
    told.fails["cuModuleLoadData"] = Result.CUDA_ERROR_OUT_OF_MEMORY
    with pytest.raises(MemoryError, match="loading scale"):
        driver.launch((STEP,), {"x": 1, "y": 2}, 0, 0)


class Owner:
    """Somebody's array, and its maker."""


def test_a_run_takes_scratch_from_the_framework_and_waits_for_other_streams(
    told: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def make(like: DeviceArray, shape: Any, strides: Any, dtype: str) -> Owner:
        asked.append((shape, dtype, like.device))
        return Owner()

    def describe(name: str, value: Any) -> Any:
        return frameworks.Described(640, (6,), None, "float64", 1, 5)

    kind = frameworks.Framework("", "", describe, make, waits=True)
    monkeypatch.setattr(frameworks, "framework_of", lambda value: kind)
    plan = Plan((STEP._replace(arrays=("x", "between")),), {"between": (6, "float64")})
    launches.run(plan, {"x": array(64, 3, 1, Owner()), "y": array(128, 4, 1)}, array(64, 3, 1, Owner()))
    assert asked == [((6,), "float64", 1)]
    assert told.packed[0][:16] == struct.pack("<QQ", 64, 640)
    order = [name for name in told.names() if name.startswith(("cuEvent", "cuStream", "cuLaunch"))]
    assert order == [
        "cuEventCreate", "cuEventRecord", "cuStreamWaitEvent", "cuEventDestroy", "cuLaunchKernel",
        "cuEventCreate", "cuEventRecord", "cuStreamWaitEvent", "cuEventDestroy", "cuStreamSynchronize",
    ]  # fmt: skip
    assert ("cuEventRecord", "event 2", 4) in told.calls
    assert ("cuStreamWaitEvent", 3, "event 2", 0) in told.calls
    assert ("cuStreamWaitEvent", 4, "event 2", 0) in told.calls  # what y's maker does next comes after


def test_a_run_on_one_stream_launches_alone_and_waits_for_who_knows_none(
    told: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = frameworks.ANYBODY._replace(waits=True)
    monkeypatch.setattr(frameworks, "framework_of", lambda value: waits if value == "waits" else frameworks.ANYBODY)
    x = array(64, 3)
    given = {"x": x, "y": array(128, 3)}
    launches.run(Plan((STEP,)), given, x)
    order = [name for name in told.names() if name.startswith(("cuEvent", "cuStream", "cuLaunch"))]
    assert order == ["cuLaunchKernel"]
    launches.run(Plan((STEP,)), {**given, "y": array(128, 3, owner="waits")}, x)
    assert told.names()[-2:] == ["cuStreamSynchronize", "cuCtxPopCurrent"]


def test_a_new_array_of_jax_has_64_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = []

    class Device:
        local_hardware_id = 0

    class Array:
        shape = (3,)

        def __init__(self, dtype: str) -> None:
            self.dtype = SimpleNamespace(name=dtype)

        def devices(self) -> set[Any]:
            return {Device}

        def block_until_ready(self) -> Any:
            return self

        def unsafe_buffer_pointer(self) -> int:
            return 4096

    @contextmanager
    def enable_x64(on: bool) -> Iterator[None]:
        wide.append(on)
        yield
        wide.pop()

    def made(shape: Any, dtype: str, device: Any) -> Array:
        return Array(dtype if wide else dtype.replace("64", "32"))

    jax = SimpleNamespace(Array=Array, enable_x64=enable_x64, numpy=SimpleNamespace(empty=made))
    monkeypatch.setitem(sys.modules, "jax", jax)
    x = array(4096, 0, 0, Array("float32"))
    assert arrays.empty(x, (3,), "int64").dtype == "int64"
    jax.enable_x64 = lambda on: nullcontext()
    with pytest.raises(RuntimeError, match="a new array of int64 was wanted, jax made one of int32"):
        arrays.empty(x, (3,), "int64")


def test_a_new_array_of_numbas_names_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = SimpleNamespace(
        gpus=[nullcontext()], external_stream="stream {}".format, device_array=lambda *args, **how: how["stream"]
    )  # fmt: skip
    monkeypatch.setattr(frameworks, "cuda", numba)
    made = [frameworks.ANYBODY.make(array(64, stream), (2,), (1,), "float32") for stream in (0, 2, 77)]
    assert made == ["stream 1", "stream 2", "stream 77"]
    with pytest.raises(TypeError, match="a new array of bfloat17 cannot be made as Numba's"):
        frameworks.ANYBODY.make(array(64), (2,), (1,), "bfloat17")


def test_code_on_the_disk_that_cannot_be_loaded_is_made_again(
    told: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CNNFAST_CACHE_DIR", str(tmp_path))
    compiled = []

    class Program:
        def __init__(self, *args: Any) -> None:
            pass

        def compile(self, kind: str) -> Any:
            compiled.append(kind)
            told.fails.clear()
            return SimpleNamespace(code=b"code" + b"\0" * 5)

    import cuda.core

    monkeypatch.setattr(cuda.core, "Program", Program)
    monkeypatch.setattr(kernel, "ptx", lambda made: "")
    monkeypatch.setattr(driver, "cubin", kernel.cubin)
    assert kernel.cubin(STEP.kernel, (9, 0)) == kernel.cubin(STEP.kernel, (9, 0))
    (kept,) = (tmp_path / "cuda").iterdir()
    assert (kept.suffix, len(compiled)) == (".cubin", 1)
    kept.write_bytes(b"half of it")
    told.fails["cuModuleLoadData"] = Result.CUDA_ERROR_INVALID_VALUE
    driver.launch((STEP,), {"x": 1, "y": 2}, 0, 0)
    assert (kept.read_bytes()[:4], len(compiled)) == (b"code", 2)
    assert list((tmp_path / "cuda").iterdir()) == [kept]

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("CNNFAST_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert kernel.cubin(STEP.kernel, (9, 0))[:4] == b"code"
    assert (len(compiled), kernel.forget(STEP.kernel, (9, 0))) == (3, False)


def test_milliseconds_are_the_devices(told: Driver) -> None:
    assert driver.milliseconds(lambda: told.calls.append(("work",)), 0, 9) == 1.5
    names = told.names()
    assert names.index("cuEventRecord") < names.index("work") < names.index("cuEventSynchronize")
    assert names.count("cuEventDestroy") == 2


def test_the_legacy_stream_has_one_number(told: Driver) -> None:
    x = Foreign(1 << 20, (4,))
    for named, number in ((None, 0), (1, 0), (2, 2), (77, 77)):
        x.__cuda_array_interface__["stream"] = named
        assert arrays.read("x", x).stream == number


class Foreign:
    """An array on device 1, as the driver says."""

    def __init__(self, address: int, shape: tuple[int, ...]) -> None:
        self.__cuda_array_interface__ = {
            "version": 3, "shape": shape, "typestr": "<f4", "data": (address, False), "stream": 2,
        }  # fmt: skip


def test_a_call_from_the_public_functions(told: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", told)
    x, w, out = Foreign(1 << 20, (1, 4, 4, 3)), Foreign(1 << 21, (3, 3, 3, 5)), Foreign(1 << 22, (1, 2, 2, 5))
    assert cnnfast.conv2d(x, w, algorithm="plain", out=out) is out
    start = next(call for call in told.calls if call[0] == "cuLaunchKernel")
    assert start[9] == 2
    assert told.packed[0][:8] == struct.pack("<Q", 1 << 20)
    assert ("cuCtxPushCurrent", 1001) in told.calls
    with pytest.raises(ValueError, match="out must not overlap an input, got one that shares memory with x"):
        cnnfast.conv2d(x, w, out=Foreign((1 << 20) + 64, (1, 2, 2, 5)))


def test_no_driver_is_said_where_there_is_none() -> None:
    driver.api.cache_clear()
    with suppress(RuntimeError):
        driver.api()
        pytest.skip("this machine has a driver and a device")
    with pytest.raises(RuntimeError, match=r"no CUDA driver on this machine|no CUDA device can be used"):
        cnnfast.conv2d(Foreign(1 << 20, (1, 4, 4, 3)), Foreign(1 << 21, (3, 3, 3, 5)))
    assert np.all(cnnfast.relu(np.ones(3)) == 1)  # and the CPU's ops go on
