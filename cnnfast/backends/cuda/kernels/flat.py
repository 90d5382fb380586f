"""A kernel's many scalars as one named tuple: it takes them one by one, as launches give them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.backends.cuda.toolchain import device, types


def flat(body: Callable[..., None], scalars: Any) -> Any:
    """A kernel of body's arrays, then the fields of the NamedTuple `scalars`; body takes the arrays and that tuple."""
    arrays = ", ".join(body.__code__.co_varnames[: body.__code__.co_argcount - 1])
    names = ", ".join(scalars._fields)
    made = f"scalars({', '.join(f'{cast(name)}({name})' for name in scalars._fields)})"
    text = f"""
def make(body, scalars, int32, int64):
    def kernel({arrays}, {names}):
        body({arrays}, {made})
    return kernel
"""
    space: dict[str, Any] = {}
    exec(text, body.__globals__, space)  # in body's module, where the simulator puts its own `cuda`
    return space["make"](device(body), scalars, np.int32, np.int64)


def cast(name: str) -> str:
    """The type of a scalar: `divisor`'s factors have 64 bits."""
    return "int64" if name.endswith("factor") else "int32"


def parameters(scalars: Any) -> tuple[Any, ...]:
    """The scalars' types, in order."""
    return tuple(getattr(types, cast(name)) for name in scalars._fields)
