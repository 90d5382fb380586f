"""The oracle's gradients: each as the derivative of the op's definition, written out; float64, plain, never fast.

A function stands under the name it has in `cnnfast.grad`, and takes the normalised arguments of the oracle's ops.
"""

from .conv_input import conv1d_input, conv2d_input, conv3d_input, conv_transpose2d_input, depthwise_conv2d_input
from .conv_weight import conv1d_weight, conv2d_weight, conv3d_weight, conv_transpose2d_weight, depthwise_conv2d_weight
from .linear import bias, linear_input, linear_weight
from .pool import (
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    global_avg_pool2d,
    global_max_pool2d,
    lp_pool2d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool2d,
    min_pool2d,
)
from .resize import concatenate, pad2d, upsample2d

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "bias",
    "concatenate",
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
    "global_avg_pool2d",
    "global_max_pool2d",
    "linear_input",
    "linear_weight",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool2d",
    "min_pool2d",
    "pad2d",
    "upsample2d",
]
