"""Gradients of the ops, as functions: what `backprop` of a layer is made of.

For y = op(x, weight, ...) and grad_output, the gradient of some number with respect to y, each function gives that
number's gradient with respect to one input: `cnnfast.grad.conv2d_weight` with respect to conv2d's weight. They take the
op's own keywords.
"""

from cnnfast.ops.grad.activations import activation, prelu
from cnnfast.ops.grad.elementwise import add, multiply, unbroadcast
from cnnfast.ops.grad.norm import batch_norm, local_response_norm
from cnnfast.ops.grad.softmax import log_softmax, softmax

__all__ = [
    "activation",
    "add",
    "batch_norm",
    "local_response_norm",
    "log_softmax",
    "multiply",
    "prelu",
    "softmax",
    "unbroadcast",
]
