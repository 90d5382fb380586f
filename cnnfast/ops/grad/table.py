"""Which function of `cnnfast.grad` gives the gradient of which input of an op. Layers and the tests read it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

GRADIENTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({
    "conv2d": {"x": "conv2d_input", "weight": "conv2d_weight", "bias": "bias"},
    "depthwise_conv2d": {"x": "depthwise_conv2d_input", "weight": "depthwise_conv2d_weight", "bias": "bias"},
    "conv_transpose2d": {"x": "conv_transpose2d_input", "weight": "conv_transpose2d_weight", "bias": "bias"},
    "linear": {"x": "linear_input", "weight": "linear_weight", "bias": "bias"},
    "conv1d": {"x": "conv1d_input", "weight": "conv1d_weight", "bias": "bias"},
    "conv3d": {"x": "conv3d_input", "weight": "conv3d_weight", "bias": "bias"},
})  # fmt: skip
"""op -> input -> function; one function under several inputs gives their gradients as a tuple, in the op's order."""
