"""Plans that follow each other as one call of the engine: what a network makes of its steps."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.backends import native
from cnnfast.ops.arrays import Array

Shape = tuple[int, ...]
Ends = tuple[Array, ...]


def link(run: object, x_shape: Shape, y_shape: Shape) -> tuple[native.Plan, int] | None:
    """What stands for `run` in a chain, and for how many images: only a plan of float32 has one.

    >>> link(print, (1, 2), (1, 2)) is None
    True
    """
    step = getattr(run, "step", None)
    answer: tuple[native.Plan, int] | None = step(x_shape, y_shape) if step else None
    return answer


class Run:
    """A call of all these steps, (plan, N, x, residual, y) each.

    x, residual and y are arrays that every call uses, or numbers of the arrays that a call brings. Those are float32
    and of these shapes; strided ones that are read are copied. residual may be None, or y itself: a kernel reads each
    number of it before it writes that one. y may overlap nothing else of its step.

    Attributes
    ----------
    exactly : the same, but where an array would have to be copied, or does not fit: it returns whether it ran
    """

    def __init__(self, steps: Sequence[tuple[Any, ...]], shapes: Sequence[Shape]) -> None:
        self.exactly = native.Chain(tuple(steps), tuple(shapes)).run
        self._written = {step[4] for step in steps if isinstance(step[4], int)}

    def __call__(self, ends: Ends) -> None:
        if self.exactly(ends):
            return
        written = self._written
        fit = tuple(end if i in written else np.require(end, None, ("C", "A", "E")) for i, end in enumerate(ends))
        if not self.exactly(fit):
            raise RuntimeError("a network's arrays do not fit its steps")
