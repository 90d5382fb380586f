"""FCN: VGG16 with its dense layers as convolutions, so that it scores every pixel; transposed convolutions go up."""

from collections.abc import Sequence

from cnnfast.layers import Add, Conv2D, Conv2DTranspose, Cropping2D, Dropout, Input, MaxPooling2D
from cnnfast.layers.tensor import Tensor
from cnnfast.model import Model
from cnnfast.models.vgg import D

Size = Sequence[int]
FEATURES = 4096
"""Filters of fc6 and fc7."""

BORDER = 100
"""Pixels of padding before the first convolution, so that a picture of any size leaves something to fc6."""


def FCN8s(input_shape: Size = (500, 500, 3), classes: int = 21) -> Model:
    """134,489,759 parameters: scores of pool4 and pool3 are added on the way up by 2, 2 and 8.

    Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", arXiv:1411.4038. Layers and
    their crops are those of the authors' Caffe files; the scores are logits, as high and wide as the picture.

    >>> from cnnfast.models import FCN8s
    >>> model = FCN8s()
    >>> model.count_params(), model.output_shape
    (134489759, (None, 500, 500, 21))
    """
    inputs, pools, x = _trunk(input_shape, classes)
    x = _up(x, "upscore2", 4, 2)
    x = _add(x, pools[4], "pool4", 5)
    x = _up(x, "upscore_pool4", 4, 2)
    x = _add(x, pools[3], "pool3", 9)
    return Model(inputs, _crop(_up(x, "upscore8", 16, 8), inputs, 31, "score"), "fcn8s")


def FCN32s(input_shape: Size = (500, 500, 3), classes: int = 21) -> Model:
    """136,152,917 parameters: up by 32 at once, in one transposed convolution of 64x64; see FCN8s."""
    inputs, _, x = _trunk(input_shape, classes)
    return Model(inputs, _crop(_up(x, "upscore", 64, 32), inputs, 19, "score"), "fcn32s")


def _trunk(input_shape: Size, classes: int) -> tuple[Tensor, dict[int, Tensor], Tensor]:
    """The input, the five pools, and the scores after fc7."""
    x = inputs = Input(tuple(input_shape))
    pools = {}
    for block, (convolutions, filters) in enumerate(D, 1):
        for k in range(1, convolutions + 1):
            padding = BORDER if block == k == 1 else 1
            x = Conv2D(filters, 3, padding=padding, activation="relu", name=f"conv{block}_{k}")(x)
        x = pools[block] = MaxPooling2D(2, ceil_mode=True, name=f"pool{block}")(x)
    for name, size in (("6", 7), ("7", 1)):
        x = Dropout(0.5, name=f"drop{name}")(Conv2D(FEATURES, size, activation="relu", name=f"fc{name}")(x))
    return inputs, pools, Conv2D(classes, 1, name="score_fr")(x)


def _up(x: Tensor, name: str, size: int, stride: int) -> Tensor:
    y: Tensor = Conv2DTranspose(x.shape[-1] or 0, size, strides=stride, use_bias=False, name=name)(x)
    return y


def _add(x: Tensor, pool: Tensor, name: str, offset: int) -> Tensor:
    """x, and the scores of a pool where they lie below it."""
    score = Conv2D(x.shape[-1] or 0, 1, name=f"score_{name}")(pool)
    y: Tensor = Add(name=f"fuse_{name}")([x, _crop(score, x, offset, f"score_{name}c")])
    return y


def _crop(x: Tensor, like: Tensor, offset: int, name: str) -> Tensor:
    """x from `offset` on, as high and wide as `like`."""
    sizes = zip(x.shape[1:3], like.shape[1:3], strict=True)
    y: Tensor = Cropping2D([(offset, (a or 0) - offset - (b or 0)) for a, b in sizes], name=name)(x)
    return y
