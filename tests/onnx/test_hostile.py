"""Files that lie: whatever is in one, load and run give a result or a documented error, and touch nothing else.

    python tests/onnx/test_hostile.py --files 20000 --seed 0

mutates so many files, in worker processes with little memory and a time limit for each file; the suite runs a few.
"""

import argparse
import faulthandler
import json
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper

ERRORS = (ValueError, TypeError, MemoryError, OSError)
SECONDS, MEMORY = 30.0, 4 * 2**30
MOST = 100_000
SIZES = (0, 1, 2, 3, 7, -1, -2, 255, 1000, 65_536, 10**6, 2**31 - 1, 2**31, 2**32 + 1, 2**62, 2**63 - 1, -(2**63))
PLACES = (
    "../secret", "/etc/passwd", "link", "data/../../secret", "hard", "", ".", "fifo", "weights\0", "no-such-file",
    "folder/link", "~/x",
)  # fmt: skip


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def model(nodes: list[Any], x: list[Any], constants: dict[str, Any], opset: int = 17) -> Any:
    """A model from x to the last node's first output."""
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def seeds() -> list[bytes]:
    """Files that are right: a classifier, shape arithmetic, external and typed data, the official cases."""
    node = helper.make_node
    found = [
        model(
            [
                node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2]),
                node("BatchNormalization", ["c", "b", "b", "b", "v"], ["n"]),
                node("Relu", ["n"], ["r"]),
                node("MaxPool", ["r"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
                node("Conv", ["p", "d"], ["e"], group=4, kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
                node("Add", ["e", "p"], ["a"]), node("GlobalAveragePool", ["a"], ["g"]), node("Flatten", ["g"], ["f"]),
                node("Gemm", ["f", "m", "k"], ["z"], transB=1), node("Softmax", ["z"], ["y"]),
            ],
            ["n", 3, 16, 16],
            {"w": floats(4, 3, 3, 3), "b": floats(4), "v": np.ones(4, np.float32), "d": floats(4, 1, 3, 3),
             "m": floats(5, 4), "k": floats(5)},
        ),
        model(
            [
                node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"], axis=0),
                node("Unsqueeze", ["n", "zero1"], ["u"]), node("Concat", ["u", "minus"], ["t"], axis=0),
                node("Reshape", ["x", "t"], ["r"]), node("Transpose", ["r"], ["v"], perm=[1, 0]),
                node("Slice", ["v", "zero1", "two"], ["w"]), node("Concat", ["w", "w"], ["y"], axis=1),
            ],
            [2, 3, 4],
            {"zero": np.int64(0), "zero1": np.array([0]), "minus": np.array([-1]), "two": np.array([2])},
        ),
        model(
            [
                node("ConstantOfShape", ["shape"], ["c"]), node("Expand", ["one", "shape"], ["e"]),
                node("Tile", ["e", "twice"], ["t"]), node("Range", ["a", "b", "step"], ["r"]),
                node("Pad", ["x", "pads"], ["p"]), node("OneHot", ["shape", "depth", "onoff"], ["o"]),
                node("Resize", ["x", "", "scales"], ["z"]), node("Mul", ["column", "row"], ["q"]),
                node("Add", ["c", "e"], ["s"]), node("Identity", ["s"], ["y"]),
            ],
            [1, 1, 4, 4],
            {"shape": np.array([2, 3]), "one": np.ones(1, np.float32), "twice": np.array([2, 2]), "a": np.int64(0),
             "b": np.int64(9), "step": np.int64(1), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "depth": np.int64(4),
             "onoff": np.array([0, 1], np.float32), "scales": np.array([1, 1, 2, 2], np.float32),
             "column": floats(50, 1), "row": floats(1, 50)},
        ),
        model([node("Add", ["x", "w"], ["y"])], [2, 3], {"w": floats(2, 3)}),
        model([node("MatMul", ["x", "w"], ["m"]), node("Sub", ["m", "t"], ["y"])], [2, 3], {"w": floats(3, 2)}),
    ]  # fmt: skip
    out = found[3].graph.initializer[0]
    out.ClearField("raw_data")
    out.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights"), ("offset", "8"), ("length", "24")):
        out.external_data.add(key=key, value=value)
    found[4].graph.initializer.append(helper.make_tensor("t", TensorProto.FLOAT, [2, 2], [1.0, 2, 3, 4]))
    body = helper.make_graph([node("Identity", ["x"], ["i"])], "body", [], [helper.make_empty_tensor_value_info("i")])
    found.append(model([node("If", ["w"], ["y"], then_branch=body, else_branch=body)], [1], {"w": np.array([True])}))
    return [each.SerializeToString() for each in found] + official()


def official() -> list[bytes]:
    """Some of the official cases' models."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "node"
    files = sorted(folder.glob("*/model.onnx"))
    return [path.read_bytes() for path in files if path.stat().st_size < 20_000]


def mutated(files: list[bytes], seed: int, i: int) -> bytes:
    """File number i: of one of our own seeds or of an official case, its bytes or its meaning changed."""
    rng = random.Random(f"{seed}/{i}")
    content = rng.choice(files[:6] if i % 2 else files)
    change = structured if i % 3 else scrambled
    return change(content, files, rng)


def scrambled(content: bytes, files: list[bytes], rng: random.Random) -> bytes:
    """Bytes changed, cut off, repeated, or joined with another file's."""
    data, way = bytearray(content), rng.randrange(5)
    if way == 0:
        return bytes(data[: rng.randrange(len(data) + 1)])
    if way == 1:
        at, size = rng.randrange(len(data)), rng.randrange(64)
        data[at:at] = data[at : at + size] * rng.choice((1, 2, 50))
        return bytes(data)
    if way == 2:
        other = rng.choice(files)
        return bytes(data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :])
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(data)


