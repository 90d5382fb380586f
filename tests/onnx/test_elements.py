"""Element types, and what is refused when a model is loaded."""

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

from onnx import TensorProto, helper, reference

import cnnfast.onnx
from cnnfast.graph.ir import Spec
from cnnfast.graph.network import improved


def network(rng: np.random.Generator, kind: int) -> Any:
    """A convolution, its normalisation and activation, a pool, a constant of its own, a dense layer."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)

    def constant(name: str, array: np.ndarray) -> Any:
        return onnx.numpy_helper.from_array(array.astype(dtype), name)

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "scale", "bias", "mean", "var"], ["b"]),
        helper.make_node("Constant", [], ["half"], value=constant("", np.array([0.5]))),
        helper.make_node("Add", ["b", "half"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Cast", ["f"], ["g"], to=kind),
        helper.make_node("Gemm", ["g", "v"], ["y"]),
    ]
    constants = [
        constant("w", rng.normal(size=(8, 3, 3, 3))), constant("scale", rng.normal(size=8)),
        constant("bias", rng.normal(size=8)), constant("mean", rng.normal(size=8)),
        constant("var", rng.random(8) + 0.5), constant("v", rng.normal(size=(8, 4))),
    ]  # fmt: skip
    ends = [helper.make_tensor_value_info("x", kind, (1, 3, 9, 8)), helper.make_tensor_value_info("y", kind, (1, 4))]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize(("kind", "ulp"), [(TensorProto.FLOAT16, 2.0**-11), (TensorProto.BFLOAT16, 2.0**-8)])
def test_a_narrow_network_is_computed_in_float32_and_rounded_once(
    kind: int, ulp: float, rng: np.random.Generator
) -> None:
    narrow = network(rng, kind)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    wide = network(np.random.default_rng(0), TensorProto.DOUBLE)
    for mine, its in zip(wide.graph.initializer, narrow.graph.initializer, strict=True):
        mine.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(its).astype(np.float64), its.name))
    x = rng.normal(size=(1, 3, 9, 8)).astype(dtype)
    (wanted,) = reference.ReferenceEvaluator(wide).run(None, {"x": x.astype(np.float64)})
    (y,) = cnnfast.onnx.load(narrow.SerializeToString())(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.astype(np.float64), wanted, rtol=1.01 * ulp, atol=1e-5)


def test_a_narrow_network_runs_in_the_engine(rng: np.random.Generator) -> None:
    model = cnnfast.onnx.load(network(rng, TensorProto.FLOAT16).SerializeToString())
    graph = improved(model._network.graph, {"x": Spec((1, 3, 9, 8), np.dtype(np.float16))})
    assert {"conv2d", "adaptive_avg_pool2d", "linear"} <= {node.op for node in graph.nodes}
    assert not [node.label for node in graph.nodes if node.op.startswith("onnx.")]


def one(
    op: str, opset: int, inputs: int = 1, outputs: int = 1, kind: int = TensorProto.FLOAT, **attributes: Any
) -> bytes:
    node = helper.make_node(op, [f"x{i}" for i in range(inputs)], [f"y{i}" for i in range(outputs)], "it", **attributes)
    given = [helper.make_tensor_value_info(name, kind, None) for name in node.input]
    made = [helper.make_empty_tensor_value_info(name) for name in node.output]
    model = helper.make_model(
        helper.make_graph([node], "one", given, made), opset_imports=[helper.make_opsetid("", opset)]
    )  # fmt: skip
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (one("BatchNormalization", 15, 5, 3, training_mode=1), ("it (BatchNormalization)", "training")),
        (one("BatchNormalization", 9, 5, 3), ("it (BatchNormalization)", "training")),
        (one("BatchNormalization", 6, 5), ("it (BatchNormalization)", "training")),
        (one("Dropout", 6), ("it (Dropout)", "training")),
        (one("Cast", 19, to=TensorProto.FLOAT8E4M3FN), ("it (Cast)", "'to'", "FLOAT8E4M3FN")),
        (one("Cast", 13, to=TensorProto.STRING), ("it (Cast)", "'to'", "STRING")),
        (one("QuantizeLinear", 21, 2, output_dtype=22), ("it (QuantizeLinear)", "'output_dtype'", "INT4")),
        (one("Relu", 21, kind=TensorProto.FLOAT8E5M2), ("'x0'", "FLOAT8E5M2")),
        (one("Resize", 19, 3, mode="lanczos"), ("it (Resize)", "mode", "'lanczos'")),
        (one("Resize", 19, 3, mode="nearest", antialias=1), ("it (Resize)", "antialias")),
        (one("Upsample", 9, 2, mode="cubic_"), ("it (Upsample)", "mode")),
        (one("DepthToSpace", 13, blocksize=2, mode="ABC"), ("it (DepthToSpace)", "mode")),
        (one("GridSample", 16, 2, padding_mode="wrap"), ("it (GridSample)", "padding_mode", "'wrap'")),
        (one("LSTM", 14, 3), ("it (LSTM)", "LSTM of opset 14 is not supported")),
        (one("Conv", 11, 2, weight=3), ("it (Conv)", "'weight'")),
        (one("MaxPool", 12), ("it (MaxPool)", "'kernel_shape'", "missing")),
        (one("Relu", 5), ("opset", "6 or later")),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_at_load(model: bytes, words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        cnnfast.onnx.load(model)
    for word in words:
        assert word in str(error.value)


def test_an_input_of_many_may_not_be_left_out() -> None:
    node = helper.make_node("Concat", ["", "x"], ["y"], "it", axis=0)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (2,)) for name in ("x", "y")]
    graph = helper.make_graph([node], "one", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    with pytest.raises(ValueError, match=r"it \(Concat\)"):
        cnnfast.onnx.load(model.SerializeToString())
