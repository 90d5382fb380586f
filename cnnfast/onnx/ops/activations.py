"""Activations: ours by another name, and those that are NumPy's few words."""

import math
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.ops.pointwise import prelu as our_prelu
from cnnfast.graph.table import same
from cnnfast.onnx.ops.elementwise import repeated
from cnnfast.onnx.ops.floats import floats_become, in_floats, is_floats
from cnnfast.onnx.registry import one_of, onnx_op
from cnnfast.ops import activations, gates
from cnnfast.ops.arrays import Array
from cnnfast.ops.signatures import FLOATS

SELU = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}
"""ONNX's defaults: float32's nearest of the published numbers."""


@onnx_op("Relu", spec=same, pointwise=True, simplify=floats_become("relu"))
def relu(x: Array) -> Any:
    return np.maximum(x, x.dtype.type(0))


@onnx_op("Tanh", spec=same, pointwise=True, simplify=floats_become("tanh"))
@in_floats
def tanh(x: Array) -> Array:
    return gates.tanh(x)


@onnx_op("Sigmoid", spec=same, pointwise=True, simplify=floats_become("sigmoid"))
@in_floats
def sigmoid(x: Array) -> Array:
    return gates.sigmoid(x)


@onnx_op("LeakyRelu", spec=same, pointwise=True, simplify=floats_become(
    "leaky_relu", lambda alpha=0.01: {"negative_slope": alpha}))  # fmt: skip
@in_floats
def leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    return activations.leaky_relu(x, alpha)


def _prelu_spec(x: Spec, slope: Spec) -> Spec:
    if np.broadcast_shapes(x.shape, slope.shape) != x.shape:
        raise ValueError(f"slope must repeat to X's shape {x.shape}, got {slope.shape}")
    return x


@onnx_op("PRelu", since=7, spec=_prelu_spec, pointwise=True, simplify=floats_become("prelu"))
def prelu(x: Array, slope: Array) -> Array:
    _prelu_spec(Spec.of(x), Spec.of(slope))
    y = our_prelu(x, slope) if x.dtype == slope.dtype else np.where(x < 0, slope * x, x)
    return y.astype(x.dtype, copy=False)


@onnx_op("Elu", spec=same, pointwise=True, simplify=floats_become("elu", lambda alpha=1.0: {"alpha": alpha}))
@in_floats
def elu(x: Array, *, alpha: float = 1.0) -> Array:
    return activations.elu(x, alpha)


@onnx_op("Celu", since=12, spec=same, pointwise=True, simplify=floats_become(
    "elu", lambda alpha=1.0: {} if alpha == 1 else None))  # fmt: skip
@in_floats
def celu(x: Array, *, alpha: float = 1.0) -> Any:
    return activations.elu(x / x.dtype.type(alpha), 1.0) * x.dtype.type(alpha)


@onnx_op("Selu", spec=same, pointwise=True, simplify=floats_become(
    "selu", lambda **given: {} if SELU | given == SELU else None))  # fmt: skip
@in_floats
def selu(x: Array, *, alpha: float = SELU["alpha"], gamma: float = SELU["gamma"]) -> Any:
    return activations.elu(x, alpha) * x.dtype.type(gamma)


def _torch_hardsigmoid(alpha: float = 0.2, beta: float = 0.5) -> dict[str, Any] | None:
    return {} if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5 else None


