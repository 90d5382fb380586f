"""What is worked out once for arguments as the user gave them, and kept for the next call with equal ones."""

from collections.abc import Callable
from typing import Any, TypeVar

from cnnfast.backends.native import Kept
from cnnfast.ops import tuning

Made = TypeVar("Made")

kept = Kept(512)


def prepared(make: Callable[..., Made], problem: tuple[Any, ...], given: tuple[Any, ...]) -> Made:
    """What `make` makes of arguments as the user gave them, which it checks: a pool, a convolution, a way back."""
    key = kept.key(make, tuning.state(), problem, given)
    if key is None:
        return make(*problem, *given)
    made: Made = kept.get(key)
    if made is kept.missing:
        made = make(*problem, *given)
        if kept.key(make, tuning.state(), problem, given) == key:  # or another thread has changed a setting meanwhile
            kept.keep(key, made)
    return made