def structured(content: bytes, files: list[bytes], rng: random.Random) -> bytes:
    """A file that is protobuf still, and says something else."""
    proto = onnx.ModelProto()
    proto.ParseFromString(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(CHANGES)(proto, rng)
    return bytes(proto.SerializeToString())


def pick(items: Any, rng: random.Random) -> Any:
    return items[rng.randrange(len(items))] if len(items) else None


def change_dims(proto: Any, rng: random.Random) -> None:
    tensor = pick(proto.graph.initializer, rng)
    if tensor is not None:
        if len(tensor.dims) and rng.random() < 0.7:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(SIZES)
        else:
            tensor.dims.extend([rng.choice(SIZES)] * rng.choice((1, 2, 70)))


def change_tensor(proto: Any, rng: random.Random) -> None:
    tensor, way = pick(proto.graph.initializer, rng), rng.randrange(5)
    if tensor is None:
        return
    if way == 0:
        tensor.data_type = rng.randrange(28)
    elif way == 1:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    elif way == 2:
        tensor.float_data.extend([float("nan")] * rng.randrange(5))
    elif way == 3:
        tensor.name = rng.choice([each.name for each in proto.graph.initializer] + ["", "x", "y", "\0"])
    elif tensor.raw_data:
        values = bytearray(tensor.raw_data)
        width = 8 if tensor.data_type == TensorProto.INT64 else 4
        at = rng.randrange(max(1, len(values) // width)) * width
        values[at : at + width] = (rng.choice(SIZES) % 2 ** (8 * width)).to_bytes(width, "little")
        tensor.raw_data = bytes(values)


def change_external(proto: Any, rng: random.Random) -> None:
    tensor = pick(proto.graph.initializer, rng)
    if tensor is not None:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
        key = rng.choice(("location", "offset", "length", "checksum", "basepath", ""))
        values = PLACES if key == "location" else [str(size) for size in SIZES] + ["x", "1e3", "9" * 5000, "²"]
        tensor.external_data.add(key=key, value=rng.choice(values))
        if rng.random() < 0.8:
            tensor.external_data.add(key="location", value=rng.choice((*PLACES, "weights", "weights")))


def change_attribute(proto: Any, rng: random.Random) -> None:
    node = pick(proto.graph.node, rng)
    attribute = None if node is None else pick(node.attribute, rng)
    if attribute is None:
        return
    way = rng.randrange(6)
    if way == 0:
        attribute.type = rng.randrange(15)
    elif way == 1:
        attribute.name = rng.choice(("axis", "pads", "", "n_outputs", "out", "layout", "spec", "training_mode"))
    elif way == 2:
        node.attribute.add().CopyFrom(attribute)
    elif way == 3 and len(attribute.ints):
        attribute.ints.extend([rng.choice(SIZES)] * rng.choice((1, 2, 100)))
    elif len(attribute.ints):
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(SIZES)
    else:
        attribute.i, attribute.f = rng.choice(SIZES), rng.choice((0.0, -1.0, 1e30, float("inf"), float("nan")))
        attribute.s = rng.choice((b"", b"SAME_UPPER", b"\xff\xfe", b"nearest" * 1000))


def change_edge(proto: Any, rng: random.Random) -> None:
    node = pick(proto.graph.node, rng)
    if node is None:
        return
    names = [name for each in proto.graph.node for name in (*each.input, *each.output)] + ["", "x", "nowhere", "x:1"]
    side = rng.choice((node.input, node.output))
    if len(side) and rng.random() < 0.7:
        side[rng.randrange(len(side))] = rng.choice(names)
    elif len(side) and rng.random() < 0.4:
        side.pop()
    else:
        side.extend([rng.choice(names)] * rng.choice((1, 1, 5)))


def change_node(proto: Any, rng: random.Random) -> None:
    node, way = pick(proto.graph.node, rng), rng.randrange(5)
    if node is None:
        return
    if way == 0:
        node.op_type = rng.choice(KINDS)
    elif way == 1:
        node.domain = rng.choice(("ai.onnx", "com.microsoft", "\0", "ai.onnx.ml"))
    elif way == 2:
        proto.graph.node.add().CopyFrom(node)
    elif way == 3:
        proto.graph.node.remove(node)
    else:
        i = rng.randrange(len(proto.graph.node))
        first = onnx.NodeProto()
        first.CopyFrom(proto.graph.node[0])
        proto.graph.node[0].CopyFrom(proto.graph.node[i])
        proto.graph.node[i].CopyFrom(first)


def change_nested(proto: Any, rng: random.Random) -> None:
    node = pick(proto.graph.node, rng)
    graph = None if node is None else node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g
    for _ in range(rng.choice((1, 20, 40))):
        if graph is not None:
            graph = graph.node.add(op_type="If").attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g


def change_model(proto: Any, rng: random.Random) -> None:
    way = rng.randrange(6)
    if way == 0 and len(proto.opset_import):
        proto.opset_import[0].version = rng.choice((*SIZES[:8], 6, 7, 9, 11, 13, 18, 22))
    elif way == 1:
        proto.opset_import.add(domain=rng.choice(("", "x")), version=rng.choice((1, 9, 13)))
    elif way == 2:
        proto.graph.output.add(name=rng.choice(("x", "y", "", "nowhere")))
    elif way == 3:
        proto.graph.sparse_initializer.add()
    elif way == 4:
        proto.functions.add(name="f")
    else:
        value = pick(proto.graph.input, rng)
        if value is not None and len(value.type.tensor_type.shape.dim):
            pick(value.type.tensor_type.shape.dim, rng).dim_value = rng.choice(SIZES)
        elif value is not None:
            value.type.tensor_type.elem_type = rng.randrange(28)


KINDS = sorted({schema.name for schema in onnx.defs.get_all_schemas()}) + ["", "No", "Conv", "Reshape", "MaxPool"] * 20
CHANGES = (
    change_dims, change_tensor, change_external, change_attribute, change_attribute, change_edge, change_edge,
    change_node, change_nested, change_model,
)  # fmt: skip


def arrays_for(inputs: Any, rng: np.random.Generator) -> dict[str, Any]:
    """An array for each input, of its shape where that is not too large."""
    feed = {}
    for value in inputs:
        sizes = [size if isinstance(size, int) else int(rng.integers(1, 4)) for size in value.shape or ()]
        if any(size < 0 for size in sizes) or np.prod([float(size) for size in sizes]) > MOST:
            sizes = [min(abs(size), 3) for size in sizes]
        feed[value.name] = (rng.standard_normal(sizes) * 3).astype(value.dtype or np.float32)
    return feed


class Watch:
    """What is opened while a file is read and run: nothing may be that is outside the folder."""

    def __init__(self, folder: str) -> None:
        self.folder, self.on, self.outside = folder, False, list[str]()
        libraries = (os.path.realpath(path) for path in sys.path if path)
        self.ours = (*libraries, sys.base_prefix, "/sys/fs/cgroup/", "/proc/self/")
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event == "open" and isinstance(arguments[0], str | bytes):
            path = os.fsdecode(arguments[0])
            within = path.startswith((self.folder, *self.ours)) or ("/" not in path and path not in ("", ".", ".."))
            if not within or ".." in path.split("/"):
                self.outside.append(path)


def populate(root: Path) -> Path:
    """The folder of a model, beside what it may not reach."""
    (root / "secret").write_bytes(b"secret" * 100)
    folder = root / "model"
    (folder / "folder").mkdir(parents=True)
    (folder / "weights").write_bytes(floats(64).tobytes())
    for link in ("link", "folder/link"):
        (folder / link).symlink_to(root / "secret")
    os.link(root / "secret", folder / "hard")
    os.mkfifo(folder / "fifo")
    return folder


def work(seed: int, first: int, last: int) -> None:
    """In a process of its own: load and run files first to last, a line of JSON for each."""
    from cnnfast.onnx import load

    faulthandler.enable()
    warnings.simplefilter("ignore")
    np.matmul(floats(300, 300), floats(300, 300))
    files = seeds()
    load(files[0])(floats(1, 3, 16, 16))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as name:
        folder = populate(Path(name).resolve())
        watch = Watch(str(folder))
        for i in range(first, last):
            content = mutated(files, seed, i)
            try:
                parses = bool(onnx.ModelProto().ParseFromString(content))
            except Exception:
                parses = False
            (folder / "model.onnx").write_bytes(content)
            print(json.dumps({"start": i}), flush=True)
            watch.on, stage, outcome = True, "load", "ran"
            try:
                loaded = load(folder / "model.onnx")
                stage = "run"
                loaded.run(arrays_for(loaded.inputs, np.random.default_rng(i)))
            except ERRORS as error:
                outcome = f"{stage}: {type(error).__name__}"
            except BaseException as error:
                outcome = f"BAD {stage}: {type(error).__name__}: {str(error)[:300]}"
            watch.on = False
            if watch.outside:
                outcome = f"BAD opened {watch.outside}"
                watch.outside = []
            print(json.dumps({"i": i, "parses": parses, "outcome": outcome}), flush=True)


def start(seed: int, first: int, last: int) -> subprocess.Popen[str]:
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path if each != str(Path(__file__).parent))
    return subprocess.Popen(
        [sys.executable, "-P", __file__, "--work", str(seed), str(first), str(last)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": path, "CNNFAST_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


def campaign(count: int, seed: int, first: int = 0) -> tuple[Counter[str], int, list[str]]:
    """How each file ended, how many were protobuf, and what went wrong; a worker that dies or hangs is replaced."""
    outcomes, parsed, wrong, at, last = Counter[str](), 0, list[str](), first, first + count
    while at < last:
        worker = start(seed, at, last)
        assert worker.stdout is not None
        while at < last:
            if not select.select([worker.stdout], [], [], SECONDS)[0]:
                worker.kill()
                wrong.append(f"{at}: no end after {SECONDS:.0f} s")
                break
            line = worker.stdout.readline()
            if not line:
                wrong.append(f"{at}: the process ended with {worker.wait()}")
                break
            told = json.loads(line)
            if "outcome" in told:
                at += 1
                outcomes[told["outcome"].partition(": BAD")[0][:60]] += 1
                parsed += told["parses"]
                if told["outcome"].startswith("BAD"):
                    wrong.append(f"{told['i']}: {told['outcome']}")
        else:
            worker.wait()
            return outcomes, parsed, wrong
        worker.wait()
        worker.stdout.close()
        at += 1
    return outcomes, parsed, wrong


def test_mutated_files_do_no_harm() -> None:
    outcomes, parsed, wrong = campaign(600, seed=1)
    assert not wrong
    assert parsed > 300
    assert outcomes["ran"] > 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--work", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work)
        return 0
    outcomes, parsed, wrong = campaign(arguments.files, arguments.seed, arguments.first)
    for outcome, count in outcomes.most_common():
        print(f"{count:7} {outcome}")
    print(f"{arguments.files} files, {parsed} of them protobuf; {len(wrong)} wrong", *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
