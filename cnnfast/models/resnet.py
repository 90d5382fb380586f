"""ResNet: blocks that add to what they were given. Plain34 is the same depth without the additions."""

from collections.abc import Sequence
from typing import NamedTuple

from cnnfast.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
)
from cnnfast.layers.tensor import Tensor
from cnnfast.model import Model
from cnnfast.ops import checks

Size = Sequence[int | None]
PICTURE: Size = (224, 224, 3)


class Form(NamedTuple):
    """In what torchvision and Keras differ: `strided` is the convolution of a bottleneck that has the stride."""

    use_bias: bool
    epsilon: float
    strided: int
    activation: str | None


FORMS = {"torchvision": Form(False, 1e-5, 2, None), "keras": Form(True, 1.001e-5, 1, "softmax")}


class Depth(NamedTuple):
    """A column of the paper's table 1: the blocks of conv2_x ... conv5_x, of 2 convolutions each or (bottleneck) 3."""

    blocks: tuple[int, int, int, int]
    bottleneck: bool
    skips: bool = True


def ResNet20(include_top: bool = True, input_shape: Size = (32, 32, 3), classes: int = 10) -> Model:
    """272,474 parameters, and 1,568 statistics: the paper's network of 20 layers for CIFAR-10 (section 4.2), whose
    skips are projected where the shape changes.

    >>> from cnnfast.models import ResNet20
    >>> sum(weight.size for weight in ResNet20().trainable_weights)
    272474
    """
    form, depth = FORMS["torchvision"], Depth((3, 3, 3, 0), False)
    inputs = Input(tuple(input_shape))
    x = _relu(_convolution(inputs, "conv1", 16, 3, 1, form), "conv1_relu")
    for stage in (2, 3, 4):
        for block in (1, 2, 3):
            x = _block(x, f"conv{stage}_block{block}", 4 << stage, 2 if block == 1 and stage > 2 else 1, depth, form)
    if include_top:
        x = GlobalAveragePooling2D(name="avg_pool")(x)
        x = Dense(classes, name="predictions")(x)
    return Model(inputs, x, "resnet20")


def ResNet18(include_top: bool = True, input_shape: Size = PICTURE, classes: int = 1000) -> Model:
    """11,689,512 parameters, and 9,600 statistics: torchvision's resnet18; see ResNet50.

    >>> from cnnfast.models import ResNet18
    >>> model = ResNet18()
    >>> sum(weight.size for weight in model.trainable_weights), model.count_params()
    (11689512, 11699112)
    """
    return _resnet("resnet18", Depth((2, 2, 2, 2), False), FORMS["torchvision"], include_top, input_shape, classes)


def ResNet34(include_top: bool = True, input_shape: Size = PICTURE, classes: int = 1000) -> Model:
    """21,797,672 parameters, and 17,024 statistics: torchvision's resnet34; see ResNet50."""
    return _resnet("resnet34", Depth((3, 4, 6, 3), False), FORMS["torchvision"], include_top, input_shape, classes)


def Plain34(include_top: bool = True, input_shape: Size = PICTURE, classes: int = 1000) -> Model:
    """21,623,848 parameters: ResNet34 without its skips and their projections, the paper's plain network."""
    depth = Depth((3, 4, 6, 3), False, skips=False)
    return _resnet("plain34", depth, FORMS["torchvision"], include_top, input_shape, classes)


def ResNet50(include_top: bool = True, input_shape: Size = PICTURE, classes: int = 1000, form: str = "torchvision"
             ) -> Model:  # fmt: skip
    """25,557,032 parameters, and 53,120 statistics: torchvision's resnet50, which ends in logits.

    form="keras" is Keras': convolutions with biases, the stride in a block's first 1x1 as the paper has it, a softmax;
    25,636,712 parameters, the statistics among them. Layers are named as Keras names them in both.

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", arXiv:1512.03385.

    >>> from cnnfast.models import ResNet50
    >>> model = ResNet50()
    >>> sum(weight.size for weight in model.trainable_weights), ResNet50(form="keras").count_params()
    (25557032, 25636712)
    """
    how = FORMS[checks.choice("form", form, FORMS)]
    return _resnet("resnet50", Depth((3, 4, 6, 3), True), how, include_top, input_shape, classes)


def ResNet152(include_top: bool = True, input_shape: Size = PICTURE, classes: int = 1000) -> Model:
    """60,192,808 parameters, and 151,424 statistics: torchvision's resnet152; see ResNet50."""
    return _resnet("resnet152", Depth((3, 8, 36, 3), True), FORMS["torchvision"], include_top, input_shape, classes)


def _resnet(name: str, depth: Depth, form: Form, include_top: bool, input_shape: Size, classes: int) -> Model:
    inputs = Input(tuple(input_shape))
    x = _relu(_convolution(inputs, "conv1", 64, 7, 2, form), "conv1_relu")
    x = MaxPooling2D(3, strides=2, padding=1, name="pool1_pool")(x)
    for stage, blocks in enumerate(depth.blocks, 2):
        for block in range(1, blocks + 1):
            x = _block(x, f"conv{stage}_block{block}", 16 << stage, 2 if block == 1 and stage > 2 else 1, depth, form)
    if include_top:
        x = GlobalAveragePooling2D(name="avg_pool")(x)
        x = Dense(classes, activation=form.activation, name="predictions")(x)
    return Model(inputs, x, name)


def _block(x: Tensor, name: str, filters: int, stride: int, depth: Depth, form: Form) -> Tensor:
    """1x1, 3x3 and 1x1 convolutions, or two 3x3, added to x: projected, where it is of another shape."""
    if depth.bottleneck:
        strides = [stride if k == form.strided else 1 for k in (1, 2, 3)]
        steps = list(zip((filters, filters, 4 * filters), (1, 3, 1), strides, strict=True))
    else:
        steps = [(filters, 3, stride), (filters, 3, 1)]
    y = x
    for k, (width, size, step) in enumerate(steps, 1):
        y = _convolution(y, f"{name}_{k}", width, size, step, form)
        if k < len(steps):
            y = _relu(y, f"{name}_{k}_relu")
    if depth.skips:
        skip = x if x.shape == y.shape else _convolution(x, f"{name}_0", steps[-1][0], 1, stride, form)
        y = Add(name=f"{name}_add")([skip, y])
    return _relu(y, f"{name}_out")


def _convolution(x: Tensor, name: str, filters: int, size: int, stride: int, form: Form) -> Tensor:
    convolution = Conv2D(
        filters, size, stride, size // 2, use_bias=form.use_bias, kernel_initializer="he_normal", name=f"{name}_conv"
    )
    y: Tensor = BatchNormalization(epsilon=form.epsilon, name=f"{name}_bn")(convolution(x))
    return y


def _relu(x: Tensor, name: str) -> Tensor:
    y: Tensor = Activation("relu", name=name)(x)
    return y
