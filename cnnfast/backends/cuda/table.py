"""THE table of kernels on a device: op -> its algorithms. The checks without a device compile every row of it."""

from collections.abc import Mapping
from typing import Final

from . import conv, maps, pool
from .kernel import Row

TABLE: Final[Mapping[str, tuple[Row, ...]]] = {
    "conv2d": conv.ROWS,
    "map": maps.ROWS,
    "pool2d": pool.ROWS,
}
