"""`cnnfast run` and `cnnfast bench --model`, on small models."""

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

from onnx import TensorProto, helper, numpy_helper

from cnnfast import cli
from cnnfast.bench import profile
from cnnfast.cli import console
from cnnfast.onnx import load


@pytest.fixture
def classifier(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A picture in, the sums of its channels times weights out: 20 classes."""
    weights = {"w": rng.standard_normal((8, 3, 3, 3)), "k": np.ones((8, 1, 3, 3)), "d": rng.standard_normal((20, 8))}
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["c"], name="first", pads=[1, 1, 1, 1]), node("Relu", ["c"], ["r"], name="after"),
        node("Conv", ["r", "k"], ["e"], name="deep", group=8), node("GlobalAveragePool", ["e"], ["g"], name="mean"),
        node("Flatten", ["g"], ["f"], name="flat"), node("Gemm", ["f", "d"], ["y"], name="dense", transB=1),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 24, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 20])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )  # fmt: skip
    path = tmp_path / "classifier.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def shown_classes(text: str) -> list[int]:
    rows = [line.split() for line in text.splitlines()]
    return [int(row[0]) for row in rows if len(row) == 2 and row[0].isdecimal()]


def test_top_classes_of_an_array(
    classifier: Path, tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    x = rng.standard_normal((1, 3, 24, 32)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    assert cli.main(["run", str(classifier), "--input", str(tmp_path / "x.npy")]) == 0
    (scores,) = load(classifier)(x)
    assert shown_classes(capsys.readouterr().out) == np.argsort(-scores[0])[:5].tolist()


def test_a_picture_is_scaled_and_normalised(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image", reason='pip install "cnnfast[cli]"')
    pixels = np.zeros((24, 32, 3), np.uint8)
    pixels[..., 1] = 255
    image.fromarray(pixels).save(tmp_path / "green.png")
    words = ["run", str(classifier), "--input", str(tmp_path / "green.png"), "--mean", "0,0.5,0", "--std", "1,0.25,1"]
    assert cli.main(words) == 0
    x = np.zeros((1, 3, 24, 32), np.float32)
    x[:, 1] = 2
    (scores,) = load(classifier)(x)
    assert shown_classes(capsys.readouterr().out) == np.argsort(-scores[0])[:5].tolist()


@pytest.mark.parametrize("plain", [False, True])
def test_profile_and_trace(
    classifier: Path, tmp_path: Path, plain: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "LIMITS_S", 0.1)
    if plain:
        monkeypatch.setattr(console, "rich", None)
    trace = tmp_path / "trace.json"
    assert cli.main(["run", str(classifier), "--profile", "--trace", str(trace)]) == 0
    shown = capsys.readouterr()
    assert "random numbers" in shown.err
    for word in ("first", "dense", "linear", "of peak", "floor", "in one run"):
        assert word in shown.out
    assert "after" not in shown.out  # it runs with the convolution before it
    events = json.loads(trace.read_text())["traceEvents"]
    assert all(event["ph"] == "X" and event["dur"] > 0 for event in events)
    assert [event["ts"] for event in events] == sorted(event["ts"] for event in events)


def test_a_profile_is_of_the_whole_network(
    classifier: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps, one by one, give what the network gives, and count its multiply-adds."""
    monkeypatch.setattr(profile, "LIMITS_S", 0.05)
    model = load(classifier)
    x = rng.standard_normal((2, 3, 24, 32)).astype(np.float32)
    executable = model.executable(x.shape)
    found = profile.profile(executable, [x], runs=2)
    convs = 2 * 2 * 24 * 32 * 8 * 27 + 2 * 2 * 22 * 30 * 8 * 9
    assert sum(part.flops for part in found.parts if "conv" in part.op) == pytest.approx(convs)
    assert all(part.seconds > 0 for part in found.parts)
    assert found.floor is not None


def test_other_outputs_are_told_by_their_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = helper.make_graph(
        [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Relu", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
         helper.make_tensor_value_info("s", TensorProto.INT64, [3])],
    )  # fmt: skip
    path = tmp_path / "m.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    assert cli.main(["run", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "y: (2, 4, 5) float32" in shown
    assert "s: (3,) int64" in shown


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["no-such.onnx"], "no-such.onnx"),
        (["MODEL", "--input", "no-such.npy"], "no-such.npy"),
        (["MODEL", "--input", "a.npy", "b.npy"], "the model has 1 inputs (x), got 2 --input"),
        (["MODEL", "--trace", "/no/such/folder/t.json"], "trace must be in a folder that exists"),
        (["MODEL", "--threads", "0"], "must be an integer >= 1"),
        (["MODEL", "--mean", "a,b"], "must be numbers"),
    ],
)
def test_bad_arguments(classifier: Path, words: list[str], rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = cli.main(["run", *(str(classifier) if word == "MODEL" else word for word in words)])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert rule in capsys.readouterr().err


def test_bench_of_a_model(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--model", str(classifier), "--seconds", "1", "--threads", "1"]) == 0
    shown = capsys.readouterr().out
    for word in ("ours", "onnxruntime", "openvino", "1.00x", "floor"):
        assert word in shown


def test_bench_of_what_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.onnx").write_bytes(b"hello")
    assert cli.main(["bench", "--model", str(tmp_path / "m.onnx")]) == 2
    assert "must be an ONNX file" in capsys.readouterr().err
