"""What training adds to the loss for large weights: Keras' regularizers and their names."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnnfast.ops import checks

Values = NDArray[Any]


class Regularizer(Protocol):
    """A penalty of a weight, and its gradient. One of your own has these two methods."""

    def __call__(self, values: Values) -> float:
        """The penalty: what is added to the loss."""
        ...

    def gradient(self, values: Values) -> Values:
        """The penalty's gradient, of values' shape."""
        ...


@dataclass(frozen=True)
class L1L2:
    """l1 * the sum of |w| + l2 * the sum of w**2.

    >>> import numpy as np
    >>> L1L2(l1=1.0, l2=0.5)(np.array([-2.0, 1.0]))
    5.5
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        for name in ("l1", "l2"):
            object.__setattr__(self, name, checks.number(name, getattr(self, name)))
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")

    def __call__(self, values: Values) -> float:
        """The penalty of values."""
        total = 0.0
        if self.l1:
            total += self.l1 * float(np.abs(values).sum(dtype=np.float64))
        if self.l2:
            total += self.l2 * float(np.square(values).sum(dtype=np.float64))
        return total

    def gradient(self, values: Values) -> Values:
        """The penalty's gradient; |w| has 0 at 0."""
        result: Values = values * values.dtype.type(2 * self.l2)
        if self.l1:
            result += values.dtype.type(self.l1) * np.sign(values)
        return result


class L1(L1L2):
    """l1 * the sum of |w|."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """l2 * the sum of w**2: weight decay, with plain SGD."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


NAMED = {"l1": L1, "l2": L2, "l1_l2": lambda: L1L2(0.01, 0.01)}


def get(name: str, value: object) -> Regularizer | None:
    """The regularizer that the argument called `name` asks for: None, a name, or a regularizer.

    >>> get("kernel_regularizer", "l2")
    L2(l1=0.0, l2=0.01)
    """
    if value is None:
        return None
    if callable(value) and callable(getattr(value, "gradient", None)):
        found: Any = value
        return found  # type: ignore[no-any-return]
    made: Any = NAMED[checks.choice(name, value, NAMED)]()
    return made  # type: ignore[no-any-return]
