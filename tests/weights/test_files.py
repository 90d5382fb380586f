"""Weights in files: what is written comes back, what does not fit changes nothing, and hostile files are refused."""

import json
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnfast import Model, Sequential, set_random_seed
from cnnfast.layers import (
    BatchNormalization,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    Input,
    LeakyReLU,
    PReLU,
    SeparableConv2D,
)
from cnnfast.models import LeNet5, load_torch


def network(seed: int = 0) -> Model:
    """Every kind of weight that torch has as well, and a model within the model."""
    set_random_seed(seed)
    inner = Sequential([Conv2D(8, 3, groups=2, input_shape=(8, 8, 4), name="c"), BatchNormalization(name="n")], "inner")
    x = inputs = Input((8, 8, 4))
    for layer in (inner, DepthwiseConv2D(3, depth_multiplier=2), PReLU("ones"), Conv2DTranspose(3, 2, use_bias=False)):
        x = layer(x)
    for layer in (Flatten(), LeakyReLU(), Dropout(0.1), BatchNormalization(scale=False), Dense(75), Dense(5)):
        x = layer(x)
    return Model(inputs, x)


def same(a: Model, b: Model) -> bool:
    return all((x == y).all() for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("extension", ["npz", "safetensors"])
def test_what_is_saved_is_loaded(extension: str, tmp_path: Path, rng: np.random.Generator) -> None:
    if extension == "safetensors":
        pytest.importorskip("safetensors", reason='pip install "cnnfast[weights]"')
    saved, loaded = network(1), network(2)
    x = rng.random((1, 8, 8, 4), np.float32)
    before = loaded.predict(x)
    saved.save_weights(path := tmp_path / f"weights.{extension}")
    loaded.load_weights(str(path))
    assert same(saved, loaded)
    np.testing.assert_array_equal(loaded.predict(x), saved.predict(x))
    assert (loaded.predict(x) != before).any(), "a plan of the weights before"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    saved.save_weights(path)  # over the one that is there


def test_names_are_the_layers(tmp_path: Path) -> None:
    network().save_weights(tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz") as file:
        assert list(file)[:4] == ["inner/c/kernel", "inner/c/bias", "inner/n/gamma", "inner/n/beta"]
        assert file["dense/kernel"].shape == (75, 75)


def test_other_dtypes_become_float32(tmp_path: Path) -> None:
    model = Sequential([Dense(2, input_shape=(3,), name="d")])
    kernel = np.arange(6).reshape(3, 2)
    np.savez(tmp_path / "w.npz", **{"d/kernel": kernel, "d/bias": np.ones(2, np.float16)})
    model.load_weights(tmp_path / "w.npz")
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    assert model.get_weights()[0].dtype == np.float32


def test_all_that_is_wrong_is_told_and_nothing_is_changed(tmp_path: Path) -> None:
    model = LeNet5()
    arrays = {f"{layer.name}/{weight.name}": weight.values + 1 for layer in model.layers for weight in layer.weights}
    arrays["conv3/kernel"] = arrays.pop("conv2d_1/kernel")
    arrays["dense/kernel"] = arrays["dense/kernel"].T
    np.savez(tmp_path / "w.npz", **arrays)
    before, version = model.get_weights(), model.version
    with pytest.raises(ValueError, match=r"w.npz for lenet5 \(Sequential\)") as told:
        model.load_weights(tmp_path / "w.npz")
    for words in ("missing: conv2d_1/kernel", "unexpected: conv3/kernel",
                  "of another shape: dense/kernel (120, 400), not (400, 120)"):  # fmt: skip
        assert words in str(told.value)
    assert model.version == version
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


# torch's state dicts


def in_torch(kind: str, values: Any) -> Any:
    """A kernel in torch's layout, one number at a time."""
    if kind == "dense":
        return np.array([[values[c, k] for c in range(values.shape[0])] for k in range(values.shape[1])])
    if kind == "depthwise":
        R, S, C, M = values.shape
        each = ((c, m) for c in range(C) for m in range(M))
        return np.array([[[[values[r, s, c, m] for s in range(S)] for r in range(R)]] for c, m in each])
    if kind == "conv1d":
        S, C, K = values.shape
        return np.array([[[values[s, c, k] for s in range(S)] for c in range(C)] for k in range(K)])
    R, S, A, B = values.shape  # (C, K) of a convolution; (K, C) of a transposed one, which torch has as (C, K, R, S)
    return np.array([[[[values[r, s, a, b] for s in range(S)] for r in range(R)] for a in range(A)] for b in range(B)])


LAYOUTS: list[tuple[Any, tuple[int, ...], str]] = [
    (Conv2D(4, (3, 2), groups=2), (5, 6, 6), "conv2d"), (Conv2DTranspose(4, (3, 2)), (5, 6, 3), "conv2d"),
    (DepthwiseConv2D((3, 2), depth_multiplier=2), (5, 6, 3), "depthwise"), (Dense(4), (7,), "dense"),
    (Conv1D(4, 3), (8, 5), "conv1d"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shape", "kind"), LAYOUTS)
def test_a_kernel_of_torch(
    layer: Any, shape: tuple[int, ...], kind: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    layer.set_name("layer")
    model = Sequential([Input(shape), layer])
    kernel, bias = (rng.random(weight.shape, np.float32) for weight in layer.weights)
    np.savez(tmp_path / "w.npz", **{"features.0.weight": in_torch(kind, kernel), "features.0.bias": bias})
    load_torch(model, tmp_path / "w.npz", {"layer": "features.0"})
    np.testing.assert_array_equal(layer.get_weights()[0], kernel)
    np.testing.assert_array_equal(layer.get_weights()[1], bias)


def test_torch_flattens_channels_first(tmp_path: Path, rng: np.random.Generator) -> None:
    """A dense layer after Flatten, and a normalisation between them, have their numbers in another order."""
    model = Sequential([Flatten(input_shape=(2, 3, 4)), Dropout(0.5), BatchNormalization(name="n"), LeakyReLU(),
                        Dense(24, name="a"), Dense(5, name="b")])  # fmt: skip
    state = {f"n.{name}": rng.random(24) for name in ("weight", "bias", "running_mean", "running_var")}
    state |= {"a.weight": rng.random((24, 24)), "a.bias": rng.random(24), "b.weight": rng.random((5, 24)),
              "b.bias": rng.random(5), "n.num_batches_tracked": np.int64(3)}  # fmt: skip
    np.savez(tmp_path / "w.npz", **state)
    load_torch(model, tmp_path / "w.npz")
    x = rng.random((2, 2, 3, 4), np.float32)
    flat = np.array([[image[h, w, c] for c in range(4) for h in range(2) for w in range(3)] for image in x], float)
    flat = (flat - state["n.running_mean"]) / np.sqrt(state["n.running_var"] + 1e-3)
    flat = flat * state["n.weight"] + state["n.bias"]
    flat = np.where(flat < 0, 0.3 * flat, flat) @ state["a.weight"].T + state["a.bias"]
    np.testing.assert_allclose(model.predict(x), flat @ state["b.weight"].T + state["b.bias"], rtol=1e-4)


def test_what_torch_has_no_name_for_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", x=np.zeros(1))
    model = Sequential([SeparableConv2D(3, 3, input_shape=(8, 8, 2))])
    with pytest.raises(ValueError, match=r"separable_conv2d \(SeparableConv2D\): no one module of torch"):
        load_torch(model, tmp_path / "w.npz")
    with pytest.raises(ValueError, match=r"inner \(Sequential\): no one module of torch"):
        load_torch(network(), tmp_path / "w.npz")


def test_names_that_are_ignored(tmp_path: Path) -> None:
    model = Sequential([Dense(1, input_shape=(1,), use_bias=False, name="a")])
    np.savez(tmp_path / "w.npz", **{"a.weight": np.ones((1, 1)), "fc.weight": np.ones((2, 1)), "fc.bias": np.ones(2)})
    with pytest.raises(ValueError, match=r"unexpected: fc\.weight, fc\.bias"):
        load_torch(model, tmp_path / "w.npz")
    load_torch(model, tmp_path / "w.npz", ignored=["fc."])
    assert model.get_weights()[0] == 1
    with pytest.raises(ValueError, match="load_torch reads a torch state dict"):
        model.load_weights(tmp_path / "w.npz")


# what is refused

MODEL = Sequential([Dense(2, input_shape=(3,), name="d")])
GOOD = {"d/kernel": np.ones((3, 2), np.float32), "d/bias": np.ones(2, np.float32)}


def refused(path: Path, words: str, error: type[Exception] = ValueError) -> None:
    version = MODEL.version
    with pytest.raises(error, match=words):
        MODEL.load_weights(path)
    assert MODEL.version == version


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.pkl", "W.CKPT"])
def test_pickles_are_never_loaded(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    refused(tmp_path / name, "must not be a pickle, which runs code as it is read")
    with pytest.raises(ValueError, match=r"safetensors\.torch\.save_file"):
        load_torch(MODEL, tmp_path / name)


class Bomb:
    """What calls pytest.fail as it is unpickled."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("a pickle was loaded",)


def test_paths(tmp_path: Path) -> None:
    refused(tmp_path / "w.txt", r"filepath must end in \.npz, \.safetensors, \.h5, \.hdf5, \.keras, got .*w\.txt")
    refused(tmp_path / "none.npz", "none.npz", FileNotFoundError)
    refused(tmp_path / "none.h5", "none.h5", FileNotFoundError)
    (tmp_path / "folder.npz").mkdir()
    refused(tmp_path / "folder.npz", "folder.npz", IsADirectoryError)
    with pytest.raises(ValueError, match=r"must end in \.npz, \.safetensors, \.weights\.h5, got"):
        MODEL.save_weights(tmp_path / "w.h5")
    with pytest.raises(ValueError, match=r"must end in \.npz, \.safetensors, \.keras, got"):
        MODEL.save(tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match=r"must end in \.npz, \.safetensors, got"):
        load_torch(MODEL, tmp_path / "w.h5")
    with pytest.raises(FileNotFoundError):
        MODEL.save_weights(tmp_path / "none" / "w.npz")
    with pytest.raises(ValueError, match="does not know its input's shape"):
        Sequential([Dense(2)]).save_weights(tmp_path / "w.npz")


@pytest.mark.parametrize(("name", "module"), [("w.h5", "h5py"), ("w.safetensors", "safetensors.numpy")])
def test_without_the_packages(name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, module, None)
    refused(tmp_path / name, r'pip install "cnnfast\[weights\]"', ImportError)


def npy(header: bytes, version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header


def members(path: Path, content: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_hostile_npz(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, **(GOOD | {"d/bias": np.array([Bomb(), Bomb()], object)}))
    refused(path, r"d/bias.npy must be numbers, got dtype object")
    for data in (b"", b"not a zip", pickle.dumps(Bomb())):
        path.write_bytes(data)
        refused(path, "w.npz is damaged")
    np.savez(path, **GOOD)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "w.npz is damaged")
    at = whole.rindex(np.ones(2, np.float32).tobytes())
    path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
    refused(path, "CRC|crc")
    huge = npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776)}\n")
    bad = npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)}\n")
    for kernel, words in (
        (huge, r"of another shape: d/kernel \(1099511627776, 1099511627776\), not \(3, 2\)"),
        (bad + bytes(20), "d/kernel|w.npz|EOF|reading array data"), (npy(b"(" * 9000), "w.npz|header|parse"),
        (npy(b"{}", b"\x09\x00"), r"format \(9, 0\)"), (b"", "EOF|w.npz"),
    ):  # fmt: skip
        members(path, {"d/kernel.npy": kernel, "d/bias.npy": bad})
        refused(path, words)


def test_a_damaged_last_array_leaves_the_first_as_it_was(tmp_path: Path) -> None:
    """Its damage shows as it is read, after its header and the array before it."""
    model = Sequential([Dense(20_000, input_shape=(1,))])
    model.save_weights(path := tmp_path / "w.npz")
    whole = bytearray(path.read_bytes())
    whole[len(whole) - 2000] ^= 1
    path.write_bytes(whole)
    version = model.version
    with pytest.raises(ValueError, match="Bad CRC-32 for file 'dense/bias"):
        model.load_weights(path)
    assert model.version == version


def tensors(path: Path, header: object, payload: bytes = b"", length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + payload)


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HOSTILE: dict[str, tuple[object, int | None, str]] = {
    "header bomb": (b"{}", 2**63, "must have a header of at most"),
    "header as long as the file would be": (b"{}", 2**23, "is damaged"),
    "overlapping tensors": ({"d/kernel": entry([3, 2], 0, 24), "d/bias": entry([2], 16, 24)}, None, "is damaged"),
    "a hole": ({"d/kernel": entry([3, 2], 0, 24), "d/bias": entry([2], 28, 36)}, None, "is damaged"),
    "sizes that overflow": ({"d/kernel": entry([2**62, 2**62], 0, 32)}, None, "is damaged"),
    "beyond the end": ({"d/kernel": entry([3, 2], 0, 24), "d/bias": entry([200], 24, 824)}, None, "is damaged"),
    "not JSON": (b"[" * 5000, None, "is damaged"),
    "no numbers": ({"d/kernel": entry([32], 0, 32, "BOOL")}, None, "must be of one of the dtypes"),
    "bfloat16": ({"d/kernel": entry([16], 0, 32, "BF16")}, None, "got BF16"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_safetensors(case: str, tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason='pip install "cnnfast[weights]"')
    header, length, words = HOSTILE[case]
    tensors(tmp_path / "w.safetensors", header, bytes(32), length)
    refused(tmp_path / "w.safetensors", words)


def test_short_safetensors(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason='pip install "cnnfast[weights]"')
    path = tmp_path / "w.safetensors"
    MODEL.save_weights(path)
    whole = path.read_bytes()
    for size in (0, 4, 8, 20, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused(path, "is damaged")


# Keras' h5


@pytest.fixture
def h5() -> Any:
    return pytest.importorskip("h5py", reason='pip install "cnnfast[weights]"')


def good(file: Any) -> Any:
    """What Keras 2 wrote of MODEL, in `model.save`."""
    root = file.create_group("model_weights")
    root.attrs["layer_names"] = [b"dropout_4", b"d"]
    root.create_group("dropout_4").attrs["weight_names"] = np.array([], "S1")
    root.create_group("d").attrs["weight_names"] = [b"d/kernel:0", b"d/bias:0"]
    root["d/d/kernel:0"], root["d/d/bias:0"] = GOOD["d/kernel"], GOOD["d/bias"]
    return root


def test_a_whole_model_of_keras_2(h5: Any, tmp_path: Path) -> None:
    with h5.File(tmp_path / "w.hdf5", "w") as file:
        good(file)
    model = Sequential([Dense(2, input_shape=(3,), name="d")])
    model.load_weights(tmp_path / "w.hdf5")
    assert (model.get_weights()[0] == 1).all()


def test_names_that_fill_several_attributes(h5: Any, tmp_path: Path) -> None:
    with h5.File(tmp_path / "w.h5", "w") as file:
        root = good(file)
        del root.attrs["layer_names"]
        root.attrs["layer_names0"], root.attrs["layer_names1"] = [b"dropout_4"], [b"d"]
    model = Sequential([Dense(2, input_shape=(3,), name="d")])
    model.load_weights(tmp_path / "w.h5")
    assert (model.get_weights()[0] == 1).all()


def replace(root: Any, name: str, value: Any) -> None:
    del root[name]
    root[name] = value


def elsewhere(h5: Any) -> Callable[[Any], None]:
    return lambda root: replace(root, "d/d/bias:0", h5.ExternalLink("other.h5", "/x"))


def virtual(root: Any) -> None:
    import h5py

    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
    del root["d/d/bias:0"]
    root["d/d"].create_virtual_dataset("bias:0", layout)


def external(root: Any) -> None:
    del root["d/d/bias:0"]
    root["d/d"].create_dataset("bias:0", (2,), "f4", external=[("/etc/hostname", 0, 8)])


FAULTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no names": (lambda root: root.attrs.__delitem__("layer_names"), "names no layers"),
    "a layer that is not there": (lambda root: root.attrs.__setitem__("layer_names", [b"d", b"e"]), "'e' must be in"),
    "an array that is not there": (lambda root: root["d"].attrs.__setitem__("weight_names", [b"q"]), "'q' must be in"),
    "a group for an array": (lambda root: root["d"].attrs.__setitem__("weight_names", [b"d"]), "d/0 must be an array"),
    "twice": (lambda root: root.attrs.__setitem__("layer_names", [b"d", b"d"]), "two layers 'd'"),
    "an array too few": (lambda root: root["d"].attrs.__setitem__("weight_names", [b"d/kernel:0"]), "missing: d/1"),
    "another shape": (lambda root: replace(root, "d/d/bias:0", np.zeros(3, "f4")), r"d/1 \(3,\), not \(2,\)"),
    "text": (lambda root: replace(root, "d/d/bias:0", [b"a", b"b"]), "must be plain numbers"),
    "a soft link": (lambda root: replace(root, "d/d/bias:0", soft()), "must be in the file itself"),
    "another file's link": (lambda root: elsewhere(__import__("h5py"))(root), "must be in the file itself"),
    "another file's array": (virtual, "must be an array in the file itself"),
    "another file's bytes": (external, "must be an array in the file itself"),
    "numbers for names": (lambda root: root.attrs.__setitem__("layer_names", 7), "/model_weights must be names"),
}


def soft() -> Any:
    import h5py

    return h5py.SoftLink("/model_weights/d/d/kernel:0")


@pytest.mark.parametrize("case", FAULTS)
def test_faulty_h5(h5: Any, case: str, tmp_path: Path) -> None:
    change, words = FAULTS[case]
    with h5.File(tmp_path / "w.h5", "w") as file:
        change(good(file))
    refused(tmp_path / "w.h5", words)


def test_damaged_h5(h5: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    with h5.File(path, "w") as file:
        good(file)
    whole = path.read_bytes()
    for data in (b"", b"not h5", whole[: len(whole) // 2]):
        path.write_bytes(data)
        refused(path, "is damaged")


def test_an_extension_in_capitals(tmp_path: Path) -> None:
    model = LeNet5()
    model.save_weights(tmp_path / "W.NPZ")
    copy = LeNet5()
    copy.load_weights(tmp_path / "W.NPZ")
    assert all((a == b).all() for a, b in zip(model.get_weights(), copy.get_weights(), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["W.NPZ"]
