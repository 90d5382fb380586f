"""Reading files: what our parser sees is what protobuf sees, and a tensor is no more than its file has."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

from onnx import TensorProto, helper, numpy_helper

from cnnfast.graph import table
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.specialise import specialise
from cnnfast.onnx import load, wire
from cnnfast.onnx.reader import DTYPES, read

PROTOS = {
    wire.Model: onnx.ModelProto, wire.Graph: onnx.GraphProto, wire.Node: onnx.NodeProto, wire.Tensor: onnx.TensorProto,
    wire.Attribute: onnx.AttributeProto, wire.ValueInfo: onnx.ValueInfoProto, wire.Type: onnx.TypeProto,
    wire.TensorType: onnx.TypeProto.Tensor, wire.Shape: onnx.TensorShapeProto,
    wire.Dimension: onnx.TensorShapeProto.Dimension, wire.Entry: onnx.StringStringEntryProto,
    wire.OperatorSet: onnx.OperatorSetIdProto,
}  # fmt: skip
KINDS = {1: "double", 2: "float", 3: "int", 4: "int", 5: "int", 9: "string", 12: "bytes", 13: "int", 14: "int"}


@pytest.mark.parametrize("ours", PROTOS, ids=lambda each: each.__name__)
def test_messages_are_those_of_onnx(ours: type[wire.Message]) -> None:
    theirs = PROTOS[ours].DESCRIPTOR.fields_by_number
    for number, field in ours.FIELDS.items():
        each = theirs[number]
        assert (each.name, each.is_repeated) == (field.name, field.many)
        if isinstance(field.kind, str) and field.kind not in ("span", "bytes") and each.type != 12:
            assert KINDS[each.type] == field.kind
        elif each.type == 11 and field.kind != "span":
            assert PROTOS[field.kind].DESCRIPTOR.full_name == each.message_type.full_name


def model(*tensors: Any, nodes: Any = None) -> Any:
    """A model with these initializers."""
    made = nodes or [helper.make_node("Identity", ["x"], ["y"])]
    graph = helper.make_graph(
        made, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], tensors,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("code", DTYPES)
@pytest.mark.parametrize("raw", [True, False])
def test_every_type(code: int, raw: bool, rng: np.random.Generator) -> None:
    dtype = np.dtype(DTYPES[code])
    values = rng.integers(0, 2, (2, 3)) if dtype.kind == "b" else rng.integers(-100, 100, (2, 3))
    values = (values if dtype.kind in "ifb" else abs(values)).astype(dtype)
    if dtype.itemsize == 8 and dtype.kind in "iu":
        values[0, 0] = np.iinfo(dtype).max
    if raw:
        tensor = numpy_helper.from_array(values, "w")
    else:
        tensor = helper.make_tensor("w", code, values.shape, values.ravel().tolist())
    array = read(model(tensor).SerializeToString()).arrays["w"]
    assert array.dtype == dtype
    assert array.flags.aligned
    np.testing.assert_array_equal(array, values)
    np.testing.assert_array_equal(array, numpy_helper.to_array(tensor))


def test_a_path_and_its_bytes_are_the_same(tmp_path: Path, rng: np.random.Generator) -> None:
    proto = model(numpy_helper.from_array(rng.standard_normal((3, 5)).astype(np.float32), "w"))
    content = proto.SerializeToString()
    (tmp_path / "m").write_bytes(content)
    a, b = read(tmp_path / "m"), read(content)
    np.testing.assert_array_equal(a.arrays["w"], b.arrays["w"])
    assert a.proto.graph.node[0].op_type == b.proto.graph.node[0].op_type == "Identity"


def test_numbers_one_by_one_and_parts_apart() -> None:
    """A repeated field need not be packed, and a message may come in parts, as protobuf's encoding allows."""
    tensor = (
        b"\x08\x02"
        + b"\x08\x01"
        + b"\x10\x01"
        + b"\x42\x01w"
        + b"".join(b"\x25" + np.float32(v).tobytes() for v in (1, 2))
    )
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    rest = model().SerializeToString()
    both = b"\x3a" + bytes([len(graph)]) + graph + rest
    assert read(both).arrays["w"].tolist() == [[1.0], [2.0]]
    assert numpy_helper.to_array(onnx.load_from_string(both).graph.initializer[0]).tolist() == [[1.0], [2.0]]


