"""THE table of kernels on a device: op -> its algorithms. The checks without a device compile every row of it."""

from collections.abc import Mapping
from typing import Final

from . import conv, maps, pool, shape, softmax, sums
from .kernel import Row
from .kernels import depthwise_gradient, pool_gradient

TABLE: Final[Mapping[str, tuple[Row, ...]]] = {
    "conv2d": conv.ROWS,
    "map": maps.ROWS,
    "pool2d": pool.ROWS,
    "depthwise_input": depthwise_gradient.INPUT_ROWS,
    "depthwise_weight": depthwise_gradient.WEIGHT_ROWS,
    "pool2d_gradient": pool_gradient.ROWS,
    "resize": shape.ROWS,
    "softmax": softmax.ROWS,
    "sums": sums.ROWS,
}
