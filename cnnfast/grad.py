"""Gradients of the ops, as functions: what `backprop` of a layer is made of.

For y = op(x, weight, ...) and grad_output, the gradient of some number with respect to y, each function gives that
number's gradient with respect to one input: `cnnfast.grad.conv2d_weight` with respect to conv2d's weight. They take the
op's own keywords.
"""

from cnnfast.ops.exchange import exchanged
from cnnfast.ops.grad.activations import activation, prelu
from cnnfast.ops.grad.conv_input import conv2d_input, conv_transpose2d_input, depthwise_conv2d_input
from cnnfast.ops.grad.conv_input_ranks import conv1d_input, conv3d_input
from cnnfast.ops.grad.conv_weight import conv2d_weight, conv_transpose2d_weight, depthwise_conv2d_weight
from cnnfast.ops.grad.conv_weight_ranks import conv1d_weight, conv3d_weight
from cnnfast.ops.grad.elementwise import add, multiply, unbroadcast
from cnnfast.ops.grad.linear import bias, linear_input, linear_weight
from cnnfast.ops.grad.norm import batch_norm, local_response_norm
from cnnfast.ops.grad.pool import (
    adaptive_avg_pool2d,
    avg_pool2d,
    global_avg_pool2d,
    global_max_pool2d,
    lp_pool2d,
    max_pool2d,
    max_unpool2d,
    min_pool2d,
)
from cnnfast.ops.grad.pool_ranks import avg_pool1d, avg_pool3d, max_pool1d, max_pool3d
from cnnfast.ops.grad.resize import concatenate, pad2d, upsample2d
from cnnfast.ops.grad.softmax import log_softmax, softmax

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

for _name in __all__:  # the functions of arrays take every kind of them, and return it
    globals()[_name] = exchanged(globals()[_name], __name__)
