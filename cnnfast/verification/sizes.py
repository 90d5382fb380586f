"""What the drawers of all ops share: a case's random source, and sizes along one axis."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cnnfast.ops import checks, shapes
from cnnfast.ops.checks import Pair, Sides
from cnnfast.verification.case import Case, Kind
from cnnfast.verification.values import Values

SWEEP = 33
"""Channel counts go through 1..2 vectors + 1 of the widest ISA (16 floats)."""

_KINDS: tuple[Kind, ...] = ("exact", "special", "random")


class Window(NamedTuple):
    """A kernel over an input, per axis (height, width). `padding` is in any of a user's forms, `sides` resolved."""

    size: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Any
    sides: Sides


@dataclass
class Draw:
    """The random source of one case. `turn` counts the cases of its op and dtype.

    `large`: enough work for three threads. `deep`: channels and rows that kernels must cut to fit their caches.
    """

    rng: np.random.Generator
    seed: int
    index: int
    op: str
    dtype: np.dtype[Any]
    turn: int
    large: bool
    deep: bool

    def __post_init__(self) -> None:
        self.kind: Kind = _KINDS[self.pick(0.33, 0.2, 0.47)] if self.dtype.kind == "f" else "exact"

    def case(
        self, inputs: dict[str, Any], attributes: dict[str, Any], lowered: dict[str, Any],
        batched: tuple[str, ...] = Case.batched,
    ) -> Case:  # fmt: skip
        return Case(
            self.seed, self.index, self.op, self.dtype, self.kind, self.large, inputs, attributes, lowered, batched
        )

    def values(self, depth: int = 1) -> Values:
        return Values(self.rng, self.dtype, self.kind, depth)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def among(self, first: int, last: int) -> int:
        """An integer in [first, last]."""
        return int(self.rng.integers(first, last, endpoint=True))

    def pick(self, *shares: float) -> int:
        """An index, each with its share of the probability."""
        return int(self.rng.choice(len(shares), p=np.array(shares) / sum(shares)))

    def axes(self, *shares: float) -> Pair:
        """1, 2, ... with these shares, mostly the same along both axes."""
        height = 1 + self.pick(*shares)
        return height, height if self.chance(0.6) else 1 + self.pick(*shares)

    def batch(self) -> int:
        """Images, none in every 25th case."""
        if self.large:
            return self.among(1, 2)
        return 0 if self.turn % 25 == 7 else 1 + self.pick(0.52, 0.25, 0.15, 0.08)

    def channels(self) -> int:
        """The count whose tail is swept, 15% of the time some vectors more."""
        if self.large:
            return self.among(44, 70)
        more = 33 * self.among(1, 2) if self.chance(0.15) else 0
        return 1 + self.turn * 13 % SWEEP + more

    def own_channels(self) -> int:
        """A count for an op that keeps channels apart; deep, one of those whose pixels collide in a cache or not."""
        if self.deep:
            return 128 * self.among(1, 3) if self.chance(0.5) else self.among(65, 260)
        return self.channels()

    def few(self) -> int:
        """A count that need not be swept."""
        if self.deep:
            return 256 * self.among(1, 2)
        return self.among(16, 24) if self.large else 1 + self.pick(4, 3, 3, 2, 1, 1, 1, 1)

    def written(self, pair: Pair) -> Any:
        """A pair as a user may write it."""
        return pair[0] if pair[0] == pair[1] and self.chance(0.7) else pair

    def kernel(self) -> Pair:
        if self.large:
            return 3, 3
        if self.chance(0.5):
            return [(1, 1), (3, 3)][self.pick(0.35, 0.65)]
        return 1 + self.pick(2, 3, 4, 2, 2, 0, 1), 1 + self.pick(2, 3, 4, 2, 2, 0, 1)

    def extents(self) -> Pair:
        """How far an input reaches beyond the smallest that the window allows."""
        if self.large:
            low = 42 if self.op == "depthwise_conv2d" else 14
            return self.among(low, low + 6), self.among(low, low + 6)
        if self.deep:
            return self.among(0, 3), self.among(20, 60)
        return self.pick(4, 3, 2, 2, 1, 1, 1), self.among(0, 31) if self.chance(0.25) else self.among(0, 8)


def sized(d: Draw, kernel: Pair, stride: Pair, dilation: Pair, padding: Any, least: Pair = (1, 1)) -> Window:
    """An input of at least `least` that the window fits into."""
    asked = checks.sides("padding", padding)
    more = d.extents()
    height, width = (
        max(least[i], 1 if asked == "same" else shapes.dilated(kernel[i], dilation[i]) - sum(asked[i])) + more[i]
        for i in range(2)
    )
    sides = shapes.resolve(asked, (height, width), kernel, stride, dilation)
    return Window((height, width), kernel, stride, dilation, padding, sides)
