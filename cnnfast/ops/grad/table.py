"""Which function of `cnnfast.grad` gives the gradient of which input of an op. Layers and the tests read it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

GRADIENTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({
    "conv2d": {"x": "conv2d_input", "weight": "conv2d_weight", "bias": "bias"},
    "depthwise_conv2d": {"x": "depthwise_conv2d_input", "weight": "depthwise_conv2d_weight", "bias": "bias"},
    "conv_transpose2d": {"x": "conv_transpose2d_input", "weight": "conv_transpose2d_weight", "bias": "bias"},
    "max_pool2d": {"x": "max_pool2d"},
    "min_pool2d": {"x": "min_pool2d"},
    "avg_pool2d": {"x": "avg_pool2d"},
    "lp_pool2d": {"x": "lp_pool2d"},
    "global_avg_pool2d": {"x": "global_avg_pool2d"},
    "global_max_pool2d": {"x": "global_max_pool2d"},
    "adaptive_avg_pool2d": {"x": "adaptive_avg_pool2d"},
    "adaptive_max_pool2d": {"x": "max_pool2d"},
    "max_unpool2d": {"x": "max_unpool2d"},
    "linear": {"x": "linear_input", "weight": "linear_weight", "bias": "bias"},
    "concatenate": {"arrays": "concatenate"},
    "pad2d": {"x": "pad2d"},
    "upsample2d": {"x": "upsample2d"},
    "conv1d": {"x": "conv1d_input", "weight": "conv1d_weight", "bias": "bias"},
    "conv3d": {"x": "conv3d_input", "weight": "conv3d_weight", "bias": "bias"},
    "max_pool1d": {"x": "max_pool1d"},
    "max_pool3d": {"x": "max_pool3d"},
    "avg_pool1d": {"x": "avg_pool1d"},
    "avg_pool3d": {"x": "avg_pool3d"},
})  # fmt: skip
"""op -> input -> function; one function under several inputs gives their gradients as a tuple, in the op's order."""
