"""U-Net: down by pools, up by transposed convolutions, and across by copies of what was on the way down."""

from collections.abc import Sequence

from cnnfast.layers import Concatenate, Conv2D, Conv2DTranspose, Cropping2D, Input, MaxPooling2D
from cnnfast.layers.tensor import Tensor
from cnnfast.model import Model
from cnnfast.ops import checks

DEPTH, FILTERS = 5, 64
"""Levels of the U, and the filters of the first; each has twice as many as the one above: 1024 at the bottom."""


def UNet(padding: str = "valid", input_shape: Sequence[int] | None = None, classes: int = 2) -> Model:
    """31,030,658 parameters; 572x572 becomes 388x388, as published. It ends in a map of logits for each class.

    Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", arXiv:1505.04597.

    Parameters
    ----------
    padding : "valid", where what goes across is cropped; or "same", where maps keep their size
    input_shape : by default (572, 572, 1), or (256, 256, 1) with padding "same". A pool must find even sizes.
    classes : 2 for cells and what lies between them

    Examples
    --------
    >>> from cnnfast.models import UNet
    >>> UNet().count_params(), UNet().output_shape, UNet("same").output_shape
    (31030658, (None, 388, 388, 2), (None, 256, 256, 2))
    """
    side = 572 if checks.choice("padding", padding, ("valid", "same")) == "valid" else 256
    x = inputs = Input(tuple(input_shape or (side, side, 1)))
    across: list[Tensor] = []
    for level in range(DEPTH):
        if level:
            across.append(x)
            _even(x, level)
            x = MaxPooling2D(2, name=f"down{level}_pool")(x)
        x = _double(x, f"down{level}", FILTERS << level, padding)
    for level in reversed(range(DEPTH - 1)):
        x = Conv2DTranspose(FILTERS << level, 2, strides=2, name=f"up{level}_upconv")(x)
        x = Concatenate(name=f"up{level}_concat")([_cropped(across[level], x, f"up{level}_crop"), x])
        x = _double(x, f"up{level}", FILTERS << level, padding)
    return Model(inputs, Conv2D(classes, 1, name="logits")(x), "unet")


def _double(x: Tensor, name: str, filters: int, padding: str) -> Tensor:
    for k in (1, 2):
        x = Conv2D(
            filters, 3, padding=padding, activation="relu", kernel_initializer="he_normal", name=f"{name}_conv{k}"
        )(x)
    return x


def _even(x: Tensor, level: int) -> None:
    if any(size is None or size % 2 for size in x.shape[1:3]):
        raise ValueError(f"input_shape must give pool {level} even sizes, and gives it {x.shape[1:3]}")


def _cropped(x: Tensor, like: Tensor, name: str) -> Tensor:
    """The middle of x, as high and wide as `like`."""
    cuts = [(a or 0) - (b or 0) for a, b in zip(x.shape[1:3], like.shape[1:3], strict=True)]
    if not any(cuts):
        return x
    y: Tensor = Cropping2D([(cut // 2, cut - cut // 2) for cut in cuts], name=name)(x)
    return y
