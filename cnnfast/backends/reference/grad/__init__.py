"""The oracle's gradients: each as the derivative of the op's definition, written out; float64, plain, never fast.

A function stands under the name it has in `cnnfast.grad`, and takes the normalised arguments of the oracle's ops.
"""

from .conv_input import conv1d_input, conv2d_input, conv3d_input, conv_transpose2d_input, depthwise_conv2d_input

__all__ = ["conv1d_input", "conv2d_input", "conv3d_input", "conv_transpose2d_input", "depthwise_conv2d_input"]
