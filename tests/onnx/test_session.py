"""InferenceSession beside ONNX Runtime's: one program, of which only the import line differs."""

import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

from onnx import TensorProto, helper, numpy_helper

import cnnfast.onnx
from cnnfast.onnx.load import KEPT


def small(shape: list[Any]) -> bytes:
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
    ]
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, [shape[0], 4, *shape[2:]]),
         helper.make_tensor_value_info("g", TensorProto.FLOAT, [shape[0], 4, 1, 1])],
        [numpy_helper.from_array(weight, "w")], doc_string="what it is",
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests")
    model.model_version = 3
    model.metadata_props.add(key="author", value="nobody")
    return bytes(model.SerializeToString())


def program(ort: ModuleType, content: bytes, x: np.ndarray) -> dict[str, Any]:
    """What a program asks of a session."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.enable_mem_pattern = options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.load_model_format", "ONNX")
    session = ort.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])
    meta = session.get_modelmeta()
    return {
        "inputs": [(each.name, each.shape, each.type) for each in session.get_inputs()],
        "outputs": [(each.name, each.shape, each.type) for each in session.get_outputs()],
        "providers": session.get_providers(),
        "there": "CPUExecutionProvider" in ort.get_available_providers(),
        "device": ort.get_device(),
        "meta": (meta.producer_name, meta.graph_name, meta.graph_description, meta.version, meta.custom_metadata_map),
        "entry": options.get_session_config_entry("session.load_model_format"),
        "all": session.run(None, {"x": x}),
        "none": session.run([], {"x": x}),
        "one": session.run(["g"], {"x": x}, ort.RunOptions()),
    }


@pytest.fixture(autouse=True)
def threads() -> object:
    """The number of threads is the process': leave it as it was."""
    before = cnnfast.get_num_threads()
    yield
    cnnfast.set_num_threads(before)


