"""VGG16 and VGG19: blocks of 3x3 convolutions, each block half as wide and twice as deep as the one before."""

from collections.abc import Sequence

from cnnfast.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D
from cnnfast.sequential import Sequential

Blocks = Sequence[tuple[int, int]]
"""(convolutions, filters) of each block."""

D: Blocks = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
E: Blocks = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""The columns of the paper's table 1."""


def VGG16(include_top: bool = True, input_shape: Sequence[int | None] = (224, 224, 3), classes: int = 1000
          ) -> Sequential:  # fmt: skip
    """138,357,544 parameters, 14,714,688 without the top; layers are named as Keras names them.

    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", arXiv:1409.1556.

    >>> from cnnfast.models import VGG16
    >>> VGG16().count_params(), VGG16(include_top=False).count_params()
    (138357544, 14714688)
    """
    return _vgg("vgg16", D, include_top, input_shape, classes)


def VGG19(include_top: bool = True, input_shape: Sequence[int | None] = (224, 224, 3), classes: int = 1000
          ) -> Sequential:  # fmt: skip
    """143,667,240 parameters, 20,024,384 without the top; see VGG16.

    >>> from cnnfast.models import VGG19
    >>> VGG19().count_params(), VGG19(include_top=False).count_params()
    (143667240, 20024384)
    """
    return _vgg("vgg19", E, include_top, input_shape, classes)


def _vgg(name: str, blocks: Blocks, include_top: bool, input_shape: Sequence[int | None], classes: int) -> Sequential:
    model = Sequential([Input(tuple(input_shape))], name=name)
    for b, (convolutions, filters) in enumerate(blocks, 1):
        for c in range(1, convolutions + 1):
            model.add(Conv2D(filters, 3, padding="same", activation="relu", name=f"block{b}_conv{c}"))
        model.add(MaxPooling2D(2, name=f"block{b}_pool"))
    if include_top:
        model.add(Flatten(name="flatten"))
        model.add(Dense(4096, activation="relu", name="fc1"))
        model.add(Dense(4096, activation="relu", name="fc2"))
        model.add(Dense(classes, activation="softmax", name="predictions"))
    return model
