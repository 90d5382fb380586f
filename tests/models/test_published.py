"""The models that torchvision and Keras have: their names, shapes and outputs, from files made like theirs.

What stands here was computed with torchvision 0.29.2 (in float64) and Keras 3.15.1 themselves: a digest of the names
and shapes of all weights, and outputs for weights that are drawn from their names. So neither is needed here.
"""

import hashlib
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnfast import Model
from cnnfast.models import (
    VGG16,
    VGG19,
    AlexNetOneTower,
    GoogLeNetBN,
    InceptionV3,
    MobileNet,
    MobileNetV2,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet152,
    SqueezeNet,
    load_torch,
)
from cnnfast.models.torchvision import torchvision_names
from cnnfast.weights import state_dict
from cnnfast.weights.keras3 import in_keras_order
from cnnfast.weights.places import own_places

Shape = tuple[int, ...]


def drawn(name: str, shape: Shape, fan_in: int) -> Any:
    """A weight's values, by its name: He's for kernels; scales and variances in 0.5 ... 1.5; the rest around 0."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if len(shape) > 1:
        return rng.standard_normal(shape, np.float32) * np.float32((2 / fan_in) ** 0.5)
    if name.endswith(("variance", "var", "gamma", "weight")):
        return 0.5 + rng.random(shape, np.float32)
    return 0.1 * rng.standard_normal(shape, np.float32)


def digest(shapes: Mapping[str, Shape]) -> str:
    lines = sorted(f"{name} {shape}\n" for name, shape in shapes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def picture(size: int) -> Any:
    return np.random.default_rng(0).random((1, size, size, 3), np.float32)


TORCH_NAMES: list[tuple[Callable[[], Model], str]] = [
    (AlexNetOneTower, "dc636a6fd56d98e3"), (VGG16, "d246562dac8f4a2f"), (VGG19, "fc0886ed4e002209"),
    (ResNet18, "09d30cf75c256d8a"), (ResNet34, "29330baac9d84762"), (ResNet50, "0c65d9b17e2b4651"),
    (ResNet152, "bbf4a97bbdd25588"), (lambda: MobileNetV2(form="torchvision"), "0767f5edd689d2fe"),
    (SqueezeNet, "76804435529d0d16"), (GoogLeNetBN, "82507ffc7375aed4"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), TORCH_NAMES)
def test_names_and_shapes_are_torchvisions(make: Callable[[], Model], expected: str) -> None:
    """All that its state_dict has, but for num_batches_tracked."""
    model = make()
    places = state_dict.places(model, torchvision_names(model))
    assert digest({name: place.shape for name, place in places.items()}) == expected


TORCH_OUTPUTS: list[tuple[Callable[[], Model], list[float], float]] = [
    (lambda: ResNet18(input_shape=(64, 64, 3)), [12.1567, 24.3428, 2.741, -25.1668], 92.27),
    (lambda: ResNet50(input_shape=(64, 64, 3)), [4172.67, -3032.54, -3072.78, 520.531], 7645.0),
    (lambda: MobileNetV2(input_shape=(64, 64, 3), form="torchvision"), [1.18381, 1.85614, 3.05924, -2.33177], 10.78),
    (lambda: SqueezeNet(input_shape=(64, 64, 3)), [0.151015, 0.511588, 0.0588373, 0.891765], 1.909),
    (lambda: GoogLeNetBN(input_shape=(64, 64, 3)), [3.70457, 4.89166, -4.28882, -1.49221], 27.06),
]


@pytest.mark.parametrize(("make", "logits", "largest"), TORCH_OUTPUTS)
def test_outputs_are_torchvisions(
    make: Callable[[], Model], logits: list[float], largest: float, tmp_path: Path
) -> None:  # fmt: skip
    """The first four logits and the largest, from a file with torchvision's names and layouts."""
    model = make()
    shapes = {name: place.shape for name, place in state_dict.places(model, torchvision_names(model)).items()}
    arrays = {name: drawn(name, shape, math.prod(shape[1:])) for name, shape in shapes.items()}
    arrays |= {"bn1.num_batches_tracked": np.int64(7)}
    if model.name == "googlenet_bn":
        arrays |= {"aux1.fc1.bias": np.zeros(1024, np.float32)}  # the published files have its training classifiers
    if model.name == "resnet18":
        pytest.importorskip("safetensors", reason='pip install "cnnfast[weights]"')
        from safetensors.numpy import save_file

        save_file({name: np.asarray(array) for name, array in arrays.items()}, path := tmp_path / "file.safetensors")
    else:
        np.savez(path := tmp_path / "file.npz", **arrays)
    load_torch(model, path)
    y = model.predict(picture(model.input_shape[1]))[0]
    np.testing.assert_allclose(y[:4], logits, atol=1e-4 * largest)
    assert np.abs(y).max() == pytest.approx(largest, rel=1e-3)


KERAS_NAMES: list[tuple[Callable[[], Model], str]] = [
    (VGG16, "063575b1a3d97fb6"), (lambda: ResNet50(form="keras"), "2f3010ea30d71ecb"),
    (InceptionV3, "784a4c1b758252d2"), (MobileNet, "fa519df842c91b1a"), (MobileNetV2, "8d01359d3f016a1c"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), KERAS_NAMES)
