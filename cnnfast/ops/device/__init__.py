"""The ops on arrays that lie on a CUDA device: the same functions with the same checks, by `backends.cuda`.

`ops.exchange` comes here with a call whose first array lies on a device. A file for each family checks the arguments as
the CPU's ops do, by shapes and dtypes alone, and calls the backend's function of the op's name.
"""

from collections.abc import Callable, Sequence
from typing import Any

from cnnfast.ops.device.found import Refused
from cnnfast.ops.device.table import GRADIENTS, OPS


def call(function: Callable[..., Any], x: Any, rest: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The op that `function` is on the CPU, of arrays on a device."""
    name, module = getattr(function, "__name__", ""), getattr(function, "__module__", "")
    if hasattr(function, "__self__"):
        raise TypeError(
            "x must lie in the CPU's memory, as this plan's weights do, got an array on a CUDA device: call the op "
            "itself with weights on the device, or copy x here first"
        )
    table, told = (GRADIENTS, f"grad.{name}") if module.startswith("cnnfast.ops.grad") else (OPS, name)
    op = table.get(name)
    if op is None:
        raise Refused(told)
    return op(x, *rest, **kwargs)
