"""A network on a device, as the driver is told it: weights once, a capture, then one call a run."""

import gc
import importlib.util
import sys
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
from cnnfast.backends.cuda import graphs
from cnnfast.graph import device
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.network import improved


def beside(name: str, folder: str) -> ModuleType:
    """A module of the tests of another folder."""
    path = Path(__file__).parents[1] / folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"cuda_{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fakes, device_arrays = beside("test_driver", "compiled"), beside("device_arrays", "simulated")
told = fakes.told
"""The fixture: a driver that writes down what it is told."""

HERE, CAPTURED = 77, 55
"""The caller's stream, and the one that a capture is made on."""


def network() -> Any:
    layers = cnnfast.layers
    inputs = layers.Input((32, 32, 64))
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    return cnnfast.Model(inputs, layers.Dense(10)(layers.Flatten()(layers.MaxPooling2D(4)(x))))


def program(model: Any, *shape: int) -> Any:
    graph = model.graph(shape)
    return device.program(improved(graph, {graph.inputs[0]: Spec(shape, np.dtype(np.float32))}), 1)


def test_weights_are_transformed_once_and_values_share_memory(told: Any) -> None:
    found = program(network(), 4, 32, 32, 64)
    assert [launch.step.kernel.name.partition("(")[0] for launch in found.first] == ["winograd_weights"] * 3
    names = [launch.step.kernel.name.partition("(")[0] for launch in found.launches]
    assert names[:3] == ["winograd_inputs", "batched_gemm", "winograd_outputs"]
    assert "winograd_weights" not in names
    value = 4 * 32 * 32 * 64 * 4
    scratch = 36 * 4 * 8 * 8 * 64 * 4  # V, and M as much
    assert found.arena_size == 2 * scratch + value  # V comes of x alone, and y of M


def test_buffers_that_live_at_once_lie_apart(told: Any) -> None:
    found = program(network(), 2, 32, 32, 64)
    lives: dict[int, tuple[int, int]] = {}
    for i, launch in enumerate(found.launches):
        for place in launch.places:
            lives[place.buffer] = lives.get(place.buffer, (i, i))[0], i
    for i in found.constants:
        lives[i] = 0, len(found.launches)
    lies = {i: (found.offsets[i], found.offsets[i] + found.buffers[i].size) for i in lives}
    at_once = [
        (i, j) for i in lives for j in lives if i < j and lives[i][0] <= lives[j][1] and lives[j][0] <= lives[i][1]
    ]
    assert len(at_once) > len(lives)
    assert [(i, j) for i, j in at_once if lies[i][0] < lies[j][1] and lies[j][0] < lies[i][1]] == []


@pytest.mark.parametrize("name", ["LeNet5", "GoogLeNet", "MobileNetV2", "SqueezeNet"])
def test_networks_have_a_kernel_for_every_op(name: str, told: Any) -> None:
    model = getattr(cnnfast.models, name)()
    found = program(model, 1, *model.input_shape[1:])
    assert found.launches
    assert found.arena_size < 16 << 20


def test_a_run_is_one_graph(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device_arrays.torch_module(monkeypatch)
    told.CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=SimpleNamespace(value=1))
    told.CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_RELAXED="relaxed")
    told.on_cuStreamCreate = lambda flags: (CAPTURED,)
    told.on_cuStreamEndCapture = lambda stream: ("graph",)
    told.on_cuGraphInstantiate = lambda graph, flags: ("ready",)
    x = sys.modules["torch"].Tensor(np.zeros((1, 32, 32, 64), np.float32))
    plan = network().plan((1, 32, 32, 64))
    y = plan(x)
    assert type(y) is type(x)
    assert y.shape == (1, 10)

    streams = [call[9] for call in told.calls if call[0] == "cuLaunchKernel"]
    captured = streams.count(CAPTURED)
    order = [name for name in told.names() if "Stream" in name or "Graph" in name]
    assert order == [
        "cuStreamCreate", "cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate", "cuGraphDestroy",
        "cuStreamDestroy", "cuStreamWaitEvent", "cuGraphLaunch",
    ]  # fmt: skip
    assert ("cuStreamBeginCapture", CAPTURED, "relaxed") in told.calls
    assert captured > 5
    assert streams.count(HERE) >= captured + 2  # once before the capture; the input's copy and the output's
    assert told.names().count("cuMemcpyHtoDAsync") == 8

    told.calls.clear()
    plan(x)
    quiet = "cuCtxGetCurrent", "cuCtxPushCurrent", "cuCtxPopCurrent"
    work = [call for call in told.calls if call[0] not in quiet]
    assert [call[0] for call in work] == [
        "cuStreamWaitEvent", "cuLaunchKernel", "cuGraphLaunch", "cuLaunchKernel", "cuEventRecord",
    ]  # fmt: skip
    assert work[2] == ("cuGraphLaunch", "ready", HERE)
    assert work[0][2] == work[-1][1]  # it comes after the last run, whose stream may be gone by now

    told.calls.clear()
    del plan
    gc.collect()
    assert [name for name in told.names() if "Event" in name] == ["cuEventSynchronize", "cuEventDestroy"]


def test_a_capture_that_fails_tells_why(told: Any) -> None:
    told.CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=SimpleNamespace(value=1))
    told.CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_RELAXED="relaxed")
    told.on_cuStreamCreate = lambda flags: (CAPTURED,)
    told.on_cuStreamEndCapture = lambda stream: ("graph",)

    def launch(stream: int) -> None:
        raise RuntimeError("launching some kernel failed")

    with pytest.raises(RuntimeError, match="some kernel"):
        graphs.capture(launch, 0)
    assert [name for name in told.names() if "Graph" in name or "Capture" in name][-2:] == [
        "cuStreamEndCapture", "cuGraphDestroy",
    ]  # fmt: skip


def test_an_op_without_a_kernel_is_named() -> None:
    graph = Graph(["x"], [])
    graph.outputs = [graph.add("matmul", ["x", "x"], "square")]
    specs = {"x": Spec((4, 4), np.dtype(np.float32))}
    with pytest.raises(NotImplementedError, match=r"square \(matmul\) has no kernel for CUDA devices"):
        device.program(improved(graph, specs), 0)
