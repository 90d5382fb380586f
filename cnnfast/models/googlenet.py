"""GoogLeNet: modules of four branches, side by side. As published, and as torchvision has it."""

from collections.abc import Callable, Sequence

from cnnfast.layers import (
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    LocalResponseNormalization,
    MaxPooling2D,
)
from cnnfast.layers.tensor import Tensor
from cnnfast.model import Model

MODULES = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip
"""The paper's table 1: filters of 1x1; 1x1 before 3x3, and 3x3; 1x1 before 5x5, and 5x5; 1x1 after the pool."""

Size = Sequence[int | None]
Convolution = Callable[[Tensor, str, int, int], Tensor]
"""y = convolution(x, name, filters, size)"""


def GoogLeNet(aux: bool = False, input_shape: Size = (224, 224, 3), classes: int = 1000) -> Model:
    """6,998,552 parameters: the published network, with biases and LRN; layers are named as in Caffe's model zoo.

    Szegedy et al., "Going deeper with convolutions", arXiv:1409.4842. aux=True adds the two classifiers that helped to
    train it, whose softmaxes are the second and third output; they need a picture of 224x224.

    >>> from cnnfast.models import GoogLeNet
    >>> GoogLeNet().count_params(), GoogLeNet(aux=True).count_params()
    (6998552, 13378280)
    """

    def convolution(x: Tensor, name: str, filters: int, size: int, stride: int = 1) -> Tensor:
        y: Tensor = Conv2D(filters, size, stride, size // 2, activation="relu", name=name)(x)
        return y

    def normalised(x: Tensor, name: str) -> Tensor:
        y: Tensor = LocalResponseNormalization(size=5, alpha=1e-4, beta=0.75, name=name)(x)
        return y

    def head(x: Tensor, name: str) -> Tensor:
        x = AveragePooling2D(5, strides=3, name=f"{name}/ave_pool")(x)
        x = Flatten(name=f"{name}/flatten")(convolution(x, f"{name}/conv", 128, 1))
        x = Dropout(0.7, name=f"{name}/drop_fc")(Dense(1024, activation="relu", name=f"{name}/fc")(x))
        y: Tensor = Dense(classes, activation="softmax", name=f"{name}/classifier")(x)
        return y

    inputs = Input(tuple(input_shape))
    x = convolution(inputs, "conv1/7x7_s2", 64, 7, 2)
    x = normalised(_pool(x, "pool1/3x3_s2"), "pool1/norm1")
    x = convolution(convolution(x, "conv2/3x3_reduce", 64, 1), "conv2/3x3", 192, 3)
    x = _pool(normalised(x, "conv2/norm2"), "pool2/3x3_s2")
    names = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")
    heads: list[Tensor] = []
    for module in MODULES:
        x = _module(x, convolution, module, [f"inception_{module}/{name}" for name in names], (3, 5))
        if aux and module in ("4a", "4d"):
            heads.append(head(x, f"loss{len(heads) + 1}"))
        if module in ("3b", "4e"):
            x = _pool(x, f"pool{int(module[0])}/3x3_s2")
    x = Dropout(0.4, name="pool5/drop_7x7_s1")(GlobalAveragePooling2D(name="pool5/7x7_s1")(x))
    y = Dense(classes, activation="softmax", name="loss3/classifier")(x)
    return Model(inputs, [y, *heads], "googlenet")


def GoogLeNetBN(aux: bool = False, input_shape: Size = (224, 224, 3), classes: int = 1000) -> Model:
    """6,624,904 parameters, and 14,560 statistics: torchvision's googlenet, with its names, ending in logits.

    Batch normalisation instead of biases and LRN, 3x3 where the paper has 5x5, and 2x2 for its fourth pool. aux=True
    adds the two classifiers as second and third output, aux1 and aux2. Published weights want pictures of -1 ... 1.

    >>> from cnnfast.models import GoogLeNetBN
    >>> sum(weight.size for weight in GoogLeNetBN().trainable_weights)
    6624904
    """

    def convolution(x: Tensor, name: str, filters: int, size: int, stride: int = 1) -> Tensor:
        x = Conv2D(filters, size, stride, size // 2, use_bias=False, name=f"{name}.conv")(x)
        y: Tensor = Activation("relu")(BatchNormalization(epsilon=1e-3, name=f"{name}.bn")(x))
        return y

    def head(x: Tensor, name: str) -> Tensor:
        x = AveragePooling2D(5, strides=3)(x)
        x = Flatten()(convolution(x, f"{name}.conv", 128, 1))
        y: Tensor = Dense(classes, name=f"{name}.fc2")(Dropout(0.7)(Dense(1024, "relu", name=f"{name}.fc1")(x)))
        return y

    inputs = Input(tuple(input_shape))
    x = _pool(convolution(inputs, "conv1", 64, 7, 2), "maxpool1")
    x = _pool(convolution(convolution(x, "conv2", 64, 1), "conv3", 192, 3), "maxpool2")
    names = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
    heads: list[Tensor] = []
    for module in MODULES:
        x = _module(x, convolution, module, [f"inception{module}.{name}" for name in names], (3, 3))
        if aux and module in ("4a", "4d"):
            heads.append(head(x, f"aux{len(heads) + 1}"))
        if module in ("3b", "4e"):
            x = _pool(x, f"maxpool{module[0]}", 3 if module == "3b" else 2)
    x = Dropout(0.2)(GlobalAveragePooling2D(name="avgpool")(x))
    return Model(inputs, [Dense(classes, name="fc")(x), *heads], "googlenet_bn")


def _pool(x: Tensor, name: str, size: int = 3) -> Tensor:
    y: Tensor = MaxPooling2D(size, strides=2, ceil_mode=True, name=name)(x)
    return y


def _module(x: Tensor, convolution: Convolution, module: str, names: Sequence[str], sizes: tuple[int, int]) -> Tensor:
    """Four branches: 1x1; 1x1 and 3x3; 1x1 and 5x5 (of torchvision, 3x3); a pool and 1x1."""
    a, b0, b1, c0, c1, d = zip(names, MODULES[module], strict=True)
    branches = [
        convolution(x, *a, 1),
        convolution(convolution(x, *b0, 1), *b1, sizes[0]),
        convolution(convolution(x, *c0, 1), *c1, sizes[1]),
        convolution(MaxPooling2D(3, strides=1, padding=1, name=f"inception_{module}/pool")(x), *d, 1),
    ]
    y: Tensor = Concatenate(name=f"inception_{module}/output")(branches)
    return y
