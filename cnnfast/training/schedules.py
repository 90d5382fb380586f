"""Learning rates that change with the steps taken: Keras' schedules."""

import math
from collections.abc import Sequence
from typing import Protocol

from cnnfast.ops import checks


class Schedule(Protocol):
    """The learning rate of a step, counted from 0."""

    def __call__(self, step: int) -> float:
        """The rate."""
        ...


class ExponentialDecay:
    """initial_learning_rate * decay_rate**(step / decay_steps); with staircase the exponent is rounded down.

    >>> ExponentialDecay(0.5, 10, 0.5)(20)
    0.125
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False
    ) -> None:
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = checks.integer("decay_steps", decay_steps, minimum=1)
        self.decay_rate = checks.number("decay_rate", decay_rate)
        self.staircase = checks.boolean("staircase", staircase)

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        power = step // self.decay_steps if self.staircase else step / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate**power)


class CosineDecay:
    """From initial_learning_rate down to alpha of it along half a cosine, over decay_steps; first, where warmup_steps
    are given, up in a line to warmup_target.

    >>> [round(CosineDecay(1.0, 4)(step), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", arXiv:1608.03983.
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0,
        warmup_target: float | None = None, warmup_steps: int = 0,
    ) -> None:  # fmt: skip
        self.initial_learning_rate = checks.number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = checks.integer("decay_steps", decay_steps, minimum=1)
        self.alpha = checks.number("alpha", alpha)
        self.warmup_steps = checks.integer("warmup_steps", warmup_steps, minimum=0)
        self.warmup_target = None if warmup_target is None else checks.number("warmup_target", warmup_target)

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        begin, top = self.initial_learning_rate, self.initial_learning_rate
        if self.warmup_target is not None:
            top = self.warmup_target
            if step < self.warmup_steps:
                return begin + (top - begin) * step / self.warmup_steps
            step -= self.warmup_steps
        wave = (1 + math.cos(math.pi * min(step / self.decay_steps, 1))) / 2
        return top * ((1 - self.alpha) * wave + self.alpha)


class PiecewiseConstantDecay:
    """values[i] up to and with step boundaries[i], the last value after that.

    >>> schedule = PiecewiseConstantDecay([2, 4], [1.0, 0.1, 0.01])
    >>> [schedule(step) for step in (0, 2, 3, 5)]
    [1.0, 1.0, 0.1, 0.01]
    """

    def __init__(self, boundaries: Sequence[int], values: Sequence[float]) -> None:
        self.boundaries = [checks.integer("boundaries", each, minimum=0) for each in boundaries]
        self.values = [checks.number("values", each) for each in values]
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(f"values must be one more than boundaries, got {len(values)} and {len(boundaries)}")

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        return self.values[sum(step > boundary for boundary in self.boundaries)]