def lying(**fields: Any) -> Any:
    """A float tensor (2, 3), right but for some fields."""
    tensor = numpy_helper.from_array(np.zeros((2, 3), np.float32), "w")
    for name, value in fields.items():
        tensor.ClearField(name)
        if isinstance(value, list):
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return tensor


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (lying(dims=[2, 4]), "need 32 bytes, got 24"),
        (lying(dims=[-2, -3]), "sizes >= 0"),
        (lying(dims=[2**40, 2**40]), "more than there can be"),
        (lying(dims=[0, 2**62]), "more than there can be"),
        (lying(dims=[2**31, 3]), "bytes, got 24"),
        (lying(dims=[1] * 100), "at most 32 sizes"),
        (lying(data_type=99), "element type 99"),
        (lying(data_type=TensorProto.STRING), "element type 8"),
        (lying(raw_data=b"123"), "got 3"),
        (lying(raw_data=b"", float_data=[1.0] * 5), "need 6 numbers, got 5"),
        (lying(raw_data=b"", int32_data=[1] * 6), "must be in float_data"),
        (lying(float_data=[1.0] * 6), "twice"),
        (lying(raw_data=b"", data_type=TensorProto.INT8, int32_data=[300] * 6), "do not fit int8"),
        (lying(name=""), "name"),
    ],
)
def test_tensors_that_lie(tensor: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(model(tensor).SerializeToString())


def test_a_name_twice() -> None:
    with pytest.raises(ValueError, match="only once"):
        read(model(lying(), lying()).SerializeToString())


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of a model, beside a file that it may not reach."""
    (tmp_path / "secret").write_bytes(bytes(64))
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "data").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    (folder / "inner" / "data").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    (folder / "within").symlink_to("inner/data")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    os.link(tmp_path / "secret", folder / "hard")
    os.mkfifo(folder / "fifo")
    return folder


def external(folder: Path, **entries: str) -> Path:
    tensor = lying(data_location=TensorProto.EXTERNAL)
    tensor.ClearField("raw_data")
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    (folder / "m.onnx").write_bytes(model(tensor).SerializeToString())
    return folder / "m.onnx"


@pytest.mark.parametrize("location", ["data", "inner/data", "within", "./data"])
def test_external_data(outside: Path, location: str) -> None:
    array = read(external(outside, location=location, offset="8")).arrays["w"]
    np.testing.assert_array_equal(array, np.arange(2, 8, dtype=np.float32).reshape(2, 3))


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "../secret"}, {"location": "inner/../../secret"}, {"location": "link"}, {"location": "hard"},
        {"location": "up/secret"}, {"location": "fifo"}, {"location": "inner"}, {"location": ""}, {"location": "."}, {},
        {"location": "/etc/passwd"}, {"location": "data\0"}, {"location": "data", "key": "x"},
        {"location": "data", "offset": "-1"}, {"location": "data", "offset": "12"},
        {"location": "data", "length": "20"},
        {"location": "data", "offset": "1e3"}, {"location": "data", "offset": "9" * 30},
        {"location": "data", "length": "²"},
    ],
)  # fmt: skip
def test_external_data_elsewhere(outside: Path, entries: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="external data"):
        read(external(outside, **entries))


def test_external_data_of_bytes(outside: Path) -> None:
    with pytest.raises(ValueError, match="given as a path"):
        read(external(outside, location="data").read_bytes())


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"hello", b"\x3a\xff\xff\xff\xff\x0f", b"\x3a\x02\x0a", b"\x0b" * 100, b"\xff" * 20]
)
def test_what_is_no_model(content: bytes) -> None:
    with pytest.raises(ValueError, match="model must be an ONNX file"):
        load(content)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(TypeError, match="path or bytes"):
        load(3)  # type: ignore[arg-type]


def test_names_that_are_not_utf8() -> None:
    content = model().SerializeToString().replace(b"Identity", b"Identit\xff")
    with pytest.raises(ValueError, match="op_type is not UTF-8"):
        load(content)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (
            [("Identity", ["later"], ["a"]), ("Identity", ["a"], ["later"]), ("Identity", ["x"], ["y"])],
            "no node before it",
        ),
        ([("Identity", ["x"], ["y"]), ("Identity", ["x"], ["y"])], "there already"),
        ([("Split", ["x"], ["y", "y"])], "there already"),
        ([("Identity", ["x"], ["y"]), ("NoSuchOp", ["x"], ["z"])], "NoSuchOp .* not supported"),
        ([("Add", ["x"], ["y"])], "takes 2 to 2 inputs"),
        ([("Add", ["x", ""], ["y"])], "takes 2 to 2 inputs"),
        ([("Relu", ["x"], ["y", "z"])], "outputs"),
        ([("Sum", ["x", "", "x"], ["y"])], "inputs"),
    ],
)
def test_graphs_that_are_none(nodes: list[Any], words: str) -> None:
    content = model(nodes=[helper.make_node(*each) for each in nodes]).SerializeToString()
    with pytest.raises(ValueError, match=words):
        load(content)(np.zeros(2, np.float32))


def test_a_graph_in_a_graph_is_never_opened() -> None:
    node = helper.make_node("If", ["x"], ["y"])
    graph = node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g
    for _ in range(20):
        graph = graph.node.add(op_type="If").attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g
    with pytest.raises(ValueError, match="If"):
        load(model(nodes=[node]).SerializeToString())


def test_names_that_end_as_ours_do() -> None:
    """A file's "c:1" is not what a pass may call a value of its own."""
    nodes = [helper.make_node("Relu", ["x"], [f"x:{i}"]) for i in range(1, 4)]
    nodes += [helper.make_node("Transpose", [f"x:{i}"], [f"Relu:{i}"], perm=[0]) for i in range(1, 4)]
    nodes += [helper.make_node("Sum", [f"Relu:{i}" for i in range(1, 4)], ["y"])]
    (y,) = load(model(nodes=nodes).SerializeToString())(np.array([-1, 2], np.float32))
    assert y.tolist() == [0, 6]


def test_a_value_larger_than_memory_is_refused_before_it_is_made() -> None:
    column, row = (
        numpy_helper.from_array(np.zeros(shape, np.float32), name)
        for shape, name in (((10**6, 1), "a"), ((1, 10**6), "b"))
    )
    content = model(
        column,
        row,
        nodes=[helper.make_node("Mul", ["a", "b"], ["c"], name="bomb"), helper.make_node("Sub", ["c", "x"], ["y"])],
    )
    with pytest.raises(MemoryError, match="bomb"):
        load(content.SerializeToString()).executable((2,))


def test_constants_have_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    made = table.Row(lambda: np.zeros(1000, np.float32))
    monkeypatch.setitem(table.TABLE, "made", made)
    graph = Graph([], [])
    for i in range(20):
        graph.add("made", [], output=f"v{i}")
    monkeypatch.setattr("cnnfast.ops.arrays.memory", lambda: 4 * 16_000)
    with pytest.raises(MemoryError, match="v4"):
        specialise(graph, dict[str, Spec]())


@pytest.mark.parametrize("count", [100_000])
def test_many_nodes(count: int) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["v0"])] + [
        helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(count)
    ]
    nodes.append(helper.make_node("Identity", [f"v{count}"], ["y"]))
    proto = read(model(nodes=nodes).SerializeToString()).proto
    assert len(proto.graph.node) == count + 2
