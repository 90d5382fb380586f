"""Kernels whose loops must be unrolled in Python: their text is written line by line, then compiled.

A tuple's member is a register when its index is a constant, so that a loop over lanes or taps is written out.
"""

import textwrap
from collections.abc import Iterable
from typing import Any

from .toolchain import cuda, device


def generated(name: str, parameters: Iterable[str], lines: Iterable[str], **known: Any) -> Any:
    """def name(parameters): lines; `known` are the names that the lines use."""
    space: dict[str, Any] = {"cuda": cuda, **known}
    exec(f"def {name}({', '.join(parameters)}):\n{textwrap.indent(chr(10).join(lines), '    ')}", space)
    return space[name]


def tuple_of(parts: Iterable[str]) -> str:
    """The text of a tuple, or of its only member."""
    written = list(parts)
    return written[0] if len(written) == 1 else f"({', '.join(written)})"


def member(name: str, lane: int, lanes: int) -> str:
    """The text of one lane of a value of `lanes`."""
    return name if lanes == 1 else f"{name}[{lane}]"


def by_lane(function: Any, arity: int, lanes: int) -> Any:
    """The device function that applies a scalar one to each lane of its arguments, results again in lanes."""
    if lanes == 1:
        return function
    names = [f"v{i}" for i in range(arity)]
    calls = (f"f({', '.join(member(name, lane, lanes) for name in names)})" for lane in range(lanes))
    return device(generated("by_lane", names, [f"return {tuple_of(calls)}"], f=function))
