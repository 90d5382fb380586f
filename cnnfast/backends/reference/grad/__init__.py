"""The oracle's gradients: each as the derivative of the op's definition, written out; float64, plain, never fast.

A function stands under the name it has in `cnnfast.grad`, and takes the normalised arguments of the oracle's ops.
"""

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
from .resize import (
    concatenate,
    pad2d,
    upsample2d,
)

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "concatenate",
    "global_avg_pool2d",
    "global_max_pool2d",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool2d",
    "min_pool2d",
    "pad2d",
    "upsample2d",
]
