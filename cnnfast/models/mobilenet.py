"""MobileNet v1 and v2: depthwise and pointwise convolutions, and blocks that are wide inside and narrow outside."""

from collections.abc import Sequence
from typing import Any

from cnnfast.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling2D,
    Input,
    ReLU,
    Reshape,
)
from cnnfast.layers.base import Layer
from cnnfast.layers.tensor import Tensor
from cnnfast.model import Model
from cnnfast.ops import checks
from cnnfast.sequential import Sequential

Size = Sequence[int | None]

BLOCKS_V1 = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
"""(filters, stride) of each pointwise convolution and of the depthwise one before it."""

BLOCKS_V2 = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
"""The paper's table 2: expansion, filters, blocks, and the stride of the first of them."""

END = ((0, 1), (0, 1))
"""Keras pads a 3x3 convolution of stride 2 at the end alone: SAME, where sizes are even."""


def MobileNet(include_top: bool = True, input_shape: Size = (224, 224, 3), classes: int = 1000) -> Sequential:
    """4,253,864 parameters, 4,231,976 of them trainable: Keras' form and names.

    Howard et al., "MobileNets", arXiv:1704.04861.

    >>> from cnnfast.models import MobileNet
    >>> MobileNet().count_params(), sum(weight.size for weight in MobileNet().trainable_weights)
    (4253864, 4231976)
    """
    model = Sequential([Input(tuple(input_shape))], name="mobilenet")

    def add(convolution: Layer) -> None:
        name = convolution.name
        for layer in (convolution, BatchNormalization(name=f"{name}_bn"), ReLU(max_value=6, name=f"{name}_relu")):
            model.add(layer)

    add(Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="conv1"))
    for i, (filters, stride) in enumerate(BLOCKS_V1, 1):
        padding: Any = END if stride == 2 else "same"
        add(DepthwiseConv2D(3, stride, padding, use_bias=False, name=f"conv_dw_{i}"))
        add(Conv2D(filters, 1, use_bias=False, name=f"conv_pw_{i}"))
    if include_top:
        model.add(GlobalAveragePooling2D(keepdims=True))
        model.add(Dropout(1e-3, name="dropout"))
        model.add(Conv2D(classes, 1, name="conv_preds"))
        model.add(Reshape((classes,), name="reshape_2"))
        model.add(Activation("softmax", name="predictions"))
    return model


def MobileNetV2(include_top: bool = True, input_shape: Size = (224, 224, 3), classes: int = 1000, form: str = "keras"
                ) -> Model:  # fmt: skip
    """3,538,984 parameters, 3,504,872 of them trainable: Keras' form and names.

    form="torchvision" has torchvision's padding of 1 on each side, its epsilon of 1e-5, and ends in logits.

    Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear bottlenecks",
    arXiv:1801.04381.

    >>> from cnnfast.models import MobileNetV2
    >>> MobileNetV2().count_params(), sum(weight.size for weight in MobileNetV2().trainable_weights)
    (3538984, 3504872)
    """
    keras = checks.choice("form", form, ("keras", "torchvision")) == "keras"

    def step(x: Tensor, convolution: Layer, norm: str, relu: str | None = None) -> Tensor:
        x = BatchNormalization(epsilon=1e-3 if keras else 1e-5, name=norm)(convolution(x))
        return ReLU(max_value=6, name=relu)(x) if relu else x

    def block(x: Tensor, name: str, expansion: int, filters: int, stride: int) -> Tensor:
        channels = x.shape[-1] or 0
        y = x
        if expansion > 1:
            wide = Conv2D(expansion * channels, 1, use_bias=False, name=f"{name}_expand")
            y = step(y, wide, f"{name}_expand_BN", f"{name}_expand_relu")
        padding: Any = END if keras and stride == 2 else 1
        deep = DepthwiseConv2D(3, stride, padding, use_bias=False, name=f"{name}_depthwise")
        y = step(y, deep, f"{name}_depthwise_BN", f"{name}_depthwise_relu")
        y = step(y, Conv2D(filters, 1, use_bias=False, name=f"{name}_project"), f"{name}_project_BN")
        return Add(name=f"{name}_add")([x, y]) if stride == 1 and channels == filters else y

    inputs = Input(tuple(input_shape))
    first = Conv2D(32, 3, 2, "same" if keras else 1, use_bias=False, name="Conv1")
    x = step(inputs, first, "bn_Conv1", "Conv1_relu")
    strides = [(t, c, stride if i == 0 else 1) for t, c, n, stride in BLOCKS_V2 for i in range(n)]
    for i, (expansion, filters, stride) in enumerate(strides):
        x = block(x, f"block_{i}" if i else "expanded_conv", expansion, filters, stride)
    x = step(x, Conv2D(1280, 1, use_bias=False, name="Conv_1"), "Conv_1_bn", "out_relu")
    if include_top:
        x = GlobalAveragePooling2D()(x)
        x = Dense(classes, activation="softmax" if keras else None, name="predictions")(x)
    return Model(inputs, x, "mobilenet_v2")
