"""What ONNX's nodes become, before and after, and that both give the numbers of ONNX's own evaluator."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.network import improved
from cnnfast.graph.table import evaluate
from cnnfast.onnx import load
from cnnfast.onnx.importer import graph_of
from cnnfast.onnx.reader import read

PICTURE = (2, 8, 6, 5)


class Case(NamedTuple):
    """Nodes as (op, inputs, attributes), each reading the one before as `_`; and what they become."""

    nodes: tuple[tuple[str, str, dict[str, Any]], ...]
    becomes: tuple[str, ...]
    constants: Mapping[str, Any] = MappingProxyType({})
    shape: tuple[int, ...] = PICTURE
    opset: int = 13
    outputs: int = 1
    dtype: Any = np.float32


def one(op: str, becomes: str, inputs: str = "_", constants: dict[str, Any] | None = None, shape: Any = PICTURE,
        opset: int = 13, **attributes: Any) -> Case:  # fmt: skip
    return Case(((op, inputs, attributes),), tuple(becomes.split()), constants or {}, shape, opset)


def f32(*numbers: float) -> Any:
    return np.float32(numbers[0] if len(numbers) == 1 else numbers)


def i64(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


SLOPES = np.linspace(0.1, 0.9, 8, dtype=np.float32).reshape(8, 1, 1)
CASES = {
    "relu": one("Relu", "relu"),
    "leaky": one("LeakyRelu", "leaky_relu", alpha=0.2),
    "elu": one("Elu", "elu", alpha=0.5),
    "celu of 1": one("Celu", "elu"),
    "celu": one("Celu", "onnx.Celu@12", alpha=2.0),
    "selu": one("Selu", "selu"),
    "selu of others": one("Selu", "onnx.Selu@1", alpha=1.5),
    "torch's hardsigmoid": one("HardSigmoid", "hardsigmoid", alpha=1 / 6),
    "keras' hardsigmoid": one("HardSigmoid", "onnx.HardSigmoid@1"),
    "hardswish": one("HardSwish", "hardswish", opset=14),
    "gelu": one("Gelu", "gelu", opset=20),
    "gelu by tanh": one("Gelu", "gelu", opset=20, approximate="tanh"),
    "mish": one("Mish", "mish", opset=18),
    "softplus": one("Softplus", "softplus"),
    "softsign": one("Softsign", "onnx.Softsign@1"),
    "prelu of channels": one("PRelu", "prelu", "_ s", {"s": SLOPES}),
    "prelu of one": one("PRelu", "prelu", "_ s", {"s": f32(0.25).reshape(1)}),
    "clip to relu6": one("Clip", "relu6", "_ a b", {"a": f32(0), "b": f32(6)}),
    "clip to relu": one("Clip", "relu", "_ a", {"a": f32(0)}),
    "clip without a low": one("Clip", "clip", " _  b", {"b": f32(0.5)}),
    "clip by attributes": one("Clip", "relu6", opset=9, min=0.0, max=6.0),
    "clip by attributes, of others": one("Clip", "clip", opset=9, min=-0.5, max=0.5),
    "sum of three": one("Sum", "add add", "_ _ c", {"c": SLOPES}),
    "mean of two": one("Mean", "add divide", "_ c", {"c": SLOPES}),
    "max": one("Max", "maximum", "_ c", {"c": SLOPES}),
    "division by 4": one("Div", "multiply", "_ c", {"c": f32(4)}),
    "division by 3": one("Div", "divide", "_ c", {"c": f32(3)}),
    "division by 0": one("Div", "divide", "_ c", {"c": f32(0)}),
    "square": one("Pow", "multiply", "_ c", {"c": f32(2)}),
    "power 1": one("Pow", "", "_ c", {"c": f32(1)}),
    "power 3": one("Pow", "onnx.Pow@7", "_ c", {"c": f32(3)}),
    "mean of pictures": one("ReduceMean", "adaptive_avg_pool2d reshape", axes=[2, 3]),
    "mean of pictures, flat": one("ReduceMean", "adaptive_avg_pool2d reshape", axes=[-1, -2], keepdims=0),
    "mean of pictures by an input": one("ReduceMean", "adaptive_avg_pool2d reshape", "_ a", {"a": i64(2, 3)}, opset=18),
    "mean of channels": one("ReduceMean", "onnx.ReduceMean@1", axes=[1]),
    "max of pictures": one("ReduceMax", "adaptive_max_pool2d reshape", axes=[2, 3]),
    "pad": one("Pad", "pad2d", "_ p v", {"p": i64(0, 0, 1, 2, 0, 0, 3, 0), "v": f32(1.5)}),
    "pad by attributes": one("Pad", "pad2d", opset=9, pads=[0, 0, 1, 2, 0, 0, 3, 0], value=0.5),
    "pad by reflection": one("Pad", "pad2d", "_ p", {"p": i64(0, 0, 1, 2, 0, 0, 3, 0)}, mode="reflect"),
    "pad by edges": one("Pad", "pad2d", "_ p", {"p": i64(0, 0, 9, 2, 0, 0, 3, 0)}, mode="edge"),
    "pad around": one("Pad", "pad2d", "_ p  a", {"p": i64(1, 2, 3, 0), "a": i64(-2, 3)}, opset=19, mode="wrap"),
    "pad of channels": one("Pad", "onnx.Pad@11", "_ p", {"p": i64(0, 1, 0, 0, 0, 0, 0, 0)}),
    "slice": one("Slice", "slice", "_ s e a", {"s": i64(1, -3), "e": i64(1000, -1), "a": i64(1, 3)}),
    "slice backwards": one("Slice", "slice", "_ s e a t", {"s": i64(-1), "e": i64(-100), "a": i64(2), "t": i64(-2)}),
    "slice by attributes": one("Slice", "slice", opset=9, starts=[1], ends=[3], axes=[1]),
    "split": Case((("Split", "_", {"axis": 1}),), ("slice", "slice"), outputs=2),
    "split of sizes": Case((("Split", "_ s", {"axis": 1}),), ("slice", "slice"), {"s": i64(3, 5)}, outputs=2),
    "split by attributes": Case(
        (("Split", "_", {"axis": -1, "split": [2, 3]}),), ("slice", "slice"), {}, PICTURE, 9, 2),
    "split to the last": Case((("Split", "_", {"axis": 1, "num_outputs": 3}),), ("slice",) * 3, {}, PICTURE, 18, 3),
    "flatten": one("Flatten", "reshape", axis=-2),
    "squeeze": one("Squeeze", "reshape", "_ a", {"a": i64(1)}, (3, 1, 4)),
    "squeeze by attributes": one("Squeeze", "reshape", opset=9, axes=[1], shape=(3, 1, 4)),
    "squeeze of all": one("Squeeze", "reshape", shape=(3, 1, 4, 1)),
    "unsqueeze": one("Unsqueeze", "reshape", "_ a", {"a": i64(-1, 1)}, (3, 4)),
    "unsqueeze by attributes": one("Unsqueeze", "reshape", opset=9, axes=[0, 3], shape=(3, 4)),
    "reshape": one("Reshape", "reshape", "_ a", {"a": i64(0, -1, 5)}),
    "transpose": one("Transpose", "transpose", perm=[0, 2, 1, 3]),
    "cast to the same": one("Cast", "", to=1),
    "cast": one("Cast", "cast", to=11),
    "identity": one("Identity", ""),
}


def model_of(case: Case) -> Any:
    nodes, before = [], "x"
    for i, (op, inputs, attributes) in enumerate(case.nodes):
        names = [before if name == "_" else name for name in inputs.removeprefix(" ").split(" ")]
        last = i + 1 == len(case.nodes)
        outputs = [f"y{j}" for j in range(case.outputs)] if last else [f"v{i}"]
        nodes.append(helper.make_node(op, names, outputs, **attributes))
        before = outputs[0]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(case.dtype))
    graph = helper.make_graph(
        nodes, "case", [helper.make_tensor_value_info("x", kind, case.shape)],
        [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, None) for i in range(case.outputs)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in case.constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)])


def graph(model: Any) -> Graph:
    return graph_of(*read(model.SerializeToString()))


def unsimplified(known: Graph, x: Any) -> list[Any]:
    """The graph's nodes as they are, one after the other."""
    values: dict[str, Any] = {**known.constants, "x": x}
    for node in known.nodes:
        given = evaluate(node, [values.get(name) for name in node.inputs])
        values.update(zip(node.outputs, given, strict=False))
    return [values[name] for name in known.outputs]


