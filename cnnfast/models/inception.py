"""Inception v3: larger kernels as chains of 1x7, 7x1, 1x3 and 3x1."""

from collections.abc import Sequence
from typing import Any

from cnnfast.layers import (
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
)
from cnnfast.layers.tensor import Tensor
from cnnfast.model import Model


def InceptionV3(include_top: bool = True, input_shape: Sequence[int | None] = (299, 299, 3), classes: int = 1000
                ) -> Model:  # fmt: skip
    """23,851,784 parameters, 34,432 statistics among them; 21,802,784 without the top: Keras' form.

    Convolutions and normalisations have no names of their own, as in Keras: conv2d, conv2d_1, ... in the order of its
    source.

    Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the inception architecture for computer vision",
    arXiv:1512.00567.

    >>> from cnnfast.models import InceptionV3
    >>> InceptionV3().count_params(), InceptionV3(include_top=False).count_params()
    (23851784, 21802784)
    """
    inputs = Input(tuple(input_shape))
    x = _chain(inputs, (32, 3, 2, "valid"), (32, 3, 1, "valid"), (64, 3))
    x = MaxPooling2D(3, strides=2)(x)
    x = _chain(x, (80, 1, 1, "valid"), (192, 3, 1, "valid"))
    x = MaxPooling2D(3, strides=2)(x)
    for i, pooled in enumerate((32, 64, 64)):
        x = _join(
            f"mixed{i}", _chain(x, (64, 1)), _chain(x, (48, 1), (64, 5)), _chain(x, (64, 1), (96, 3), (96, 3)),
            _chain(_mean(x), (pooled, 1)),
        )  # fmt: skip
    x = _join(
        "mixed3", _chain(x, (384, 3, 2, "valid")), _chain(x, (64, 1), (96, 3), (96, 3, 2, "valid")),
        MaxPooling2D(3, strides=2)(x),
    )  # fmt: skip
    for i, n in enumerate((128, 160, 160, 192), 4):
        x = _join(
            f"mixed{i}", _chain(x, (192, 1)), _chain(x, (n, 1), (n, (1, 7)), (192, (7, 1))),
            _chain(x, (n, 1), (n, (7, 1)), (n, (1, 7)), (n, (7, 1)), (192, (1, 7))), _chain(_mean(x), (192, 1)),
        )  # fmt: skip
    x = _join(
        "mixed8", _chain(x, (192, 1), (320, 3, 2, "valid")),
        _chain(x, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "valid")), MaxPooling2D(3, strides=2)(x),
    )  # fmt: skip
    for i in (0, 1):
        a = _chain(x, (320, 1))
        b = _chain(x, (384, 1))
        b = _join(f"mixed9_{i}", _chain(b, (384, (1, 3))), _chain(b, (384, (3, 1))))
        c = _chain(x, (448, 1), (384, 3))
        c = _join(None, _chain(c, (384, (1, 3))), _chain(c, (384, (3, 1))))
        x = _join(f"mixed{9 + i}", a, b, c, _chain(_mean(x), (192, 1)))
    if include_top:
        x = GlobalAveragePooling2D(name="avg_pool")(x)
        x = Dense(classes, activation="softmax", name="predictions")(x)
    return Model(inputs, x, "inception_v3")


def _chain(x: Tensor, *convolutions: tuple[Any, ...]) -> Tensor:
    """Convolutions (filters, size, stride=1, padding="same"), each with its normalisation and ReLU."""
    for filters, size, *rest in convolutions:
        stride, padding = rest or (1, "same")
        x = Conv2D(filters, size, stride, padding, use_bias=False)(x)
        x = Activation("relu")(BatchNormalization(scale=False)(x))
    return x


def _mean(x: Tensor) -> Tensor:
    y: Tensor = AveragePooling2D(3, strides=1, padding="same")(x)
    return y


def _join(name: str | None, *branches: Tensor) -> Tensor:
    y: Tensor = Concatenate(name=name)(branches)
    return y