def test_names_and_shapes_are_keras(make: Callable[[], Model], expected: str) -> None:
    assert digest({in_keras3(name): place.shape for name, place in own_places(make()).items()}) == expected


def in_keras3(name: str) -> str:
    """Keras 2 called a depthwise layer's kernel as we do."""
    return name.replace("/depthwise_kernel", "/kernel")


KERAS_ORDER = [(lambda: ResNet50(form="keras"), "060690d6283782d1"), (InceptionV3, "4565bee700d85d59")]


@pytest.mark.parametrize(("make", "expected"), KERAS_ORDER)
def test_the_order_of_layers_is_keras(make: Callable[[], Model], expected: str) -> None:
    """Of those with weights: in a block the shortcut's convolution comes late, in a module the longest branch first."""
    names = [layer.name for layer in in_keras_order(make()) if layer.weights]
    assert hashlib.sha256(" ".join(names).encode()).hexdigest()[:16] == expected


def keras2(file: Any, model: Model, arrays: Mapping[str, Any], first: int) -> None:
    """As Keras 2 wrote Keras Applications' files: counted names begin where the process was; activations are listed."""
    write2(file, {counted_from(first, layer.name): layer for layer in in_keras_order(model)}, arrays)


def keras2_before(file: Any, model: Model, arrays: Mapping[str, Any], first: int) -> None:
    """The same, when the layers had other names."""
    write2(file, {f"res{first + i}_branch": layer for i, layer in enumerate(in_keras_order(model))}, arrays)


def write2(file: Any, layers: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    file.attrs["layer_names"] = [name.encode() for name in layers]
    for name, layer in layers.items():
        group = file.create_group(name)
        group.attrs["weight_names"] = np.array([f"{name}/{weight.name}:0".encode() for weight in layer.weights], "S60")
        for weight in layer.weights:
            group[f"{name}/{weight.name}:0"] = arrays[f"{layer.name}/{weight.name}"]


def keras3(file: Any, model: Model, arrays: Mapping[str, Any], first: int) -> None:
    """As Keras 3 writes x.weights.h5: groups counted by class, in another order than ours."""
    counts: dict[str, int] = {}
    for layer in reversed(model.layers):
        kind = type(layer).__name__.lower()
        counts[kind] = counts.get(kind, -1) + 1
        group = file.create_group(f"layers/{kind}_{counts[kind]}" if counts[kind] else f"layers/{kind}/vars")
        group = group if group.name.endswith("vars") else group.create_group("vars")
        group.attrs["name"] = counted_from(first, layer.name)
        for i, weight in enumerate(layer.weights):
            group[str(i)] = arrays[f"{layer.name}/{weight.name}"]
    file.create_group("layers/dropout_9/seed_generator/vars")["0"] = np.zeros(2, np.uint32)
    file.create_group("optimizer/vars")["0"] = 1


def counted_from(first: int, name: str) -> str:
    base, _, count = name.rpartition("_")
    if base in ("conv2d", "batch_normalization"):
        return f"{base}_{int(count) + first}"
    return f"{name}_{first}" if name in ("conv2d", "batch_normalization") else name


KERAS_OUTPUTS: list[tuple[Callable[..., Model], dict[str, Any], int, list[float], float, Any]] = [
    (ResNet50, {"form": "keras"}, 64, [1568.06, 2345.19, 1622.59, 0.0], 11150, keras2_before),
    (InceptionV3, {}, 96, [0.379202, 0.0646415, 0.115463, 0.0], 2.355, keras2),
    (MobileNet, {}, 64, [0.200405, 0.0, 0.133094, 0.0], 3.043, keras3),
    (MobileNetV2, {}, 64, [2.09694, 1.67116, 0.515561, 2.74231], 6, keras3),
]


@pytest.mark.parametrize(("make", "options", "size", "means", "largest", "write"), KERAS_OUTPUTS)
def test_outputs_are_keras(
    make: Callable[..., Model], options: dict[str, Any], size: int, means: list[float], largest: float, write: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    """The means of the first four feature maps, and the largest, from an h5 file as Keras wrote them."""
    h5py = pytest.importorskip("h5py", reason='pip install "cnnfast[weights]"')
    model = make(include_top=False, input_shape=(size, size, 3), **options)
    arrays = {}
    for name, place in own_places(model).items():
        fan_in = math.prod(place.shape[:2]) if "depthwise" in name.split("/")[1] else math.prod(place.shape[:-1])
        arrays[name] = drawn(in_keras3(name), place.shape, fan_in)
    with h5py.File(tmp_path / "file.h5", "w") as file:
        write(file, model, arrays, 95)
    model.load_weights(tmp_path / "file.h5")
    y = model.predict(picture(size))[0].mean((0, 1), dtype=np.float64)
    np.testing.assert_allclose(y[:4], means, atol=1e-4 * largest)
    assert y.max() == pytest.approx(largest, rel=1e-3)
