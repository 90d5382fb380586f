"""The oracle's gradients: each as the derivative of the op's definition, written out; float64, plain, never fast.

A function stands under the name it has in `cnnfast.grad`, and takes the normalised arguments of the oracle's ops.
"""

from .conv_input import conv1d_input, conv2d_input, conv3d_input, conv_transpose2d_input, depthwise_conv2d_input
from .conv_weight import conv1d_weight, conv2d_weight, conv3d_weight, conv_transpose2d_weight, depthwise_conv2d_weight
from .linear import bias, linear_input, linear_weight

__all__ = [
    "bias",
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
    "conv_transpose2d_input",
    "conv_transpose2d_weight",
    "depthwise_conv2d_input",
    "depthwise_conv2d_weight",
    "linear_input",
    "linear_weight",
]
