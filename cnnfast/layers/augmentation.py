"""Pictures changed at random in training, and left as they are in inference: RandomFlip, RandomCrop, RandomContrast.

Every image has its own draw, from the layer's own generator: the same seed gives the same pictures, call after call.
"""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np

from cnnfast.graph.ir import Graph
from cnnfast.layers import sampling, window
from cnnfast.layers.base import Backprop, Layer, Options
from cnnfast.layers.initializers import next_seed
from cnnfast.layers.reshape import View
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array, contiguous

Range = tuple[float, float]
Back = Callable[[Array], Array]


class Augmentation(View):
    """What they have in common: nothing happens in inference.

    Parameters
    ----------
    seed : of the layer's own generator; None draws what `set_random_seed` leads to
    data_format : "channels_last", which is the only one
    """

    rank = 4

    def __init__(self, *, seed: int | None = None, data_format: Any = None, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        window.data_format(data_format)
        self.seed = None if seed is None else checks.integer("seed", seed, minimum=0, limit=2**64)
        self.generator = np.random.default_rng(next_seed() if self.seed is None else self.seed)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def augment(self, x: Array) -> tuple[Array, Back]:
        """The pictures changed, and the way back of what was done to them."""
        raise NotImplementedError(f"{type(self).__name__} must define augment")

    def call(self, x: Array, out: Array | None = None) -> Array:
        return super().call(floats(x), out)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        if not training or not x.size:
            return super().forward(x)
        y, back = self.augment(floats(x))

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            return back(grad_output) if inputs else None

        return y, backprop


class RandomFlip(Augmentation):
    """Each picture mirrored or not, with even chances along each axis.

    Parameters
    ----------
    mode : "horizontal", "vertical" or "horizontal_and_vertical"
    seed, data_format : see `Augmentation`

    >>> import numpy as np
    >>> from cnnfast.layers import RandomFlip
    >>> x = np.arange(3.0).reshape(1, 1, 3, 1)
    >>> flip = RandomFlip("horizontal", seed=2)
    >>> [flip(x, training=True).ravel().tolist() for _ in range(3)], flip(x).ravel().tolist()
    ([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 2.0]], [0.0, 1.0, 2.0])
    """

    def __init__(
        self, mode: str = "horizontal_and_vertical", seed: int | None = None, *, data_format: Any = None,
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(seed=seed, data_format=data_format, **options)
        self.mode = checks.choice("mode", mode, ("horizontal", "vertical", "horizontal_and_vertical"))

    def augment(self, x: Array) -> tuple[Array, Back]:
        chosen = self.generator.random((2, len(x))) < 0.5
        down, across = (chosen[i] & (word in self.mode) for i, word in enumerate(("vertical", "horizontal")))

        def flip(pictures: Array) -> Array:
            y = np.where(down[:, None, None, None], pictures[:, ::-1], pictures)
            return np.where(across[:, None, None, None], y[:, :, ::-1], y)

        return flip(x), flip


class RandomCrop(Augmentation):
    """A part of each picture, cut out where chance has it; in inference the middle.

    In inference, and where a picture is smaller than what is to be cut, the largest part in its middle that has the
    shape of height x width, read bilinearly at that size.

    Parameters
    ----------
    height, width : of the part
    seed, data_format : see `Augmentation`

    >>> from cnnfast.layers import RandomCrop
    >>> RandomCrop(24, 24).compute_output_shape((None, 32, 32, 3))
    (None, 24, 24, 3)
    """

    def __init__(
        self, height: int, width: int, seed: int | None = None, *, data_format: Any = None, **options: Unpack[Options]
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **options)
        self.size = checks.integer("height", height, minimum=1), checks.integer("width", width, minimum=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], *self.size, input_shape[3]

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return Layer.nodes(self, graph, inputs, shapes)

    def call(self, x: Array, out: Array | None = None) -> Array:
        y = self._middle(floats(x))[0]
        if out is None:
            return y
        out[...] = y
        return out

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        y, back = (self.augment if training and x.size else self._middle)(floats(x))
        return y, lambda grad_output, inputs=True: back(grad_output) if inputs else None

    def augment(self, x: Array) -> tuple[Array, Back]:
        spare = [have - want for have, want in zip(x.shape[1:3], self.size, strict=True)]
        if min(spare) < 0:
            return self._middle(x)
        tops, lefts = (self.generator.integers(0, each + 1, len(x)) for each in spare)
        rows, columns = (
            first[:, None] + np.arange(size) for first, size in zip((tops, lefts), self.size, strict=True)
        )
        at = np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None]

        def back(grad: Array) -> Array:
            grad_input = np.zeros(x.shape, grad.dtype)
            grad_input[at] = grad
            return grad_input

        return x[at], back

    def _middle(self, x: Array) -> tuple[Array, Back]:
        N, H, W, _ = shape = x.shape
        scale = min(H / self.size[0], W / self.size[1])
        if scale == 1:
            top, left = (H - self.size[0]) // 2, (W - self.size[1]) // 2
            part = slice(None), slice(top, top + self.size[0]), slice(left, left + self.size[1])

            def back(grad: Array) -> Array:
                grad_input = np.zeros(shape, grad.dtype)
                grad_input[part] = grad
                return grad_input

            return x[part].copy(), back
        rows, columns = (
            np.tile([[1.0, 0.0][i] * scale, [0.0, 1.0][i] * scale, (have - 1) / 2 - scale * (want - 1) / 2], (N, 1))
            for i, (have, want) in enumerate(zip((H, W), self.size, strict=True))
        )
        of = sampling.affine(shape, rows, columns, self.size, "nearest", "bilinear")
        return sampling.sample(x, of, 0.0), lambda grad: sampling.spread(grad, of, shape)


class RandomContrast(Augmentation):
    """Each picture's differences from its channels' means made weaker or stronger.

    Parameters
    ----------
    factor : from 0 to 1, up to how much either way, or (lower, upper): by a number in [1 - lower, 1 + upper]
    value_range : what the result is cut to
    seed, data_format : see `Augmentation`
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, *, data_format: Any = None,
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(seed=seed, data_format=data_format, **options)
        weaker, stronger = factor if isinstance(factor, tuple | list) and len(factor) == 2 else (factor, factor)
        self.factor = checks.number("factor", weaker), checks.number("factor", stronger)
        if not (0 <= self.factor[0] <= 1 and self.factor[1] >= 0):
            raise ValueError(f"factor must be from 0 to 1, or (lower, upper) with lower from 0 to 1, got {factor!r}")
        self.value_range = limits("value_range", value_range)

    def augment(self, x: Array) -> tuple[Array, Back]:
        drawn = self.generator.uniform(1 - self.factor[0], 1 + self.factor[1], len(x))
        factor = drawn.astype(x.dtype).reshape(-1, 1, 1, 1)
        mean = x.mean(axis=(1, 2), keepdims=True)
        y = (x - mean) * factor + mean
        inside = (y >= self.value_range[0]) & (y <= self.value_range[1])

        def back(grad: Array) -> Array:
            kept = grad * inside
            grad_input: Array = kept * factor + kept.mean(axis=(1, 2), keepdims=True) * (1 - factor)
            return grad_input

        return y.clip(*self.value_range), back


def floats(x: Array) -> Array:
    """x, contiguous; integers as float32."""
    return contiguous("x", x, x.dtype if x.dtype.kind == "f" else np.dtype(np.float32))


def limits(name: str, value: object, lowest: float | None = None, highest: float | None = None) -> Range:
    """A factor >= 0, which is as much either way, or (lower, upper), within what makes sense.

    >>> limits("factor", 0.2), limits("factor", (0.1, 0.3))
    ((-0.2, 0.2), (0.1, 0.3))
    """
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{name} must be a number or (lower, upper), got {value!r}")
        lower, upper = (checks.number(name, each) for each in value)
    else:
        upper = checks.number(name, value)
        if upper < 0:
            raise ValueError(f"{name} must be >= 0, or (lower, upper), got {value!r}")
        lower = -upper
    if lower > upper or (lowest is not None and lower < lowest) or (highest is not None and upper > highest):
        rule = "" if lowest is None else f" from {lowest:g}" + ("" if highest is None else f" to {highest:g}")
        raise ValueError(f"{name} must be lower <= upper{rule}, got {value!r}")
    return lower, upper
