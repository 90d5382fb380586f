"""Activations, sums and products on a device."""

from . import maps
from .arrays import DeviceArray

Activation = tuple[str | None, float]
NO_ACTIVATION: Activation = (None, 0.0)


def _activation(x: DeviceArray, name: str, alpha: float = 0.0) -> DeviceArray:
    return maps.apply(("activation", name, alpha), (x,), x.shape)


def _shape(x: DeviceArray, y: DeviceArray) -> tuple[int, ...]:
    """What two arrays broadcast to."""
    rank = max(len(x.shape), len(y.shape))
    padded = [(1,) * (rank - len(each.shape)) + each.shape for each in (x, y)]
    return tuple(b if a == 1 else a for a, b in zip(*padded, strict=True))


def add(x: DeviceArray, y: DeviceArray, *, activation: Activation = NO_ACTIVATION) -> DeviceArray:
    """activation(x + y), broadcast."""
    return maps.apply(("add", *activation), (x, y), _shape(x, y))


def multiply(x: DeviceArray, y: DeviceArray, *, activation: Activation = NO_ACTIVATION) -> DeviceArray:
    """activation(x * y), broadcast."""
    return maps.apply(("multiply", *activation), (x, y), _shape(x, y))


def prelu(x: DeviceArray, weight: DeviceArray) -> DeviceArray:
    """x, or weight * x below 0; the weight is one number, or one a channel of the last axis."""
    return maps.apply(("prelu",), (x, weight), x.shape)


def relu(x: DeviceArray) -> DeviceArray:
    """max(x, 0)."""
    return _activation(x, "relu")


def relu6(x: DeviceArray) -> DeviceArray:
    """min(max(x, 0), 6)."""
    return _activation(x, "relu6")


def leaky_relu(x: DeviceArray, *, negative_slope: float = 0.01) -> DeviceArray:
    """x, or negative_slope * x below 0."""
    return _activation(x, "leaky_relu", negative_slope)


def elu(x: DeviceArray, *, alpha: float = 1.0) -> DeviceArray:
    """x, or alpha * (exp(x) - 1) below 0."""
    return _activation(x, "elu", alpha)


def selu(x: DeviceArray) -> DeviceArray:
    """1.0507 * elu(x, 1.6733)."""
    return _activation(x, "selu")


def sigmoid(x: DeviceArray) -> DeviceArray:
    """1 / (1 + exp(-x))."""
    return _activation(x, "sigmoid")


def hardsigmoid(x: DeviceArray) -> DeviceArray:
    """relu6(x + 3) / 6."""
    return _activation(x, "hardsigmoid")


def tanh(x: DeviceArray) -> DeviceArray:
    """The hyperbolic tangent."""
    return _activation(x, "tanh")


def gelu(x: DeviceArray, *, approximate: str = "none") -> DeviceArray:
    """x * Phi(x), or tanh's approximation of it."""
    return _activation(x, "gelu" if approximate == "none" else "gelu_tanh")


def silu(x: DeviceArray) -> DeviceArray:
    """x * sigmoid(x)."""
    return _activation(x, "silu")


def hardswish(x: DeviceArray) -> DeviceArray:
    """x * relu6(x + 3) / 6."""
    return _activation(x, "hardswish")


def mish(x: DeviceArray) -> DeviceArray:
    """x * tanh(softplus(x))."""
    return _activation(x, "mish")


def softplus(x: DeviceArray, *, beta: float = 1.0, threshold: float = 20.0) -> DeviceArray:
    """log(1 + exp(beta * x)) / beta; x where beta * x > threshold."""
    return maps.apply(("softplus", beta, threshold), (x,), x.shape)
