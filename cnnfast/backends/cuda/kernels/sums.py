"""What `kernels.reduced` adds up, and what it makes of the sums."""

from functools import cache
from typing import Any

import numpy as np

from cnnfast.backends.cuda.toolchain import device

from .functions import Key, function

Finish = tuple[str, int]
"""("plain" or "statistics", how many elements a total is of: a total is scaled by 1 over it; 0 and 1: not)."""


@cache
def terms(key: Key, computed: str) -> tuple[Any, ...]:
    """The scalar device functions whose sums are asked for. key: ("sums", key of a function, ...), or
    ("moments",): of (x - origin) and its square."""
    if key[0] == "sums":
        return tuple(function(each, computed) for each in key[1:])

    def centered(x: Any, origin: Any) -> Any:
        return x - origin

    def square(x: Any, origin: Any) -> Any:
        return (x - origin) * (x - origin)

    return device(centered), device(square)


@cache
def finishes(finish: Finish, computed: str) -> tuple[Any, ...]:
    """A result each: of the totals, the scale and, of statistics, the origin."""
    zero = np.float32(0) if computed == "float32" else np.float64(0)
    if finish[0] == "statistics":

        def mean(total: Any, squares: Any, scale: Any, origin: Any) -> Any:
            return origin + total * scale

        def variance(total: Any, squares: Any, scale: Any, origin: Any) -> Any:
            found = (squares - total * scale * total) * scale
            return zero if found < zero else found

        return device(mean), device(variance)

    def only(total: Any, scale: Any) -> Any:
        return total * scale

    def first(total: Any, other: Any, scale: Any) -> Any:
        return total * scale

    def second(total: Any, other: Any, scale: Any) -> Any:
        return other * scale

    return (device(only),) if finish[0] == "one" else (device(first), device(second))
