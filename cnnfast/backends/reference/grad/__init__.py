"""The oracle's gradients: each as the derivative of the op's definition, written out; float64, plain, never fast.

A function stands under the name it has in `cnnfast.grad`, and takes the normalised arguments of the oracle's ops.
"""

from .activations import activation, prelu
from .elementwise import add, multiply, unbroadcast
from .norm import batch_norm, local_response_norm
from .softmax import log_softmax, softmax

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
