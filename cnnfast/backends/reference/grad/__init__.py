"""The oracle's gradients: each as the derivative of the op's definition, written out; float64, plain, never fast.

A function stands under the name it has in `cnnfast.grad`, and takes the normalised arguments of the oracle's ops.
"""

from .activations import activation, prelu
from .conv_input import conv1d_input, conv2d_input, conv3d_input, conv_transpose2d_input, depthwise_conv2d_input
from .conv_weight import conv1d_weight, conv2d_weight, conv3d_weight, conv_transpose2d_weight, depthwise_conv2d_weight
from .elementwise import add, multiply, unbroadcast
from .linear import bias, linear_input, linear_weight
from .norm import batch_norm, local_response_norm
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
from .softmax import log_softmax, softmax

__all__ = [
    "activation",
    "adaptive_avg_pool2d",
    "add",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
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
    "local_response_norm",
    "log_softmax",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool2d",
    "min_pool2d",
    "multiply",
    "pad2d",
    "prelu",
    "softmax",
    "unbroadcast",
    "upsample2d",
]