def names(known: Graph) -> tuple[str, ...]:
    return tuple(node.op for node in known.nodes if node.op != "transpose" or node.attributes["axes"] == (0, 2, 1, 3))


def same(found: list[Any], wanted: list[Any]) -> None:
    for y, z in zip(found, wanted, strict=True):
        assert y.dtype == z.dtype
        np.testing.assert_allclose(y, z, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_what_a_node_becomes(name: str) -> None:
    case = CASES[name]
    model = model_of(case)
    x = np.random.default_rng(7).normal(size=case.shape, scale=3).astype(case.dtype)
    before = graph(model)
    assert all(node.op.startswith("onnx.") for node in before.nodes)
    assert names(improved(before, {"x": Spec.of(x)})) == case.becomes
    with np.errstate(all="ignore"):
        wanted = ReferenceEvaluator(model).run(None, {"x": x})
    same(load(model.SerializeToString())(x), wanted)
    same(unsimplified(before, x), wanted)


def conv(filters: int, channels: int) -> Any:
    return np.random.default_rng(1).normal(size=(filters, channels, 1, 1)).astype(np.float32)


BETWEEN = {
    "prelu": (("PRelu", "_ s", {}), {"s": SLOPES}),
    "channels' slice": (("Slice", "_ a b c", {}), {"a": i64(2), "b": i64(6), "c": i64(1)}),
    "rows' slice": (("Slice", "_ a b c d", {}), {"a": i64(0), "b": i64(99), "c": i64(2), "d": i64(2)}),
    "where": (("Where", "m _ z", {}), {"m": np.arange(8).reshape(8, 1, 1) % 2 == 0, "z": f32(0)}),
    "clip": (("Clip", "_ a b", {}), {"a": f32(-1), "b": f32(1)}),
    "erf": (("Erf", "_", {}), {}),
    "mod": (("Mod", "_ a", {"fmod": 1}), {"a": SLOPES}),
    "pad": (("Pad", "_ p", {"mode": "edge"}), {"p": i64(0, 0, 1, 0, 0, 0, 0, 1)}),
    "mean": (("ReduceMean", "_", {"axes": [2, 3]}), {}),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_between_convolutions_nothing_is_transposed(name: str) -> None:
    node, constants = BETWEEN[name]
    channels = 4 if name == "channels' slice" else 8
    weights = {"w1": conv(8, 8), "w2": conv(4, channels)}
    model = model_of(Case((("Conv", "_ w1", {}), node, ("Conv", "_ w2", {})), (), {**constants, **weights}))
    x = np.random.default_rng(3).normal(size=PICTURE).astype(np.float32)
    ops = [each.op for each in improved(graph(model), {"x": Spec.of(x)}).nodes]
    assert "transpose" not in ops
    assert ops[0].endswith("conv2d")
    same(load(model.SerializeToString())(x), ReferenceEvaluator(model).run(None, {"x": x}))


def test_a_view_of_a_buffer_outlives_it() -> None:
    """Expand gives a view; what it saw lies in the arena, where later steps write."""
    shape = (64, 32)
    nodes = [
        ("Relu", ["x"], "a"), ("Expand", ["a", "s"], "b"), ("Neg", ["a"], "c"), ("Exp", ["c"], "d"),
        ("Neg", ["d"], "e"), ("Exp", ["e"], "f"), ("Neg", ["f"], "g"), ("Add", ["b", "g"], "y0"),
    ]  # fmt: skip
    file = helper.make_graph(
        [helper.make_node(op, inputs, [output]) for op, inputs, output in nodes], "view",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y0", TensorProto.FLOAT, (2, *shape))],
        [numpy_helper.from_array(i64(2, *shape), "s")],
    )  # fmt: skip
    model = helper.make_model(file, opset_imports=[helper.make_opsetid("", 13)])
    x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    same(load(model.SerializeToString())(x), ReferenceEvaluator(model).run(None, {"x": x}))


SPELT = {
    "silu": ("silu", [("Sigmoid", "x", "a"), ("Mul", "x a", "y0")]),
    "silu, the other way": ("silu", [("Sigmoid", "x", "a"), ("Mul", "a x", "y0")]),
    "mish": ("mish", [("Softplus", "x", "a"), ("Tanh", "a", "b"), ("Mul", "x b", "y0")]),
    "hardsigmoid": ("hardsigmoid", [("Add", "x three", "a"), ("Clip", "a zero six", "b"), ("Div", "b six", "y0")]),
    "hardswish": ("hardswish", [
        ("Add", "three x", "a"), ("Clip", "a zero six", "b"), ("Mul", "x b", "c"), ("Div", "c six", "y0")]),
    "hardswish, divided first": ("hardswish", [
        ("Add", "x three", "a"), ("Clip", "a zero six", "b"), ("Div", "b six", "c"), ("Mul", "c x", "y0")]),
    "hardswish by a sixth": ("hardswish", [
        ("Add", "x three", "a"), ("Clip", "a zero six", "b"), ("Mul", "b sixth", "c"), ("Mul", "c x", "y0")]),
    "hardswish by its gate": ("hardswish", [("HardSigmoid", "x", "a"), ("Mul", "x a", "y0")]),
    "gelu as torch": ("gelu", [
        ("Div", "x root", "a"), ("Erf", "a", "b"), ("Add", "b one", "c"), ("Mul", "x c", "d"),
        ("Mul", "d half", "y0")]),
    "gelu, halved first": ("gelu", [
        ("Mul", "x rroot", "a"), ("Erf", "a", "b"), ("Add", "one b", "c"), ("Mul", "half x", "d"),
        ("Mul", "d c", "y0")]),
    "gelu, half in the gate": ("gelu", [
        ("Div", "x root", "a"), ("Erf", "a", "b"), ("Add", "b one", "c"), ("Mul", "c half", "d"),
        ("Mul", "x d", "y0")]),
    "gelu by tanh": ("gelu", [
        ("Pow", "x three", "a"), ("Mul", "a k", "b"), ("Add", "x b", "c"), ("Mul", "c s", "d"), ("Tanh", "d", "e"),
        ("Add", "e one", "f"), ("Mul", "x f", "g"), ("Mul", "g half", "y0")]),
    "gelu by tanh, cubed by hand": ("gelu", [
        ("Mul", "x x", "a"), ("Mul", "a x", "b"), ("Mul", "k b", "c"), ("Add", "c x", "d"), ("Mul", "s d", "e"),
        ("Tanh", "e", "f"), ("Add", "one f", "g"), ("Mul", "x half", "h"), ("Mul", "h g", "y0")]),
    "another's sigmoid": (None, [("Neg", "x", "b"), ("Sigmoid", "b", "a"), ("Mul", "x a", "y0")]),
    "another number": (None, [("Add", "x one", "a"), ("Clip", "a zero six", "b"), ("Div", "b six", "y0")]),
    "another root": (None, [
        ("Div", "x three", "a"), ("Erf", "a", "b"), ("Add", "b one", "c"), ("Mul", "x c", "d"),
        ("Mul", "d half", "y0")]),
    "a gate twice": (None, [("Sigmoid", "x", "a"), ("Mul", "a a", "y0")]),
}  # fmt: skip
NUMBERS = {
    "zero": f32(0), "one": f32(1), "three": f32(3), "six": f32(6), "half": f32(0.5), "sixth": f32(1 / 6),
    "root": f32(2**0.5), "rroot": f32(0.5**0.5), "k": f32(0.044715), "s": f32((2 / np.pi) ** 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", SPELT)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_that_are_spelt_out(name: str, dtype: Any) -> None:
    wanted, lines = SPELT[name]
    used = {each for _, inputs, _ in lines for each in inputs.split()}
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    file = helper.make_graph(
        [helper.make_node(op, inputs.split(), [output], **({"alpha": 1 / 6} if op == "HardSigmoid" else {}))
         for op, inputs, output in lines], "spelt",
        [helper.make_tensor_value_info("x", kind, PICTURE)], [helper.make_tensor_value_info("y0", kind, PICTURE)],
        [numpy_helper.from_array(number.astype(dtype), each) for each, number in NUMBERS.items() if each in used],
    )  # fmt: skip
    model = helper.make_model(file, opset_imports=[helper.make_opsetid("", 14)])
    x = np.random.default_rng(11).normal(size=PICTURE, scale=3).astype(dtype)
    ops = [node.op for node in improved(graph(model), {"x": Spec.of(x)}).nodes]
    assert ops == [wanted] if wanted else len(ops) > 1
    np.testing.assert_allclose(
        load(model.SerializeToString())(x)[0], ReferenceEvaluator(model).run(None, {"x": x})[0], rtol=1e-5, atol=1e-6
    )
