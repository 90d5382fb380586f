"""The programs of docs/onnx.md run, each page's blocks one after the other."""

import re
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

from onnx import TensorProto, helper, numpy_helper

PAGE = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text()


def blocks(heading: str) -> list[str]:
    """The Python of a part of the page."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    assert found, f"docs/onnx.md has no part {heading!r} with code"
    return found


def run(heading: str) -> None:
    names: dict[str, object] = {}
    for block in blocks(heading):
        exec(compile(block, f"docs/onnx.md, {heading}", "exec"), names)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder with a model.onnx in it."""
    monkeypatch.chdir(tmp_path)
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("GlobalAveragePool", ["c"], ["y"])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4, 1, 1])], [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())


@pytest.fixture(autouse=True)
def threads() -> object:
    """The number of threads is the process': leave it as it was."""
    import cnnfast

    before = cnnfast.get_num_threads()
    yield
    cnnfast.set_num_threads(before)


def test_from_onnx_runtime() -> None:
    run("From ONNX Runtime")


def test_from_torch() -> None:
    pytest.importorskip("torch", reason="pip install torch onnx")
    run("From torch")


def test_from_keras() -> None:
    run("From Keras")
