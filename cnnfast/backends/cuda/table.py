"""THE table of kernels on a device: op -> its algorithms. The checks without a device compile every row of it."""

from collections.abc import Mapping
from typing import Final

from . import conv, conv_grad, copy, linear, maps, norm, pool, shape, softmax, sums
from .kernel import Row
from .kernels import depthwise_gradient, pool_gradient

TABLE: Final[Mapping[str, tuple[Row, ...]]] = {
    "conv2d": conv.ROWS,
    "copy": copy.ROWS,
    "linear": linear.ROWS,
    "conv2d_input": conv_grad.INPUT_ROWS,
    "conv2d_weight": conv_grad.WEIGHT_ROWS,
    "bias": conv_grad.BIAS_ROWS,
    "map": maps.ROWS,
    "local_response_norm": norm.NEIGHBOURS,
    "pool2d": pool.ROWS,
    "depthwise_input": depthwise_gradient.INPUT_ROWS,
    "depthwise_weight": depthwise_gradient.WEIGHT_ROWS,
    "pool2d_gradient": pool_gradient.ROWS,
    "resize": shape.ROWS,
    "softmax": softmax.ROWS,
    "sums": sums.ROWS,
}
