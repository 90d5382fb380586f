"""Keras 3's .weights.h5 and .keras files: their names and layout, written here with h5py as Keras 3.15.1 does."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnfast import Model, Sequential, load_model
from cnnfast.layers import (
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    PReLU,
)

h5py = pytest.importorskip("h5py", reason='pip install "cnnfast[weights]"')

Values = dict[str, np.ndarray]


def network(names: bool = True) -> Model:
    """Two convolutions, of which the one that is called last comes first on the way to the output, and a network."""
    x = Input((6, 6, 2))
    late = Conv2D(3, 1, name="late" if names else None)
    a = PReLU()(Conv2D(3, 3, padding="same", name="early" if names else None)(x))
    inner = Sequential([Conv2D(3, 1), Dropout(0.5), BatchNormalization()], name="inner" if names else None)
    y = GlobalAveragePooling2D()(Add()([late(x), inner(a)]))
    return Model(x, Dense(2, name="head" if names else None)(y))


PLACES = {
    "conv2d": ("early", [(3, 3, 2, 3), (3,)]), "p_re_lu": ("p_re_lu", [(1, 1, 3)]),
    "sequential/conv2d": ("conv2d", [(1, 1, 3, 3), (3,)]), "sequential/dropout": ("dropout", []),
    "sequential/batch_normalization": ("batch_normalization", [(3,)] * 4),
    "conv2d_1": ("late", [(1, 1, 2, 3), (3,)]), "add": ("add", []), "dense": ("head", [(3, 2), (2,)]),
    "input_layer": ("input_layer", []), "global_average_pooling2d": ("global_average_pooling2d", []),
}  # fmt: skip
"""What Keras calls the groups, the layers' names, the arrays' shapes. (Both convolutions of x are one step from it;
the one before three more layers is further from the output.)"""


def write(file: Any, rng: np.random.Generator, names: bool = True, counted: int = 0) -> Values:
    """A file of `network`; `counted`: how many layers of each class Keras made before."""
    values = {}
    file.create_group("vars").attrs["name"] = "functional"
    inner = file.create_group("layers/sequential/vars")
    if names:
        inner.attrs["name"] = f"sequential_{counted}" if counted else "inner"
    for place, (name, shapes) in PLACES.items():
        group = file.create_group("layers/" + place.replace("/", "/layers/") + "/vars")
        if names:
            group.attrs["name"] = f"{place.rpartition('/')[2]}_{counted}" if counted else name
        for i, shape in enumerate(shapes):
            values[f"{place}/{i}"] = group[str(i)] = rng.random(shape, np.float32)
            values[f"{place}/{i}"] = group[str(i)][()]
    file["optimizer/vars/0"] = np.zeros(3)  # of a compiled model, and of a dropout that was trained
    file["layers/sequential/layers/dropout/seed_generator/vars/0"] = np.zeros(2, np.uint32)
    return values


def check(model: Model, values: Values) -> None:
    early, late, inner = (next(each for each in model.layers if each.kind == kind and each.weights[0].shape == shape)
                          for kind, shape in (("Conv2D", (3, 3, 2, 3)), ("Conv2D", (1, 1, 2, 3)),
                                              ("Sequential", (1, 1, 3, 3))))  # fmt: skip
    for layer, places in ((early, ["conv2d"]), (late, ["conv2d_1"]),
                          (inner, ["sequential/conv2d", "sequential/batch_normalization"]),
                          (model.layers[-1], ["dense"])):  # fmt: skip
        theirs = [values[key] for place in places for key in values if key.startswith(f"{place}/")]
        for ours, each in zip(layer.get_weights(), theirs, strict=True):
            np.testing.assert_array_equal(ours, each)


@pytest.mark.parametrize(("names", "counted"), [(True, 0), (True, 7), (False, 0)])
def test_small_files(names: bool, counted: int, tmp_path: Path, rng: np.random.Generator) -> None:
    """By the layers' names; by their places, where Keras counted the names, or where it told none."""
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        values = write(file, rng, names, counted)
    model = network(names=not counted)
    model.load_weights(tmp_path / "a.weights.h5")
    check(model, values)
    np.testing.assert_array_equal(model.get_layer("p_re_lu").get_weights()[0], values["p_re_lu/0"].ravel())


