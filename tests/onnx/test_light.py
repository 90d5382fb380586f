"""The nine networks that come with onnx without their weights: as their files say, and with weights of size."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

import cnnfast.onnx

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NETWORKS = sorted(path.stem for path in FOLDER.glob("*.onnx"))


def read(name: str) -> tuple[Any, np.ndarray]:
    """A model and a picture for it."""
    model = onnx.load(FOLDER / f"{name}.onnx")
    given = {each.name for each in model.graph.initializer}
    (picture,) = [each for each in model.graph.input if each.name not in given]
    shape = [size.dim_value for size in picture.type.tensor_type.shape.dim]
    return model, (np.arange(np.prod(shape)).reshape(shape) / np.prod(shape)).astype(np.float32)


def with_weights(model: Any, rng: np.random.Generator) -> Any:
    """The model, its ConstantOfShape nodes made weights by He et al., "Delving deep into rectifiers", section 2.2."""
    shapes = {each.name: tuple(onnx.numpy_helper.to_array(each)) for each in model.graph.initializer}
    kept = []
    roles: dict[str, str] = {}
    for node in model.graph.node:
        names = ("", "scale", "bias", "mean", "var") if node.op_type == "BatchNormalization" else ("", "weight", "bias")
        if node.op_type in ("BatchNormalization", "Conv", "Gemm"):
            roles.update(zip(node.input, names, strict=False))
        if node.op_type == "Unsqueeze":  # a scale and a bias written as Mul and Add
            roles.setdefault(node.input[0], "scale")
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape, role = shapes[node.input[0]], roles.get(node.output[0], "")
        if role == "weight":
            values = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        elif role in ("scale", "var"):
            values = rng.random(shape, np.float32) + np.float32(0.5)
        else:
            values = rng.standard_normal(shape, np.float32) * np.float32(0.1)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def test_there_are_nine() -> None:
    assert len(NETWORKS) == 9


@pytest.mark.parametrize("name", NETWORKS)
def test_as_the_file_says(name: str) -> None:
    model, picture = read(name)
    (y,) = cnnfast.onnx.load(model.SerializeToString())(picture)
    wanted = onnx.numpy_helper.to_array(onnx.load_tensor(FOLDER / f"{name}_output_0.pb"))
    np.testing.assert_allclose(y, wanted, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", NETWORKS)
def test_agrees_with_onnx_runtime(name: str, rng: np.random.Generator) -> None:
    ort = pytest.importorskip("onnxruntime", reason="a second opinion: pip install onnxruntime")
    model, picture = read(name)
    content = with_weights(model, rng).SerializeToString()
    x = rng.normal(size=picture.shape).astype(np.float32)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {session.get_inputs()[0].name: x})
    (y,) = cnnfast.onnx.load(content)(x)
    assert wanted.std() > 0, "the weights make the answer depend on nothing"
    np.testing.assert_allclose(y, wanted, rtol=1e-3, atol=1e-5 * wanted.max())
