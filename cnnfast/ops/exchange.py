"""Arrays of other kinds: read where they lie, and the result given back as the kind that came.

No framework is imported here: an array of one exists only where somebody else imported it. NumPy's own arrays cost one
look at their type.
"""

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import signature
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
P = ParamSpec("P")
R = TypeVar("R")

CPU_MEMORY: Final = {1: "CPU", 3: "pinned by CUDA", 11: "pinned by ROCm"}
"""DLPack's device types whose memory the CPU reads."""
DEVICES: Final = {
    2: "CUDA", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 10: "ROCm", 12: "external", 13: "managed CUDA", 14: "oneAPI",
    15: "WebGPU", 16: "Hexagon",
}  # fmt: skip

CUDA_MEMORY: Final = (2, 13)
"""Those that a CUDA device reads."""

OUTPUTS: Final = ("out", "grad_bias")
"""Arguments that an op writes to."""
ARRAYS: Final = "arrays"
"""The argument that is a sequence of arrays."""


class Kind(NamedTuple):
    """A framework's arrays: as NumPy's, without a copy, and NumPy's as they are; and whether one lies on a CUDA device.
    """

    module: str
    name: str
    view: Callable[[str, Any], Array]
    back: Callable[[Array], Any]
    writable: bool
    on_device: Callable[[Any], bool]


def _torch_view(name: str, tensor: Any) -> Array:
    try:
        array: Array = tensor.numpy()  # refuses all that is not plain memory of the CPU
        return array
    except Exception as error:
        _check_device(name, tensor.device.type, str(tensor.device))
        if not tensor.requires_grad:
            told = f"{tensor.dtype}, {tensor.layout}"
            raise TypeError(f"{name} cannot be read where it lies ({told}): {error}") from error
    refuse_gradient(name, tensor)
    return _torch_view(name, tensor.detach())


def refuse_gradient(name: str, tensor: Any) -> None:
    """A tensor of torch that wants a gradient, which is not recorded here, is a TypeError."""
    if tensor.requires_grad and sys.modules["torch"].is_grad_enabled():
        raise TypeError(
            f"{name} must not require a gradient, which would be lost: call the ops of cnnfast.interop.torch, or give "
            f"{name}.detach(), or call under torch.no_grad()"
        )


def _torch_on_device(tensor: Any) -> bool:
    return bool(tensor.is_cuda)


def _torch_back(array: Array) -> Any:
    return sys.modules["torch"].from_numpy(array)


def _jax_view(name: str, array: Any) -> Array:
    jax = sys.modules["jax"]
    if isinstance(array, jax.core.Tracer):
        raise TypeError(f"{name} must have values, got a tracer: in jit, grad and vmap call cnnfast.interop.jax's ops")
    _check_device(name, *_device(array))
    try:
        return np.from_dlpack(array)
    except Exception as error:
        raise TypeError(f"{name} cannot be read where it lies ({array.dtype}): {error}") from error


def _jax_back(array: Array) -> Any:
    """Without a copy where the array lies as XLA wants it, at a cache line: so does every result that is not small."""
    return sys.modules["jax"].dlpack.from_dlpack(array if array.flags.writeable else array.copy())


def _jax_on_device(array: Any) -> bool:
    return not isinstance(array, sys.modules["jax"].core.Tracer) and int(array.__dlpack_device__()[0]) in CUDA_MEMORY


KINDS: Final = (
    Kind("torch", "Tensor", _torch_view, _torch_back, True, _torch_on_device),
    Kind("jax", "Array", _jax_view, _jax_back, False, _jax_on_device),
)


def kind_of(value: object) -> Kind | None:
    """The framework whose array value is; None: nobody's who wants its own kind back.

    >>> kind_of([1.0, 2.0]) is None
    True
    """
    for kind in KINDS:
        cls = getattr(sys.modules.get(kind.module), kind.name, None)
        if cls is not None and isinstance(value, cls):
            return kind
    return None


def on_device(value: Any) -> bool:
    """Whether value is an array on a CUDA device.

    >>> on_device(np.zeros(1)), on_device([1.0, 2.0])
    (False, False)
    """
    return type(value) is not np.ndarray and _on_device(kind_of(value), value)


def _on_device(kind: Kind | None, value: Any) -> bool:
    if kind is not None:
        return kind.on_device(value)
    if hasattr(value, "__cuda_array_interface__") or hasattr(value, "__cuda_ndarray__"):
        return True
    return hasattr(value, "__dlpack_device__") and int(value.__dlpack_device__()[0]) in CUDA_MEMORY


def view(name: str, value: Any) -> Array:
    """value as a NumPy array: where it lies if it has memory to show, a new one if it is numbers in lists.

    >>> import array
    >>> view("x", memoryview(bytearray(8)).cast("f", (2, 1))).shape
    (2, 1)
    """
    kind = kind_of(value)
    if kind is not None:
        return kind.view(name, value)
    if isinstance(value, np.ndarray) and hasattr(value, "mask"):
        raise TypeError(f"{name} must not be a masked array: fill it first")
    if hasattr(value, "__dlpack_device__"):
        _check_device(name, *_device(value))
    elif hasattr(value, "__cuda_array_interface__"):
        _check_device(name, "cuda", "CUDA")
    try:
        return np.from_dlpack(value) if _speaks_dlpack_alone(value) else np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:
        raise TypeError(f"{name} cannot be read as an array: {error}") from error


