"""Scalar arguments, checked at the door: each error names the argument, its value and the rule."""

import math
import operator
from collections.abc import Iterable
from numbers import Real
from typing import Any, Literal

import numpy as np

Pair = tuple[int, int]
Sides = tuple[Pair, Pair]
"""((top, bottom), (left, right))"""
SidesOrSame = Sides | Literal["same"]

LIMIT = 2**31
"""Strides, dilations, windows, groups and paddings stay below it, so that no product of two overflows int64."""


def integer(name: str, value: object, minimum: int, limit: int = LIMIT) -> int:
    """value as an int in [minimum, limit); Python and NumPy integers pass, bool and float do not.

    >>> integer("groups", np.int64(2), minimum=1)
    2
    """
    if type(value) is not int:
        if isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        try:
            value = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"{name} must be an integer, got {_show(value)}") from None
    if value < minimum:
        raise ValueError(f"{name} must be >= {minimum}, got {value}")
    if value >= limit:
        raise ValueError(f"{name} must be < 2**{limit.bit_length() - 1}, got {value}")
    return value


def pair(name: str, value: object, minimum: int) -> Pair:
    """An integer for both axes, or (height, width).

    >>> pair("stride", 2, minimum=1), pair("stride", (2, 1), minimum=1)
    ((2, 2), (2, 1))
    """
    if type(value) is int and minimum <= value < LIMIT:
        return value, value
    items = _sequence(value)
    if items is None:
        both = integer(name, value, minimum)
        return both, both
    if len(items) != 2:
        raise ValueError(f"{name} must be an integer or (height, width), got {_show(value)}")
    return integer(name, items[0], minimum), integer(name, items[1], minimum)


def sides(name: str, value: object) -> SidesOrSame:
    """Any of padding's forms: an integer, (h, w), ((top, bottom), (left, right)), "valid" or "same".

    >>> sides("padding", (1, 2)), sides("padding", "valid")
    (((1, 1), (2, 2)), ((0, 0), (0, 0)))
    """
    if isinstance(value, str):
        if value == "same":
            return "same"
        if value == "valid":
            return (0, 0), (0, 0)
        raise ValueError(f'{name} must be "valid", "same" or integers, got {value!r}')
    items = _sequence(value)
    if items is not None and len(items) == 2:
        nested = [_sequence(item) for item in items]
        if nested[0] is not None and nested[1] is not None:
            if len(nested[0]) != 2 or len(nested[1]) != 2:
                raise ValueError(f"{name} must be ((top, bottom), (left, right)), got {_show(value)}")
            (top, bottom), (left, right) = nested[0], nested[1]
            return (
                (integer(name, top, 0), integer(name, bottom, 0)),
                (integer(name, left, 0), integer(name, right, 0)),
            )
    elif items is not None:
        raise ValueError(f"{name} must be an integer, (h, w) or ((top, bottom), (left, right)), got {_show(value)}")
    h, w = pair(name, value, 0)
    return (h, h), (w, w)


def choice(name: str, value: object, choices: Iterable[str]) -> str:
    """value, one of the names in choices."""
    choices = tuple(choices)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {_names(choices)}, got {_show(value)}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {_names(choices)}, got {value!r}")
    return value


def boolean(name: str, value: object) -> bool:
    """value, True or False."""
    if value is True or value is False:
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    raise TypeError(f"{name} must be True or False, got {_show(value)}")


def number(name: str, value: object, *, positive: bool = False) -> float:
    """value as a finite float; bool is no number."""
    if type(value) is float and math.isfinite(value) and not (positive and value <= 0):
        return value  # what follows takes 1 us, and an optimizer's step asks four times
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real | np.floating | np.integer):
        raise TypeError(f"{name} must be a number, got {_show(value)}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result) or (positive and result <= 0):
        rule = "finite and > 0" if positive else "finite"
        raise ValueError(f"{name} must be {rule}, got {value!r}")
    return result


def _sequence(value: object) -> tuple[Any, ...] | None:
    """value's items where it is a sequence of arguments, else None."""
    if isinstance(value, tuple | list):
        return tuple(value)
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return tuple(value)
    return None


def _names(choices: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in choices)


def _show(value: object) -> str:
    """repr, cut: an argument may be a whole array by mistake."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
