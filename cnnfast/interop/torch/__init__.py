"""torch's functions, modules and ops, computed by cnnfast on the CPU. Importing this registers `torch.ops.cnnfast`."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError('cnnfast.interop.torch needs torch: pip install "cnnfast[torch]"') from error

from cnnfast.interop.torch.functional import (
    adaptive_avg_pool2d,
    avg_pool2d,
    batch_norm,
    conv2d,
    conv_transpose2d,
    linear,
    max_pool2d,
)
from cnnfast.interop.torch.modules import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Linear,
    MaxPool2d,
    convert,
)
from cnnfast.interop.torch_weights import forget

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "Linear",
    "MaxPool2d",
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "conv_transpose2d",
    "convert",
    "forget",
    "linear",
    "max_pool2d",
]
