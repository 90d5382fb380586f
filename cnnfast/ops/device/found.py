"""The way to the backend: its files, imported when the first array on a device comes, and the functions in them."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any, Final

BACKEND: Final = "cnnfast.backends.cuda"
FORWARD: Final = ("conv", "depthwise", "linear", "pool", "norm", "softmax", "elementwise", "shape", "conv_grad")
BACKWARD: Final = ("conv_grad", "grad.depthwise", "grad.pool", "grad.norm", "grad.elementwise", "grad.softmax")
"""The backend's files in which functions of the ops, and of their gradients, are looked for by name."""


@cache
def backend(file: str) -> Any:
    """A file of the backend, imported when the first array on a device comes."""
    return import_module(f"{BACKEND}.{file}")


class Refused(NotImplementedError):
    """An op, or a case of one, that has no kernel for CUDA devices."""

    def __init__(self, told: str) -> None:
        super().__init__(f"{told} has no kernel for CUDA devices yet: copy its arrays to the CPU's memory first")


@cache
def function(op: str, files: tuple[str, ...] = FORWARD) -> Callable[..., Any]:
    """The backend's function of an op."""
    for file in files:
        module = f"{BACKEND}.{file}"
        try:
            found = getattr(import_module(module), op, None)
        except ModuleNotFoundError as error:
            if not module.startswith(error.name or "?"):
                raise
            continue
        if found is not None:
            checked: Callable[..., Any] = found
            return checked
    raise Refused(told(op, files))


def told(op: str, files: tuple[str, ...]) -> str:
    """The op, or the gradient, as users call it."""
    return op if files is FORWARD else f"grad.{op}"


@cache
def takes(called: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of this name, or hands on whatever keywords it is given."""
    parameters = signature(called).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
