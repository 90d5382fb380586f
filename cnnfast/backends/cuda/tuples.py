"""Work on tuples, which stand in registers: a loop over one would index it at run time, so it is written out."""

from typing import Any

from .toolchain import device


def each(function: Any, count: int, tuples: int = 1, plain: int = 0) -> Any:
    """The device function each(t0, ..., u0, ...) of `tuples` tuples of `count` members and `plain` plain values:
    (function(t0[0], ..., u0, ...), function(t0[1], ..., u0, ...), ...)."""
    names = [f"t{i}" for i in range(tuples)], [f"u{i}" for i in range(plain)]
    calls = (f"function({', '.join([*(f'{t}[{i}]' for t in names[0]), *names[1]])})" for i in range(count))
    space: dict[str, Any] = {}
    line = f"lambda {', '.join(names[0] + names[1])}: ({', '.join(calls)},)"
    exec(f"def make(function):\n    return {line}", space)
    return device(space["make"](function))


def filled(value: Any, count: int) -> Any:
    """The device function filled(): `count` times value, a NumPy scalar."""
    held = (value,) * count

    def filled() -> Any:
        return held

    return device(filled)