@onnx_op("HardSigmoid", spec=same, pointwise=True, simplify=floats_become("hardsigmoid", _torch_hardsigmoid))
@in_floats
def hard_sigmoid(x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    return np.clip(x * x.dtype.type(alpha) + x.dtype.type(beta), 0, 1)


@onnx_op("HardSwish", since=14, spec=same, pointwise=True, simplify=floats_become("hardswish"))
@in_floats
def hard_swish(x: Array) -> Array:
    return activations.hardswish(x)


@onnx_op("Swish", since=24, spec=same, pointwise=True, simplify=floats_become(
    "silu", lambda alpha=1.0: {} if alpha == 1 else None))  # fmt: skip
@in_floats
def swish(x: Array, *, alpha: float = 1.0) -> Array:
    return x * gates.sigmoid(x * x.dtype.type(alpha))


def _better_swiglu(graph: Graph, node: Node) -> str | None:
    if node.attributes.get("alpha", 1.0) != 1 or not is_floats(graph, *node.inputs):
        return None
    gate = graph.add("silu", node.inputs[:1], node.name)
    return graph.add("multiply", [gate, node.inputs[1]], node.name)


@onnx_op("SwiGLU", since=28, spec=repeated, pointwise=True, simplify=_better_swiglu)
@in_floats
def swiglu(x: Array, y: Array, *, alpha: float = 1.0) -> Any:
    return x * gates.sigmoid(x * x.dtype.type(alpha)) * y


@onnx_op("Gelu", since=20, spec=same, pointwise=True, check=one_of("approximate", "none", "tanh"),
         simplify=floats_become("gelu", lambda **given: given))  # fmt: skip
@in_floats
def gelu(x: Array, *, approximate: str = "none") -> Array:
    return gates.gelu(x, approximate)


@onnx_op("Mish", since=18, spec=same, pointwise=True, simplify=floats_become("mish"))
@in_floats
def mish(x: Array) -> Array:
    return gates.mish(x)


LINEAR = 40.0
"""From here on softplus(x) is x: log(1 + exp(-40)) is no bit of a float64."""


def _better_softplus(graph: Graph, node: Node) -> str | None:
    spec = graph.spec(node.inputs[0])
    if spec is None or spec.dtype not in FLOATS:
        return None
    if spec.dtype == np.float32:
        return graph.add("softplus", node.inputs, node.name)
    return graph.add("softplus", node.inputs, node.name, threshold=LINEAR)


@onnx_op("Softplus", spec=same, pointwise=True, simplify=_better_softplus)
@in_floats
def softplus(x: Array) -> Array:
    return gates.softplus(x, 1.0, 20.0 if x.dtype == np.float32 else LINEAR)


@onnx_op("Softsign", spec=same, pointwise=True)
@in_floats
def softsign(x: Array) -> Any:
    return x / (1 + np.abs(x))


@onnx_op("ThresholdedRelu", since=10, spec=same, pointwise=True)
@in_floats
def thresholded_relu(x: Array, *, alpha: float = 1.0) -> Array:
    return np.where(x > alpha, x, x.dtype.type(0))


@onnx_op("Shrink", since=9, spec=same, pointwise=True)
def shrink(x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    moved = np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0))
    return moved.astype(x.dtype)


@onnx_op("Erf", since=9, spec=same, pointwise=True)
@in_floats
def erf(x: Array) -> Array:
    """2 * Phi(sqrt(2) * x) - 1 by our gelu, z * Phi(z); near 0, where that cancels, the first terms of its series."""
    wide = np.clip(x.astype(np.float64), -6.5, 6.5)  # 1 - erf(6.5) is no bit of a float64
    near = np.abs(wide) < 0.5
    z = np.where(near, 1.0, wide) * math.sqrt(2)
    term = np.where(near, wide, 0.0) * (2 / math.sqrt(math.pi))
    square, series = np.where(near, wide, 0.0) ** 2, term.copy()
    for n in range(1, 13):
        term *= -square / n
        series += term / (2 * n + 1)
    return np.where(near, series, 2 * (gates.gelu(z) / z) - 1).astype(x.dtype)


def _limits(graph: Graph, node: Node) -> tuple[float | None, float | None] | None:
    """The constants that Clip keeps x between; None where they are not known."""
    if "min" in node.attributes or "max" in node.attributes:
        return node.attributes.get("min"), node.attributes.get("max")
    found: list[float | None] = []
    for value in [*node.inputs[1:], "", ""][:2]:
        constant = graph.constants.get(value)
        if value and (constant is None or constant.size != 1):
            return None
        found.append(None if constant is None else float(constant.reshape(())))
    return found[0], found[1]


def _better_clip(graph: Graph, node: Node) -> str | None:
    spec, limits = graph.spec(node.inputs[0]), _limits(graph, node)
    if limits is None or spec is None or not is_floats(graph, node.inputs[0]):
        return None
    most = np.finfo(spec.dtype).max
    low = None if limits[0] is not None and limits[0] <= -most else limits[0]
    high = None if limits[1] is not None and limits[1] >= most else limits[1]
    if low == 0 and high in (None, 6):
        return graph.add("relu" if high is None else "relu6", node.inputs[:1], node.name)
    return graph.add("clip", node.inputs[:1], node.name, low=low, high=high)


@onnx_op("Clip", since=6, spec=same, pointwise=True, simplify=_better_clip)
def clip_6(x: Array, *, min: float | None = None, max: float | None = None) -> Any:
    return clip(x, None if min is None else np.asarray(min), None if max is None else np.asarray(max))


@onnx_op("Clip", since=11, spec=lambda x, low=None, high=None: x, pointwise=True, simplify=_better_clip)
def clip(x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    """Between low and high; high where they cross."""
    y = x if low is None else np.maximum(x, low.astype(x.dtype))
    return y if high is None else np.minimum(y, high.astype(x.dtype))
