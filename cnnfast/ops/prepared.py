"""What is worked out once for arguments as the user gave them, and kept for the next call with equal ones."""

from collections.abc import Callable
from typing import Any, TypeVar

from cnnfast.backends.native import Kept
from cnnfast.ops import checks, tuning

Made = TypeVar("Made")

kept = Kept(512)


def prepared(make: Callable[..., Made], problem: tuple[Any, ...], given: tuple[Any, ...]) -> Made:
    """What `make` makes of arguments as the user gave them, a pool or its way back: they are checked once."""
    try:
        made: Made = kept.find(make, tuning.state(), problem, given)
    except TypeError:  # lists, or what is no argument at all
        return _of_lists(make, problem, given)
    return _new(make, problem, given) if made is kept.missing else made


def _of_lists(make: Callable[..., Made], problem: tuple[Any, ...], given: tuple[Any, ...]) -> Made:
    plain = checks.plain(given)
    if plain is None or plain == given:
        return make(*problem, *given)
    return prepared(make, problem, plain)


def _new(make: Callable[..., Made], problem: tuple[Any, ...], given: tuple[Any, ...]) -> Made:
    key = kept.key(make, tuning.state(), problem, given)  # before it is made: the settings may change while it is
    made = make(*problem, *given)
    kept.keep(key, made)
    return made
