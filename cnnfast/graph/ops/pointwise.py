"""Element by element: the engine's activations and sums, and NumPy's functions."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.graph.ir import Spec
from cnnfast.graph.table import op, same
from cnnfast.ops import activations, elementwise, gates
from cnnfast.ops.arrays import Array

ACTIVATIONS = (
    activations.relu, activations.relu6, activations.leaky_relu, activations.elu, activations.selu,
    activations.hardsigmoid, activations.hardswish, gates.sigmoid, gates.tanh, gates.gelu, gates.silu, gates.mish,
    gates.softplus,
)  # fmt: skip
for _activation in ACTIVATIONS:
    op(_activation.__name__, spec=same, pointwise=True, into=True)(_activation)


@op("prelu", spec=same, pointwise=True, into=True)
def prelu(x: Array, weight: Array, out: Array | None = None) -> Array:
    """The engine's where the slope is one for all or one of each of the last axis, else NumPy's."""
    if weight.size == 1 or (x.ndim and weight.shape[-1:] == x.shape[-1:] == (weight.size,)):
        return activations.prelu(x, weight.reshape(-1), out=out)
    y = np.multiply(x, weight, out=out)
    np.copyto(y, x, where=~(x < 0))
    return y


@op("clip", spec=same, pointwise=True, into=True)
def clip(x: Array, *, low: float | None = None, high: float | None = None, out: Array | None = None) -> Array:
    if low is None and high is None:
        return np.positive(x, out=out)
    return np.clip(x, low, high, out=out)


@op("cast", spec=lambda x, dtype: Spec(x.shape, dtype), pointwise=True)
def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def _broadcast(x: Spec, y: Spec, **attributes: Any) -> Spec:
    return Spec(np.broadcast_shapes(x.shape, y.shape), np.result_type(x.dtype, y.dtype))


def _floats(ours: Callable[..., Array], numpy: Callable[..., Array]) -> Callable[..., Array]:
    """The engine's op for the floats it knows, NumPy's for the rest; an activation needs the engine's."""

    def run(x: Array, y: Array, activation: Any = None, out: Array | None = None) -> Array:
        if x.dtype == y.dtype and x.dtype in (np.float32, np.float64):
            return ours(x, y, activation=activation, out=out)
        assert activation is None
        return numpy(x, y, out=out)

    return run


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function, without a warning where it gives infinity or NaN."""

    def run(*arrays: Array, out: Array | None = None) -> Any:
        with np.errstate(all="ignore"):
            return function(*arrays, out=out)

    return run


op("add", spec=_broadcast, pointwise=True, into=True)(_floats(elementwise.add, np.add))
op("multiply", spec=_broadcast, pointwise=True, into=True)(_floats(elementwise.multiply, np.multiply))
BROADCAST: tuple[Callable[..., Any], ...] = (np.subtract, np.maximum, np.minimum, np.divide)
UNARY: tuple[Callable[..., Any], ...] = (
    np.sqrt, np.exp, np.log, np.abs, np.negative, np.floor, np.ceil, np.rint, np.sin, np.cos, np.reciprocal,
)  # fmt: skip
for _numpy in BROADCAST:
    op(_numpy.__name__, spec=_broadcast, pointwise=True, into=True)(_quiet(_numpy))
for _numpy in UNARY:
    op(_numpy.__name__, spec=same, pointwise=True, into=True)(_quiet(_numpy))
