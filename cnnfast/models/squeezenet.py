"""SqueezeNet: modules that squeeze by 1x1 and expand by 1x1 and 3x3."""

from collections.abc import Sequence

from cnnfast.layers import Concatenate, Conv2D, Dropout, GlobalAveragePooling2D, Input, MaxPooling2D
from cnnfast.layers.tensor import Tensor
from cnnfast.model import Model

FIRES = {
    3: (16, 64), 4: (16, 64), 6: (32, 128), 7: (32, 128), 9: (48, 192), 10: (48, 192), 11: (64, 256), 12: (64, 256)
}  # fmt: skip
"""Filters of the squeeze and of each expansion, by the module's number in torchvision's features."""


def SqueezeNet(input_shape: Sequence[int | None] = (224, 224, 3), classes: int = 1000) -> Model:
    """1,235,496 parameters: version 1.1, in torchvision's form and names, ending in logits.

    Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", arXiv:1602.07360.

    >>> from cnnfast.models import SqueezeNet
    >>> SqueezeNet().count_params()
    1235496
    """
    inputs = Input(tuple(input_shape))
    x = Conv2D(64, 3, strides=2, activation="relu", name="features.0")(inputs)
    for i in range(2, 13):
        name = f"features.{i}"
        x = _fire(x, name, *FIRES[i]) if i in FIRES else MaxPooling2D(3, strides=2, ceil_mode=True, name=name)(x)
    x = Conv2D(classes, 1, activation="relu", name="classifier.1")(Dropout(0.5, name="classifier.0")(x))
    return Model(inputs, GlobalAveragePooling2D(name="classifier.3")(x), "squeezenet1_1")


def _fire(x: Tensor, name: str, squeezed: int, expanded: int) -> Tensor:
    x = Conv2D(squeezed, 1, activation="relu", name=f"{name}.squeeze")(x)
    small = Conv2D(expanded, 1, activation="relu", name=f"{name}.expand1x1")(x)
    large = Conv2D(expanded, 3, padding=1, activation="relu", name=f"{name}.expand3x3")(x)
    y: Tensor = Concatenate(name=name)([small, large])
    return y
