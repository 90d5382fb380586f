"""The oracle: every op as its definition, in NumPy, float64 (int64 for integers).

It is plain and never fast. Each op is a loop over the kernel window (or over the outputs), so that it can be read as
the definition of the op, and it uses no other part of cnnfast, so that it can judge the others.

Every function takes the normalised arguments that `cnnfast.ops` gives a backend:

- `x`, `weight`, `bias`, `residual`, `indices`: arrays in the layout's order; optional ones may be None;
- `stride`, `dilation`, `kernel_size`, `output_size`, `output_padding`: (height, width);
- `padding`: ((top, bottom), (left, right));
- `layout`: "NHWC" or "NCHW"; `padding_mode`: "zeros", "reflect", "replicate" or "circular";
- `activation`: (name or None, alpha).

Floats come back as float64 and integers as int64: the caller casts. Arguments are taken to be valid.
"""

from .activations import activate
from .conv import conv2d, conv_transpose2d, depthwise_conv2d, inverted_residual2d, separable_conv2d
from .other_ranks import (
    avg_pool1d,
    avg_pool3d,
    conv1d,
    conv3d,
    max_pool1d,
    max_pool3d,
)
from .pointwise import (
    add,
    batch_norm,
    batch_norm_train,
    concatenate,
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    leaky_relu,
    linear,
    local_response_norm,
    log_softmax,
    mish,
    multiply,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .pool import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    conv2d_max_pool2d,
    global_avg_pool2d,
    global_max_pool2d,
    lp_pool2d,
    max_pool2d,
    max_unpool2d,
    min_pool2d,
)
from .upsample import (
    pad2d,
    upsample2d,
)

__all__ = [
    "activate",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "add",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "batch_norm_train",
    "concatenate",
    "conv1d",
    "conv2d",
    "conv2d_max_pool2d",
    "conv3d",
    "conv_transpose2d",
    "depthwise_conv2d",
    "elu",
    "gelu",
    "global_avg_pool2d",
    "global_max_pool2d",
    "hardsigmoid",
    "hardswish",
    "inverted_residual2d",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool2d",
    "min_pool2d",
    "mish",
    "multiply",
    "pad2d",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "separable_conv2d",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
    "upsample2d",
]