@pytest.mark.parametrize("shape", [[1, 3, 8, 8], ["batch", 3, None, "width"]])
def test_the_same_program(shape: list[Any], rng: np.random.Generator) -> None:
    ort = pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
    x = rng.standard_normal((1, 3, 8, 8)).astype(np.float32)
    theirs, ours = (program(each, small(shape), x) for each in (ort, cnnfast.onnx))
    for name in ("all", "none", "one"):
        for a, b in zip(theirs.pop(name), ours.pop(name), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
    assert ours == theirs


@pytest.mark.parametrize(
    ("names", "feed", "error", "words"),
    [
        (None, {}, ValueError, r"Required inputs \(\['x'\]\) are missing"),
        (None, {"x": np.zeros((1, 3, 8, 8), np.float32), "z": 0}, ValueError, "Invalid input name"),
        (["no"], {"x": np.zeros((1, 3, 8, 8), np.float32)}, ValueError, "Invalid output name"),
        (None, {"x": np.zeros((1, 3, 8, 8))}, TypeError, "float32"),
        (None, {"x": np.zeros((1, 3, 8), np.float32)}, ValueError, "shape"),
        (None, {"x": np.zeros((1, 3, 8, 9), np.float32)}, ValueError, "shape"),
    ],
)
def test_bad_runs(names: Any, feed: dict[str, Any], error: type[Exception], words: str) -> None:
    session = cnnfast.onnx.InferenceSession(small([1, 3, 8, 8]))
    with pytest.raises(error, match=words):
        session.run(names, feed)


def test_bad_options() -> None:
    options = cnnfast.onnx.SessionOptions()
    options.intra_op_num_threads = -1
    with pytest.raises(ValueError, match="intra_op_num_threads must be >= 0, got -1"):
        cnnfast.onnx.InferenceSession(small([1, 3, 8, 8]), options)
    with pytest.raises(TypeError, match="providers"):
        cnnfast.onnx.InferenceSession(small([1, 3, 8, 8]), providers=[3])


def test_many_threads_run_one_session(rng: np.random.Generator) -> None:
    session = cnnfast.onnx.InferenceSession(small(["n", 3, None, None]))
    inputs = [rng.standard_normal((1, 3, size, size)).astype(np.float32) for size in range(8, 12)] * 10
    wanted = [session.run(None, {"x": x}) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for got, there in zip(pool.map(lambda x: session.run(None, {"x": x}), inputs), wanted, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(got, there, strict=True))


def test_alternating_shapes_take_no_more_and_more_memory() -> None:
    model = cnnfast.onnx.load(small(["n", 3, None, None]))
    for turn in range(3):
        for size in range(8, 28):
            model(np.zeros((1, 3, size, size), np.float32))
        if turn == 0:
            known = sorted(map(id, model._ready.values())), len(model._network._plans)
    assert len(known[0]) == len(model._ready) == KEPT
    assert known[1] == len(model._network._plans) <= KEPT


def test_what_was_used_last_is_kept() -> None:
    model = cnnfast.onnx.load(small(["n", 3, None, None]))
    first = model.executable((1, 3, 8, 8))
    for size in range(9, 9 + KEPT - 1):
        model.executable((1, 3, size, size))
        assert model.executable((1, 3, 8, 8)) is first
    model.executable((1, 3, 99, 99))
    assert model.executable((1, 3, 8, 8)) is first


def test_reading_needs_no_other_package(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(small([1, 3, 8, 8]))
    code = "import sys, cnnfast.onnx; cnnfast.onnx.load(sys.argv[1]); assert not {'onnx', 'google'} & set(sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", code, str(tmp_path / "m.onnx")], check=True)


def deep(layers: int) -> bytes:
    """Layers of 590 KB of weights each, for images of one size."""
    rng = np.random.default_rng(7)
    names = ["x", *(f"c{i}" for i in range(layers))]
    nodes = [helper.make_node("Conv", [x, f"w{y}", "b"], [y], pads=[1] * 4) for x, y in pairwise(names)]
    weights = [rng.standard_normal((128, 128, 3, 3)).astype(np.float32) / 34 for _ in range(layers)]
    images = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 128, 6, 6]) for name in ("x", names[-1])]
    constants = [numpy_helper.from_array(w, f"w{y}") for w, y in zip(weights, names[1:], strict=True)]
    constants.append(numpy_helper.from_array(np.ones(128, np.float32), "b"))
    graph = helper.make_graph(nodes, "deep", images[:1], images[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def deep_file(tmp_path: Path) -> Path:
    path = tmp_path / "deep.onnx"
    path.write_bytes(deep(6))
    return path


def test_weights_go_as_they_are_packed(deep_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnfast.graph import lower

    held: list[int] = []
    put = lower.Plans.put

    def watched(self: Any, *arguments: Any) -> None:
        held.append(tracemalloc.get_traced_memory()[0])
        put(self, *arguments)

    monkeypatch.setattr(lower.Plans, "put", watched)
    tracemalloc.start()
    try:
        session = cnnfast.onnx.InferenceSession(deep_file)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    weight = 128 * 128 * 9 * 4
    assert held[0] > 6 * weight
    assert all(b < a - 0.9 * weight for a, b in pairwise(held))
    assert after < weight
    x = np.random.default_rng(3).standard_normal((1, 128, 6, 6)).astype(np.float32)
    deep_file.unlink()  # it needs the file no more
    expected = cnnfast.onnx.load(deep(6))(x)[0]
    assert np.array_equal(session.run(None, {"x": x})[0], expected)


def test_a_session_whose_plan_fails(deep_file: Path) -> None:
    x = np.random.default_rng(3).standard_normal((1, 128, 6, 6)).astype(np.float32)
    before = cnnfast.get_max_workspace()
    cnnfast.set_max_workspace(1000)
    try:
        session = cnnfast.onnx.InferenceSession(deep_file)
        with pytest.raises((MemoryError, ValueError), match="max_workspace"):
            session.run(None, {"x": x})
    finally:
        cnnfast.set_max_workspace(before)
    assert np.array_equal(session.run(None, {"x": x})[0], cnnfast.onnx.load(deep_file)(x)[0])
