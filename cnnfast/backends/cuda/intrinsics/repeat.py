"""A loop written out, whose results stand in registers."""

from collections.abc import Callable
from typing import Any

from cnnfast.backends.cuda.toolchain import device


def repeated(function: Callable[..., Any], count: int, **each: int) -> Any:
    """many(*args) = (function(0, *args), function(1, *args), ... of `count`), as a tuple.

    `each`: arguments that are tuples, of which the i-th call takes the i-th member, or that many members.
    """
    names = function.__code__.co_varnames[1 : function.__code__.co_argcount]

    def given(i: int, name: str) -> str:
        size = each.get(name, 0)
        return f"{name}[{i * size}:{(i + 1) * size}]" if size > 1 else f"{name}[{i}]" if size else name

    calls = "".join(f"one({i}, {', '.join(given(i, name) for name in names)}), " for i in range(count))
    space: dict[str, Any] = {"one": device(function)}
    exec(f"def many({', '.join(names)}):\n    return ({calls})", space)
    return device(space["many"])
