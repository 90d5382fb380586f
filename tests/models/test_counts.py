"""The architectures: mission's exact counts and shapes, and the same outputs as torch from the same weights."""

from typing import Any

import numpy as np
import pytest

from cnnfast import Model, Sequential, set_random_seed
from cnnfast.layers import BatchNormalization, Conv2D, Dense, Flatten
from cnnfast.models import (
    MODELS,
    VGG16,
    VGG19,
    AlexNet,
    AlexNetOneTower,
    FCN8s,
    FCN32s,
    GoogLeNet,
    GoogLeNetBN,
    InceptionV3,
    LeNet5,
    MobileNet,
    MobileNetV2,
    NetworkInNetwork,
    Plain34,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet152,
    SqueezeNet,
    TinyYOLOv2,
    UNet,
)

COUNTS = [
    (LeNet5, {}, 61_706, (None, 10)),
    (AlexNet, {"groups": 1}, 62_378_344, (None, 1000)),
    (AlexNet, {"groups": 2}, 60_965_224, (None, 1000)),
    (AlexNetOneTower, {}, 61_100_840, (None, 1000)),
    (VGG16, {}, 138_357_544, (None, 1000)),
    (VGG19, {}, 143_667_240, (None, 1000)),
    (VGG16, {"include_top": False}, 14_714_688, (None, 7, 7, 512)),
    (VGG19, {"include_top": False, "input_shape": (None, None, 3)}, 20_024_384, (None, None, None, 512)),
    (NetworkInNetwork, {}, 7_595_176, (None, 1000)),
    (GoogLeNet, {}, 6_998_552, (None, 1000)),
    (GoogLeNet, {"aux": True}, 13_378_280, [(None, 1000)] * 3),
    (InceptionV3, {}, 23_851_784, (None, 1000)),
    (InceptionV3, {"include_top": False}, 21_802_784, (None, 8, 8, 2048)),
    (ResNet50, {"form": "keras"}, 25_636_712, (None, 1000)),
    (ResNet50, {"form": "keras", "include_top": False}, 23_587_712, (None, 7, 7, 2048)),
    (MobileNet, {}, 4_253_864, (None, 1000)),
    (MobileNetV2, {}, 3_538_984, (None, 1000)),
    (SqueezeNet, {}, 1_235_496, (None, 1000)),
    (UNet, {}, 31_030_658, (None, 388, 388, 2)),
    (UNet, {"padding": "same"}, 31_030_658, (None, 256, 256, 2)),
    (FCN8s, {}, 134_489_759, (None, 500, 500, 21)),
    (FCN32s, {"input_shape": (321, 400, 3)}, 136_152_917, (None, 321, 400, 21)),
    (TinyYOLOv2, {}, 15_867_885, (None, 13, 13, 125)),
]
"""All parameters, the statistics of batch normalisations among them, as Keras counts."""

TRAINABLE = [
    (GoogLeNetBN, {}, 6_624_904),
    (GoogLeNetBN, {"aux": True}, 13_004_888),
    (ResNet18, {}, 11_689_512),
    (ResNet34, {}, 21_797_672),
    (Plain34, {}, 21_623_848),
    (ResNet50, {}, 25_557_032),
    (ResNet152, {}, 60_192_808),
    (MobileNet, {}, 4_231_976),
    (MobileNetV2, {}, 3_504_872),
    (MobileNetV2, {"form": "torchvision"}, 3_504_872),
]
"""Parameters without the statistics, as torchvision counts."""


@pytest.mark.parametrize(("make", "settings", "count", "shape"), COUNTS)
def test_counts_and_shapes(make: Any, settings: dict[str, Any], count: int, shape: tuple[int, ...]) -> None:
    model = make(**settings)
    assert model.count_params() == count
    assert model.output_shape == shape


@pytest.mark.parametrize(("make", "settings", "count"), TRAINABLE)
def test_trainable_counts(make: Any, settings: dict[str, Any], count: int) -> None:
    assert sum(weight.size for weight in make(**settings).trainable_weights) == count


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match='form must be one of "torchvision", "keras"'):
        ResNet50(form="caffe")
    with pytest.raises(ValueError, match='padding must be one of "valid", "same"'):
        UNet("full")
    with pytest.raises(ValueError, match=r"input_shape must give pool 2 even sizes, and gives it \(279, 279\)"):
        UNet(input_shape=(570, 570, 1))
    with pytest.raises(ValueError, match=r"loss1/ave_pool .*kernel_size must fit the padded input"):
        GoogLeNet(aux=True, input_shape=(32, 32, 3))


def sizes(model: Sequential) -> list[int]:
    """The width of each layer's output, where it changes."""
    widths = [layer.output.shape[-2] if len(layer.output.shape) == 4 else layer.output.shape[-1]
              for layer in model.layers]  # fmt: skip
    return [b for a, b in zip([None, *widths], widths, strict=False) if a != b]


