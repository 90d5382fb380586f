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
op("prelu", spec=same, into=True)(activations.prelu)


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


op("add", spec=_broadcast, pointwise=True, into=True)(_floats(elementwise.add, np.add))
op("multiply", spec=_broadcast, pointwise=True, into=True)(_floats(elementwise.multiply, np.multiply))
for _numpy in (np.subtract, np.maximum, np.minimum):
    op(_numpy.__name__, spec=_broadcast, pointwise=True, into=True)(_numpy)
