"""Pictures turned, zoomed and moved at random in training: RandomRotation, RandomZoom, RandomTranslation."""

from typing import Any, Unpack

import numpy as np

from cnnfast.layers import sampling
from cnnfast.layers.augmentation import Augmentation, Back, limits
from cnnfast.layers.base import Options
from cnnfast.layers.sampling import Numbers
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array


class Affine(Augmentation):
    """What rotation, zoom and translation have in common: pictures read at other places.

    Parameters
    ----------
    fill_mode : what stands outside a picture: "reflect" (its mirror image, d c b a | a b c d | d c b a), "wrap" (its
        other side), "nearest" (its edge) or "constant"
    interpolation : "bilinear" or "nearest"
    fill_value : the constant
    """

    def __init__(
        self, fill_mode: str, interpolation: str, fill_value: float, seed: int | None, data_format: Any,
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(seed=seed, data_format=data_format, **options)
        self.fill_mode = checks.choice("fill_mode", fill_mode, sampling.FILL_MODES)
        self.interpolation = checks.choice("interpolation", interpolation, sampling.INTERPOLATIONS)
        self.fill_value = checks.number("fill_value", fill_value)

    def places(self, N: int, H: int, W: int) -> tuple[Numbers, Numbers]:
        """Drawn for each image: where its pixel (p, q) reads, rows . (p, q, 1) and columns . (p, q, 1)."""
        raise NotImplementedError(f"{type(self).__name__} must define places")

    def augment(self, x: Array) -> tuple[Array, Back]:
        N, H, W, _ = shape = x.shape
        rows, columns = self.places(N, H, W)
        of = sampling.affine(shape, rows, columns, (H, W), self.fill_mode, self.interpolation)
        return sampling.sample(x, of, self.fill_value), lambda grad: sampling.spread(grad, of, shape)


class RandomRotation(Affine):
    """Each picture turned about its centre, by an angle of its own.

    Parameters
    ----------
    factor : a number of whole turns, of which up to so many either way, or (lower, upper); positive is
        counter-clockwise
    fill_mode, interpolation, fill_value : see `Affine`
    seed, data_format : see `Augmentation`

    >>> import numpy as np
    >>> from cnnfast.layers import RandomRotation
    >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
    >>> RandomRotation((0.25, 0.25))(x, training=True).reshape(2, 2).round(6).tolist()
    [[1.0, 3.0], [0.0, 2.0]]
    """

    def __init__(
        self, factor: Any, fill_mode: str = "reflect", interpolation: str = "bilinear",
        seed: int | None = None, *, fill_value: float = 0.0, data_format: Any = None, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(fill_mode, interpolation, fill_value, seed, data_format, **options)
        self.factor = limits("factor", factor)

    def places(self, N: int, H: int, W: int) -> tuple[Numbers, Numbers]:
        angle = 2 * np.pi * self.generator.uniform(*self.factor, N)
        cosine, sine = np.cos(angle), np.sin(angle)
        h, w = (H - 1) / 2, (W - 1) / 2
        rows = np.stack([cosine, sine, h - cosine * h - sine * w], axis=1)
        return rows, np.stack([-sine, cosine, w + sine * h - cosine * w], axis=1)


class RandomZoom(Affine):
    """Each picture made smaller or larger about its centre.

    Parameters
    ----------
    height_factor : up to how much either way, or (lower, upper): 0.2 zooms out by 20%, -0.2 in
    width_factor : the same for the width; None keeps the shape of what is seen
    fill_mode, interpolation, fill_value : see `Affine`
    seed, data_format : see `Augmentation`
    """

    def __init__(
        self, height_factor: Any, width_factor: Any = None, fill_mode: str = "reflect",
        interpolation: str = "bilinear", seed: int | None = None, *, fill_value: float = 0.0, data_format: Any = None,
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(fill_mode, interpolation, fill_value, seed, data_format, **options)
        self.height_factor = limits("height_factor", height_factor, lowest=-1)
        self.width_factor = None if width_factor is None else limits("width_factor", width_factor, lowest=-1)

    def places(self, N: int, H: int, W: int) -> tuple[Numbers, Numbers]:
        down = 1 + self.generator.uniform(*self.height_factor, N)
        across = down if self.width_factor is None else 1 + self.generator.uniform(*self.width_factor, N)
        none = np.zeros(N)
        rows = np.stack([down, none, (1 - down) * (H - 1) / 2], axis=1)
        return rows, np.stack([none, across, (1 - across) * (W - 1) / 2], axis=1)


class RandomTranslation(Affine):
    """Each picture moved.

    Parameters
    ----------
    height_factor, width_factor : up to which share of the size either way, or (lower, upper); positive is down and
        to the right
    fill_mode, interpolation, fill_value : see `Affine`
    seed, data_format : see `Augmentation`

    >>> import numpy as np
    >>> from cnnfast.layers import RandomTranslation
    >>> x = np.arange(1.0, 5.0).reshape(1, 1, 4, 1)
    >>> RandomTranslation(0, (0.5, 0.5), "constant")(x, training=True).ravel().tolist()
    [0.0, 0.0, 1.0, 2.0]
    """

    def __init__(
        self, height_factor: Any, width_factor: Any, fill_mode: str = "reflect", interpolation: str = "bilinear",
        seed: int | None = None, *, fill_value: float = 0.0, data_format: Any = None, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(fill_mode, interpolation, fill_value, seed, data_format, **options)
        self.height_factor = limits("height_factor", height_factor, lowest=-1, highest=1)
        self.width_factor = limits("width_factor", width_factor, lowest=-1, highest=1)

    def places(self, N: int, H: int, W: int) -> tuple[Numbers, Numbers]:
        down, across = (self.generator.uniform(*each, N) for each in (self.height_factor, self.width_factor))
        none, one = np.zeros(N), np.ones(N)
        return np.stack([one, none, -down * H], axis=1), np.stack([none, one, -across * W], axis=1)
