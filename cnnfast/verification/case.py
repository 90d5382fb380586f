"""One problem: an op, its arrays and its attributes, channels last, and the same in the op's other layouts."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cnnfast.ops.signatures import SIGNATURES

Array = NDArray[Any]
Kind = Literal["exact", "random", "special"]
"""exact: small integers, whose sums are not rounded. special: NaN, infinities, -0 and denormals among the others."""

IMAGES = ("x", "residual", "indices", "y", "z")
ONE_LAYOUT = "any"
_LAYOUTS = {None: (ONE_LAYOUT,), "NHWC": ("NHWC", "NCHW"), "NLC": ("NLC", "NCL"), "NDHWC": ("NDHWC", "NCDHW")}


def layouts(op: str) -> tuple[str, ...]:
    """The layouts an op may be asked for, channels last and channels first; ONE_LAYOUT alone where it has none."""
    return _LAYOUTS[SIGNATURES[op].attributes.get("layout")]


@dataclass(frozen=True)
class Case:
    """`inputs` are the op's arrays by argument name, channels last; None where an optional one is left out. Those of
    concatenate are x, y, z.

    `attributes` are keywords as a user writes them, `lowered` as the oracle takes them, both without the layout.
    `large`: enough work for three threads. `batched`: the inputs whose first axis is y's, image by image.
    """

    seed: int
    index: int
    op: str
    dtype: np.dtype[Any]
    kind: Kind
    large: bool
    inputs: dict[str, Array | None]
    attributes: dict[str, Any]
    lowered: dict[str, Any]
    batched: tuple[str, ...] = ("x", "residual", "indices")

    @property
    def label(self) -> str:
        """The op's name in the counts: pooling that also gives indices is counted apart."""
        return f"{self.op}+indices" if self.attributes.get("return_indices") else self.op

    @property
    def zero_sign(self) -> bool:
        """Whether the sign of a zero is promised. A transposed tap without input may be left out or add a zero, which
        turns -0 (an underflow) into +0; and of equal extremes +0 and -0 either may stay, but where indices tell which.
        """
        extreme = "max_pool" in self.op or self.op == "min_pool2d"
        return self.op != "conv_transpose2d" and not (extreme and not self.attributes.get("return_indices"))

    @property
    def x(self) -> Array:
        x = self.inputs["x"]
        assert x is not None
        return x

    @property
    def y_dtype(self) -> np.dtype[Any]:
        return SIGNATURES[self.op].dtypes[self.dtype]

    def __str__(self) -> str:
        shapes = " ".join(f"{name}{list(each.shape)}" for name, each in self.inputs.items() if each is not None)
        settings = " ".join(f"{name}={value!r}" for name, value in self.attributes.items())
        return f"{self.op} {self.dtype} {self.kind} {shapes} {settings}"


def in_layout(case: Case, layout: str) -> dict[str, Array | None]:
    """The case's arrays in the layout's order, contiguous."""
    return {
        name: None if array is None else np.ascontiguousarray(_reorder(case.op, name, array, layout))
        for name, array in case.inputs.items()
    }


def _reorder(op: str, name: str, array: Array, layout: str) -> Array:
    if layout == layouts(op)[0] or array.ndim == 1:
        return array
    if name in IMAGES:
        return np.moveaxis(array, -1, 1)
    if name == "depthwise_weight" or op == "depthwise_conv2d":  # (R, S, C, multiplier) to (C*multiplier, 1, R, S)
        return np.transpose(array.reshape(*array.shape[:2], 1, -1), (3, 2, 0, 1))
    return np.moveaxis(array, (-1, -2), (0, 1))


def channels_last(y: Array, op: str, layout: str) -> Array:
    """An output of a layout with the channels last."""
    return y if layout == layouts(op)[0] else np.moveaxis(y, 1, -1)
