"""Argument types of the command line: each turns a word into a value, or into an error that names the rule."""

import argparse


def count(text: str) -> int:
    """An integer >= 1."""
    return _integer(text, 1)


def natural(text: str) -> int:
    """An integer >= 0."""
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"must be an integer >= {least}, got {text!r}")
    return number


def seconds(text: str) -> float:
    """A time > 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds > 0, got {text!r}")
    return number


def floats(text: str) -> tuple[float, ...]:
    """`0.5`, or `0.485,0.456,0.406`."""
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(abs(number) < float("inf") for number in numbers):
        raise argparse.ArgumentTypeError(f"must be numbers as in 0.5,0.5,0.5, got {text!r}")
    return numbers


def pair(text: str) -> int | tuple[int, int]:
    """`3`, or `3x5` for height x width."""
    numbers = _numbers(text, "x", (1, 2), "a number, or two as in 3x5")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def padding(text: str) -> int | str | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]:
    """`1`, `0x3` (height x width), `0,1,0,1` (top, bottom, left, right), `same` or `valid`."""
    if text in ("same", "valid"):
        return text
    if "," in text:
        top, bottom, left, right = _numbers(text, ",", (4,), "four numbers as in 0,1,0,1: top, bottom, left, right")
        return ((top, bottom), (left, right))
    return pair(text)


def shape(text: str) -> tuple[int, ...]:
    """`1x56x56x64`."""
    return _numbers(text, "x", (4,), "four numbers as in 1x56x56x64")


def _numbers(text: str, between: str, counts: tuple[int, ...], rule: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(word) for word in text.split(between))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts:
        raise argparse.ArgumentTypeError(f"must be {rule}, got {text!r}")
    return numbers
