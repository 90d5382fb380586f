"""What is worked out once for arguments as the user gave them, and kept for the next call with equal ones."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from cnnfast.ops import checks, tuning

Made = TypeVar("Made")


def prepared(make: Callable[..., Made], problem: tuple[Any, ...], given: tuple[Any, ...]) -> Made:
    """What `make` makes of arguments as the user gave them, a pool or its way back: they are checked once."""
    key = checks.cache_key(given)
    if key is None:
        return make(*problem, *given)
    made: Made = kept(make, tuning.state(), problem, *key)
    return made


@lru_cache(maxsize=512)
def kept(
    make: Callable[..., Any], state: object, problem: tuple[Any, ...], given: tuple[Any, ...], types: int
) -> Any:
    """What is made keeps the ISA, the limit and the measurements it was made with, so they are part of the key:
    `state`."""
    return make(*problem, *given)
