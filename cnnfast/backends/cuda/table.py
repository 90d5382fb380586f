"""THE table of kernels on a device: op -> its algorithms. The checks without a device compile every row of it."""

from collections.abc import Mapping
from typing import Final

from . import conv, conv_grad, copy, linear, maps, pool
from .kernel import Row

TABLE: Final[Mapping[str, tuple[Row, ...]]] = {
    "conv2d": conv.ROWS,
    "linear": linear.ROWS,
    "conv2d_input": conv_grad.INPUT_ROWS,
    "conv2d_weight": conv_grad.WEIGHT_ROWS,
    "bias": conv_grad.BIAS_ROWS,
    "map": maps.ROWS,
    "pool2d": pool.ROWS,
    "copy": copy.ROWS,
}
