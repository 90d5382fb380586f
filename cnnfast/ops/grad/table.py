"""Which function of `cnnfast.grad` gives the gradient of which input of an op. Layers and the tests read it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

GRADIENTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({
    "batch_norm": {"x": "batch_norm", "weight": "batch_norm", "bias": "batch_norm"},
    "batch_norm_train": {"x": "batch_norm", "weight": "batch_norm", "bias": "batch_norm"},
    "local_response_norm": {"x": "local_response_norm"},
    "softmax": {"x": "softmax"},
    "log_softmax": {"x": "log_softmax"},
    "relu": {"x": "activation"},
    "relu6": {"x": "activation"},
    "leaky_relu": {"x": "activation"},
    "prelu": {"x": "prelu", "weight": "prelu"},
    "elu": {"x": "activation"},
    "selu": {"x": "activation"},
    "sigmoid": {"x": "activation"},
    "hardsigmoid": {"x": "activation"},
    "tanh": {"x": "activation"},
    "gelu": {"x": "activation"},
    "silu": {"x": "activation"},
    "hardswish": {"x": "activation"},
    "mish": {"x": "activation"},
    "softplus": {"x": "activation"},
    "add": {"x": "add", "y": "add"},
    "multiply": {"x": "multiply", "y": "multiply"},
})  # fmt: skip
"""op -> input -> function; one function under several inputs gives their gradients as a tuple, in the op's order."""
