"""Which function computes which op on a device. An op that is not here refuses, by name."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from cnnfast.ops.device import conv, elementwise, grad_conv, grad_pool, grad_rest, linear, lines, norm, pool, resize

_ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "sigmoid", "hardsigmoid", "tanh", "gelu", "silu", "hardswish", "mish",
    "softplus",
)  # fmt: skip

OPS: Final[Mapping[str, Callable[..., Any]]] = {
    "conv2d": conv.conv2d,
    "depthwise_conv2d": conv.depthwise_conv2d,
    "conv_transpose2d": conv.conv_transpose2d,
    "separable_conv2d": conv.separable_conv2d,
    "inverted_residual2d": conv.inverted_residual2d,
    "conv2d_max_pool2d": conv.conv2d_max_pool2d,
    "conv1d": lines.conv1d,
    "max_pool1d": lines.max_pool1d,
    "avg_pool1d": lines.avg_pool1d,
    "max_pool2d": pool.max_pool2d,
    "min_pool2d": pool.min_pool2d,
    "avg_pool2d": pool.avg_pool2d,
    "lp_pool2d": pool.lp_pool2d,
    "global_avg_pool2d": pool.global_avg_pool2d,
    "global_max_pool2d": pool.global_max_pool2d,
    "adaptive_avg_pool2d": pool.adaptive_avg_pool2d,
    "adaptive_max_pool2d": pool.adaptive_max_pool2d,
    "linear": linear.linear_,
    "batch_norm": norm.batch_norm,
    "batch_norm_train": norm.batch_norm_train,
    "local_response_norm": norm.local_response_norm,
    "prelu": elementwise.prelu,
    "pad2d": resize.pad2d,
    "upsample2d": resize.upsample2d,
    "concatenate": resize.concatenate,
    **{name: elementwise.activation(name) for name in _ACTIVATIONS},
    **{name: elementwise.combination(name) for name in ("add", "multiply")},
    **{name: elementwise.softmax(name) for name in ("softmax", "log_softmax")},
}
"""The ops of `cnnfast`, by name."""

ABSENT: Final = ("conv3d", "max_pool3d", "avg_pool3d", "max_unpool2d")
"""The ops that have no kernel for devices yet: together with OPS they are all."""

COMPOSED: Final = ("separable_conv2d", "inverted_residual2d", "conv2d_max_pool2d", "conv1d")
"""Those that are others one after the other, or another seen otherwise, and need no function of the backend's own."""

ABSENT_GRADIENTS: Final = (
    "unbroadcast", "lp_pool2d", "conv1d_input", "conv1d_weight", "conv3d_input", "conv3d_weight",
    "max_pool1d", "max_pool3d", "avg_pool1d", "avg_pool3d", "max_unpool2d", "local_response_norm", "concatenate",
    "pad2d", "upsample2d",
)  # fmt: skip
"""Those of `cnnfast.grad` that have none."""

GRADIENTS: Final[Mapping[str, Callable[..., Any]]] = {
    "conv2d_input": grad_conv.conv2d_input,
    "conv2d_weight": grad_conv.conv2d_weight,
    "depthwise_conv2d_input": grad_conv.depthwise_conv2d_input,
    "depthwise_conv2d_weight": grad_conv.depthwise_conv2d_weight,
    "conv_transpose2d_input": grad_conv.conv_transpose2d_input,
    "conv_transpose2d_weight": grad_conv.conv_transpose2d_weight,
    "linear_input": grad_conv.linear_input,
    "linear_weight": grad_conv.linear_weight,
    "bias": grad_conv.bias,
    "max_pool2d": grad_pool.max_pool2d,
    "min_pool2d": grad_pool.min_pool2d,
    "avg_pool2d": grad_pool.avg_pool2d,
    "adaptive_avg_pool2d": grad_pool.adaptive_avg_pool2d,
    "global_avg_pool2d": grad_pool.global_avg_pool2d,
    "global_max_pool2d": grad_pool.global_max_pool2d,
    "activation": grad_rest.activation,
    "prelu": grad_rest.prelu,
    **{name: grad_rest.combination(name) for name in ("add", "multiply")},
    "batch_norm": grad_rest.batch_norm,
    **{name: grad_rest.softmax(name) for name in ("softmax", "log_softmax")},
}
"""The functions of `cnnfast.grad`, by name."""
