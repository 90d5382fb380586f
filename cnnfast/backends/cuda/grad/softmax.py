"""softmax's and log_softmax's gradients on a device, by their outputs."""

from ..softmax import log_softmax_gradient as log_softmax
from ..softmax import softmax_gradient as softmax

__all__ = ["log_softmax", "softmax"]