def test_what_is_written(tmp_path: Path, rng: np.random.Generator) -> None:
    """The very groups, arrays and attributes of Keras."""
    model = network()
    model.set_weights([rng.random(weight.shape) for weight in model.weights])
    model.save_weights(tmp_path / "a.weights.h5")
    found = {}
    with h5py.File(tmp_path / "a.weights.h5") as file:
        check(model, {f"{place}/{i}": file["layers/" + place.replace("/", "/layers/") + f"/vars/{i}"][()]
                      for place, (_, shapes) in PLACES.items() for i in range(len(shapes))})  # fmt: skip
        file["layers"].visititems(lambda path, each: found.update({path: each.attrs.get("name")}))
        assert file["vars"].attrs["name"] == "functional"
        assert file["layers/conv2d/vars/0"].dtype == np.float32
    groups = {"/layers/".join(place.split("/")): name for place, (name, _) in PLACES.items()} | {"sequential": "inner"}
    expected: dict[str, Any] = dict.fromkeys(groups) | {f"{path}/vars": name for path, name in groups.items()}
    expected |= {f"{path}/vars/{i}": None for place, (_, shapes) in PLACES.items()
                 for path in ["/layers/".join(place.split("/"))] for i in range(len(shapes))}  # fmt: skip
    assert found == expected | {"sequential/layers": None}
    again = network()
    again.load_weights(tmp_path / "a.weights.h5")
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_faults_name_the_layer(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.weights.h5"
    model = network()
    version = model.version
    with h5py.File(path, "w") as file:
        write(file, rng)
        del file["layers/dense/vars/0"], file["layers/conv2d_1/vars/1"]
        file["layers/dense/vars/0"] = np.zeros((3, 5))
        file["layers/sequential/layers/conv2d/vars"].attrs["name"] = "other"
    with pytest.raises(ValueError, match=r"a\.weights\.h5 for functional") as told:
        model.load_weights(path)
    for words in ("missing: late/1, inner/conv2d/0", "unexpected: inner/other/0", r"head/0 (3, 5), not (3, 2)"):
        assert words in str(told.value)
    assert model.version == version
    with h5py.File(path, "a") as file:
        del file["layers/dense/vars/1"]  # arrays 0 and not 1, but 7
        file["layers/dense/vars/7"] = np.zeros(2)
    with pytest.raises(ValueError, match="'1' must be in the file itself"):
        model.load_weights(path)


# .keras


def lenet() -> Sequential:
    return Sequential([Input((8, 8, 1)), Conv2D(2, 3, activation="relu", name="c"), Flatten(), Dense(3)], name="small")


def test_a_keras_file_is_one_of_keras(tmp_path: Path) -> None:
    model = lenet()
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert {each.filename: each.compress_type for each in archive.infolist()} == dict.fromkeys(
            ("metadata.json", "config.json", "model.weights.h5"), zipfile.ZIP_STORED
        )
        assert json.loads(archive.read("metadata.json"))["keras_version"].startswith("3.")
        told = json.loads(archive.read("config.json"))
        assert (told["module"], told["class_name"]) == ("keras", "Sequential")
        assert told["config"]["layers"][0]["config"]["batch_shape"] == [None, 8, 8, 1]
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            assert file["layers/conv2d/vars"].attrs["name"] == "c"
    first = (tmp_path / "m.keras").read_bytes()
    model.save(tmp_path / "m.keras")
    assert (tmp_path / "m.keras").read_bytes() == first, "one model, one file"


@pytest.mark.parametrize("extension", ["keras", "npz", "safetensors"])
@pytest.mark.parametrize("make", [network, lenet])
def test_whole_models(make: Callable[[], Model], extension: str, tmp_path: Path, rng: np.random.Generator) -> None:
    if extension == "safetensors":
        pytest.importorskip("safetensors", reason='pip install "cnnfast[weights]"')
    model = make()
    model.set_weights([rng.random(weight.shape) for weight in model.weights])
    model.save(tmp_path / f"m.{extension}")
    copy = load_model(str(tmp_path / f"m.{extension}"))
    x = rng.random((3, *model.input_shape[1:]), np.float32)
    np.testing.assert_array_equal(copy.predict(x), model.predict(x))
    assert json.dumps(copy.get_config()) == json.dumps(model.get_config())
    other = make()
    other.load_weights(tmp_path / f"m.{extension}")
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    assert [each.name for each in tmp_path.iterdir()] == [f"m.{extension}"]


def rewritten(path: Path, **members: bytes | None) -> None:
    """The file with other members: config=b"..."; None for none."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    full = {"config": "config.json", "weights": "model.weights.h5"}
    parts |= {full[name]: data for name, data in members.items() if data is not None}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            if full.get("config") != name or members.get("config", b"") is not None:
                archive.writestr(name, data)


def told(change: Callable[[dict[str, Any]], Any]) -> bytes:
    model = lenet()
    config = json.loads(json.dumps({"module": "keras", "class_name": "Sequential", "config": model.get_config()}))
    change(config)
    return json.dumps(config).encode()


CODE = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None,
        "config": {"name": "l", "function": {"class_name": "__lambda__", "config": {"code": "4wEAAA=="}}}}  # fmt: skip
DEEP = b'{"layers": [' * 100_000

HOSTILE: dict[str, tuple[dict[str, bytes | None], str]] = {
    "code": ({"config": told(lambda config: config["config"]["layers"].append(CODE))}, r"l \(Lambda\) holds code"),
    "not JSON": ({"config": b"\x80\x04."}, "m.keras is damaged: its configuration must be JSON"),
    "deep": ({"config": DEEP}, "m.keras is damaged: its configuration must be JSON"),
    "a bomb": ({"config": b" " * 2**24}, "config.json must hold at most"),
    "no config": ({"config": None}, "m.keras is damaged: .*config.json"),
    "a layer alone": ({"config": json.dumps(told(bool).decode() and CODE | {"class_name": "Flatten", "config": {}})
                       .encode()}, r"m.keras must hold a network, got the layer flatten"),
    "no weights": ({"weights": b""}, "m.keras is damaged"),
    "a bomb of weights": ({"weights": bytes(2**24)}, r"model\.weights\.h5 must hold at most \d+ bytes, says 16777216"),
    "other weights": ({"config": told(lambda config: config["config"]["layers"][3]["config"].update(units=4))},
                      r"dense/0 \(72, 3\), not \(72, 4\)"),
    "a huge layer": ({"config": told(lambda config: config["config"]["layers"][3]["config"].update(units=2**30))},
                     r"dense/0 \(72, 3\), not \(72, 1073741824\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_keras_files(case: str, tmp_path: Path) -> None:
    members, words = HOSTILE[case]
    lenet().save(tmp_path / "m.keras")
    rewritten(tmp_path / "m.keras", **members)
    with pytest.raises(ValueError, match=words):
        load_model(tmp_path / "m.keras")


def test_networks_within_networks_without_end(tmp_path: Path) -> None:
    inner = b'{"module": "keras", "class_name": "Sequential", "config": {"layers": ['
    lenet().save(tmp_path / "m.keras")
    rewritten(tmp_path / "m.keras", config=inner * 3000 + b"]}}" * 3000)
    with pytest.raises(ValueError, match=r"m\.keras"):
        load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("extension", ["keras", "npz", "safetensors"])
def test_truncated_models(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"m.{extension}"
    lenet().save(path)
    whole = path.read_bytes()
    for size in (0, 7, 50, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=f"m.{extension} is damaged"):
            load_model(path)


def test_files_of_weights_alone(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason='pip install "cnnfast[weights]"')
    for name in ("w.npz", "w.safetensors"):
        lenet().save_weights(tmp_path / name)
        with pytest.raises(ValueError, match="holds weights alone"):
            load_model(tmp_path / name)
    with pytest.raises(ValueError, match=r"must end in \.npz, \.safetensors, \.keras, got"):
        load_model(tmp_path / "w.h5")
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none.keras")
    with pytest.raises(ValueError, match="does not know its input's shape"):
        Sequential([Dense(2)]).save(tmp_path / "m.npz")
