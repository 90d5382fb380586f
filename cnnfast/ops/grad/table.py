"""Which function of `cnnfast.grad` gives the gradient of which input of an op. Layers and the tests read it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

GRADIENTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({
    "conv2d": {"x": "conv2d_input"},
    "depthwise_conv2d": {"x": "depthwise_conv2d_input"},
    "conv_transpose2d": {"x": "conv_transpose2d_input"},
    "conv1d": {"x": "conv1d_input"},
    "conv3d": {"x": "conv3d_input"},
})  # fmt: skip
"""op -> input -> function; one function under several inputs gives their gradients as a tuple, in the op's order."""
