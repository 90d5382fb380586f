"""More or fewer pixels: ZeroPadding2D, Cropping2D, UpSampling2D."""

from collections.abc import Sequence
from typing import Any, Unpack

from cnnfast import grad
from cnnfast.graph.ir import Graph
from cnnfast.layers import window
from cnnfast.layers.base import Backprop, Layer, Options
from cnnfast.layers.tensor import Shape
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.checks import Sides
from cnnfast.ops.resize import pad2d, upsample2d


def sides(name: str, value: object) -> Sides:
    """An integer, (height, width) or ((top, bottom), (left, right)) of pixels."""
    if isinstance(value, str):
        raise TypeError(f"{name} must be an integer, (height, width) or ((top, bottom), (left, right)), got {value!r}")
    found = checks.sides(name, value)
    assert not isinstance(found, str)
    return found


class ZeroPadding2D(Layer):
    """Zeros around each picture: padding 1, (1, 2), or ((top, bottom), (left, right)).

    >>> from cnnfast.layers import ZeroPadding2D
    >>> ZeroPadding2D(((0, 1), (0, 1))).compute_output_shape((None, 28, 28, 3))
    (None, 29, 29, 3)
    """

    rank = 4

    def __init__(self, padding: Any = 1, *, data_format: Any = None, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        window.data_format(data_format)
        self.padding = sides("padding", padding)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        N, H, W, C = input_shape
        (top, bottom), (left, right) = self.padding
        return N, H and H + top + bottom, W and W + left + right, C

    def call(self, x: Array, out: Array | None = None) -> Array:
        return pad2d(x, self.padding, out=out)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            return grad.pad2d(grad_output, self.padding) if inputs else None

        return self.call(x), backprop

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return graph.add("pad2d", inputs, self.name, padding=self.padding)


class Cropping2D(Layer):
    """Pixels cut off each picture: cropping 1, (1, 2), or ((top, bottom), (left, right)).

    >>> from cnnfast.layers import Cropping2D
    >>> Cropping2D(4).compute_output_shape((None, 64, 64, 3))
    (None, 56, 56, 3)
    """

    rank = 4

    def __init__(self, cropping: Any = 0, *, data_format: Any = None, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        window.data_format(data_format)
        self.cropping = sides("cropping", cropping)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        N, H, W, C = input_shape
        for size, cut in ((H, self.cropping[0]), (W, self.cropping[1])):
            if size is not None and sum(cut) >= size:
                raise ValueError(f"cropping must leave a pixel of its input's {input_shape}, got {self.cropping}")
        return N, H and H - sum(self.cropping[0]), W and W - sum(self.cropping[1]), C

    def call(self, x: Array, out: Array | None = None) -> Array:
        (top, bottom), (left, right) = self.cropping
        part = x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]
        if out is None:
            return part.copy()
        out[...] = part
        return out

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            return pad2d(grad_output, self.cropping) if inputs else None

        return self.call(x), backprop

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        (top, bottom), (left, right) = self.cropping
        return graph.add("slice", inputs, self.name, axes=(1, 2), starts=(top, left),
                         stops=(-bottom or None, -right or None), steps=(1, 1))  # fmt: skip


class UpSampling2D(Layer):
    """Each picture `size` times as high and wide, its pixels repeated ("nearest") or blended ("bilinear").

    >>> from cnnfast.layers import UpSampling2D
    >>> UpSampling2D(2).compute_output_shape((None, 14, 14, 8))
    (None, 28, 28, 8)
    """

    rank = 4

    def __init__(
        self, size: Any = 2, *, data_format: Any = None, interpolation: str = "nearest", **options: Unpack[Options]
    ) -> None:
        super().__init__(**options)
        window.data_format(data_format)
        self.size = checks.pair("size", size, minimum=1)
        self.interpolation = checks.choice("interpolation", interpolation, ("nearest", "bilinear"))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        N, H, W, C = input_shape
        return N, H and H * self.size[0], W and W * self.size[1], C

    def call(self, x: Array, out: Array | None = None) -> Array:
        return upsample2d(x, self.size, self.interpolation, out=out)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        shape = x.shape

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            return grad.upsample2d(grad_output, shape, self.size, self.interpolation) if inputs else None

        return self.call(x), backprop

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return graph.add("upsample2d", inputs, self.name, scale_factor=self.size, mode=self.interpolation)