def test_widths() -> None:
    assert sizes(LeNet5()) == [28, 14, 10, 5, 400, 120, 84, 10]
    assert sizes(AlexNet()) == [55, 27, 13, 6, 9216, 4096, 1000]
    assert sizes(AlexNetOneTower()) == [55, 27, 13, 6, 9216, 4096, 1000]
    assert sizes(VGG16()) == [224, 112, 56, 28, 14, 7, 25088, 4096, 1000]
    assert sizes(NetworkInNetwork()) == [55, 27, 13, 6, 1000]


def test_every_model_of_the_command_line_is_one() -> None:
    for name, make in MODELS.items():
        assert isinstance(make(), Model), name


def to_torch(torch: Any, model: Sequential) -> Any:
    """The same network in torch, from the same weights; NCHW in, and flattened channels last as Keras does."""
    modules: list[Any] = []
    for layer in model.layers:
        modules.append(module_of(torch, layer))
        activation = getattr(getattr(layer, "activation", None), "name", "linear")
        modules += {
            "relu": [torch.nn.ReLU()], "tanh": [torch.nn.Tanh()], "softmax": [torch.nn.Softmax(-1)], "linear": [],
        }[activation]  # fmt: skip
    return torch.nn.Sequential(*modules).eval()


def module_of(torch: Any, layer: Any) -> Any:
    nn, weights = torch.nn, [torch.tensor(weight) for weight in layer.get_weights()]
    match type(layer).__name__:
        case "Conv2D":
            same = layer.padding == "same"
            padding = [(k - 1) // 2 for k in layer.kernel_size] if same else [sides[0] for sides in layer.padding]
            channels = weights[0].shape[2] * layer.groups
            module = nn.Conv2d(channels, layer.filters, layer.kernel_size, layer.strides, padding, groups=layer.groups)
            module.weight.data, module.bias.data = weights[0].permute(3, 2, 0, 1).contiguous(), weights[1]
            return module
        case "Dense":
            module = nn.Linear(*weights[0].shape)
            module.weight.data, module.bias.data = weights[0].T.contiguous(), weights[1]
            return module
        case "BatchNormalization":
            module = nn.BatchNorm2d(len(weights[0]), eps=layer.epsilon)
            module.weight.data, module.bias.data, module.running_mean, module.running_var = weights
            return module
        case "AveragePooling2D":
            return nn.AvgPool2d(layer.pool_size, layer.strides)
        case "MaxPooling2D":
            return nn.MaxPool2d(layer.pool_size, layer.strides)
        case "LocalResponseNormalization":
            return nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
        case "GlobalAveragePooling2D":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "Flatten":
            return channels_last(torch)
        case "Dropout" | "Activation":
            return nn.Identity()
    raise AssertionError(layer)


def channels_last(torch: Any) -> Any:
    class Flattened(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x.permute(0, 2, 3, 1).flatten(1)

    return Flattened()


def small_vgg() -> Sequential:
    """VGG16's first blocks on small pictures, with batch normalisation between."""
    model = VGG16(include_top=False, input_shape=(32, 32, 3))
    layers = [BatchNormalization() if i % 4 == 3 else layer for i, layer in enumerate(model.layers[:10])]
    fresh = [Conv2D(layer.filters // 4, 3, padding="same", activation="relu") if isinstance(layer, Conv2D) else
             type(layer)() for layer in layers]  # fmt: skip
    small = Sequential(fresh)
    small.add(Flatten())
    small.add(Dense(10))
    small.build((None, 32, 32, 3))
    return small


NETWORKS = {"LeNet-5": LeNet5, "AlexNet": AlexNet, "VGG and batch normalisation": small_vgg, "NIN": NetworkInNetwork}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_the_same_weights_in_torch_give_the_same_outputs(torch: Any, make: Any, rng: np.random.Generator) -> None:
    """The error against float64 is at most 4 times that of torch's own float32 (trust's bound for a network)."""
    set_random_seed(5)
    model = make()
    model.set_weights([weight + 0.05 * rng.random(weight.shape, np.float32) * (weight.ndim == 1)
                       for weight in model.get_weights()])  # fmt: skip
    x = rng.random((2, *model.input_shape[1:]), np.float32)
    network, picture = to_torch(torch, model), torch.tensor(x).permute(0, 3, 1, 2)
    with torch.no_grad():
        theirs = network(picture).numpy()
        exact = network.double()(picture.double()).numpy()
    ours = model.predict(x)
    scale = np.abs(exact).max()
    assert np.abs(ours - exact).max() <= 4 * np.abs(theirs - exact).max() + 1e-7 * scale
    assert np.abs(exact - exact.mean()).max() > 1e-3 * scale, "outputs that say nothing"
