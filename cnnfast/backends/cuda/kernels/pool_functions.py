"""What a pool does with the values it meets: max, min, the mean, the p-norm."""

import math
from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.intrinsics.arithmetic import maximum, minimum
from cnnfast.backends.cuda.toolchain import device


class Reduction(NamedTuple):
    """total = step(total, term(value)) over the window, from the first value or from 0 (`sums`); then
    finish(total, 1 / the window's size)."""

    sums: bool
    term: Any
    step: Any
    finish: Any


def reduction(kind: str, norm_type: float, computed: str) -> Reduction:
    """Of "max", "min", "avg" or "lp"."""
    real = np.float32 if computed == "float32" else np.float64
    power, root = real(norm_type), real(1 / norm_type)

    def same(v: Any) -> Any:
        return v

    def plus(a: Any, b: Any) -> Any:
        return a + b

    def keep(total: Any, share: Any) -> Any:
        return total

    def mean(total: Any, share: Any) -> Any:
        return total * share

    def absolute(v: Any) -> Any:
        return abs(v)

    def square(v: Any) -> Any:
        return v * v

    def square_root(total: Any, share: Any) -> Any:
        return math.sqrt(total)

    def raised(v: Any) -> Any:
        return abs(v) ** power

    def lowered(total: Any, share: Any) -> Any:
        return total**root

    if kind == "max":
        return Reduction(False, device(same), maximum, device(keep))
    if kind == "min":
        return Reduction(False, device(same), minimum, device(keep))
    if kind == "avg":
        return Reduction(True, device(same), device(plus), device(mean))
    term, finish = {1.0: (absolute, keep), 2.0: (square, square_root)}.get(norm_type, (raised, lowered))
    return Reduction(True, device(term), device(plus), device(finish))