def _speaks_dlpack_alone(value: object) -> bool:
    return hasattr(value, "__dlpack__") and not hasattr(value, "__array_interface__") and not _has_buffer(value)


def _has_buffer(value: Any) -> bool:
    try:
        memoryview(value).release()
    except (TypeError, BufferError, ValueError):
        return False
    return True


def _device(value: Any) -> tuple[str, str]:
    kind, number = value.__dlpack_device__()
    return ("cpu", "") if int(kind) in CPU_MEMORY else ("", f"{DEVICES.get(int(kind), f'type {int(kind)}')}:{number}")


def _check_device(name: str, device: str, told: str) -> None:
    if device != "cpu":
        raise TypeError(f"{name} must lie in the CPU's memory, got an array on {told}: copy it here first")


def writable(name: str, value: Any) -> Array:
    """The memory of an `out` as a NumPy array."""
    kind = kind_of(value)
    if kind is not None:
        if not kind.writable:
            raise TypeError(f"{name} must be an array that can be written to, got one of {kind.module}, which cannot")
        return kind.view(name, value)
    if not _has_buffer(value) and not hasattr(value, "__array_interface__") and not hasattr(value, "__dlpack__"):
        raise TypeError(f"{name} must be a numpy.ndarray, or an array of another kind, got {type(value).__name__}")
    return view(name, value)


def like(value: object, result: Any) -> Any:
    """A result's arrays as value's kind; value may be a list of arrays, the first of which says it."""
    kind = _kind_of_first(value)
    return result if kind is None else _map(kind.back, result)


def _kind_of_first(value: object) -> Kind | None:
    found = _first(value)
    return None if type(found) is np.ndarray else kind_of(found)


def _first(value: object) -> object:
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return value


def _map(change: Callable[[Array], Any], result: Any) -> Any:
    if isinstance(result, np.ndarray):
        return change(result)
    return type(result)(_map(change, each) for each in result) if type(result) in (list, tuple) else result


def call(function: Callable[..., Any], name: str, x: Any, rest: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """function(x, *rest, **kwargs) of arrays of any kind, x being called `name`: what it returns is of x's kind, and
    outputs come back as themselves. Other inputs the op itself reads, by `arrays.as_array`.

    Where the first array lies on a CUDA device, the op is that of `ops.device`."""
    first = _first(x)
    kind = None if type(first) is np.ndarray else kind_of(first)
    if type(first) is not np.ndarray and _on_device(kind, first):
        from cnnfast.ops import device  # and Numba's CUDA compiler with it

        return device.call(function, x, rest, kwargs)
    if name != ARRAYS:
        x = view(name, x) if kind is None or isinstance(x, list | tuple) else kind.view(name, x)
    given: dict[int, object] = {}
    for to in OUTPUTS:
        out = kwargs.get(to)
        if out is not None:
            memory = out if type(out) is np.ndarray else writable(to, out)
            given[id(memory)] = out
            kwargs[to] = memory
    result = function(x, *rest, **kwargs)

    def back(array: Array) -> Any:
        if id(array) in given:
            return given[id(array)]
        return array if kind is None else kind.back(array)

    return result if kind is None and not given else _map(back, result)


SOURCE = """
def op({parameters}):
    if type({first}) is ndarray{plain_out}:
        return function({arguments})
    return call(function, {first!r}, {first}, ({rest}), {{{keywords}}})
"""


def exchanged(function: Callable[P, R], module: str) -> Callable[P, R]:
    """A public op of NumPy's arrays, for every kind of array; `module` is where users find it.

    It is written out with the op's own parameters, as dataclasses write theirs: with *args and **kwargs a call on a
    small NumPy array would cost a sixth more.

    >>> def double(x, *, out=None):
    ...     return np.multiply(x, 2, out=out)
    >>> exchanged(double, "ops")(np.ones(2)).tolist()
    [2.0, 2.0]
    """
    parameters = signature(function).parameters
    free = [name for name, each in parameters.items() if each.kind is not each.KEYWORD_ONLY]
    named = [name for name in parameters if name not in free]
    text = SOURCE.format(
        parameters=", ".join([*free, *(["*", *named] if named else [])]), first=free[0],
        plain_out=" and (out is None or type(out) is ndarray)" if "out" in parameters else "",
        arguments=", ".join([*free, *(f"{name}={name}" for name in named)]),
        rest="".join(f"{name}, " for name in free[1:]),
        keywords=", ".join(f"{name!r}: {name}" for name in named),
    )  # fmt: skip
    space: dict[str, Any] = {"function": function, "call": call, "ndarray": np.ndarray}
    exec(compile(text, f"<cnnfast.{function.__name__}>", "exec"), space)
    op = wraps(function)(space["op"])
    op.__defaults__, op.__kwdefaults__ = function.__defaults__, function.__kwdefaults__  # type: ignore[attr-defined]
    op.__module__ = module  # so that it pickles as what it is
    return op
