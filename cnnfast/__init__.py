"""cnnfast: a compiled convolution engine for CPUs. Convolution and pooling on NumPy arrays, fast, exact, deterministic.

>>> import numpy as np, cnnfast
>>> x = np.ones((1, 8, 8, 3), np.float32)
>>> w = np.ones((3, 3, 3, 16), np.float32)
>>> cnnfast.conv2d(x, w, padding="same", activation="relu").shape
(1, 8, 8, 16)
"""

from typing import TYPE_CHECKING

from cnnfast.ops.adaptive import adaptive_avg_pool2d, adaptive_max_pool2d, global_avg_pool2d, global_max_pool2d
from cnnfast.ops.conv import conv2d, depthwise_conv2d, plan_conv2d, plan_depthwise_conv2d
from cnnfast.ops.conv_transpose import conv_transpose2d, plan_conv_transpose2d
from cnnfast.ops.pool import avg_pool2d, lp_pool2d, max_pool2d, min_pool2d
from cnnfast.ops.runtime import (
    __version__,
    get_include,
    get_library,
    get_num_threads,
    set_num_threads,
    show_config,
)
from cnnfast.ops.separable import plan_separable_conv2d, separable_conv2d
from cnnfast.ops.unpool import max_unpool2d

if TYPE_CHECKING:
    from cnnfast.verification import Report

__all__ = [
    "__version__",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool2d",
    "conv2d",
    "conv_transpose2d",
    "depthwise_conv2d",
    "get_include",
    "get_library",
    "get_num_threads",
    "global_avg_pool2d",
    "global_max_pool2d",
    "lp_pool2d",
    "max_pool2d",
    "max_unpool2d",
    "min_pool2d",
    "plan_conv2d",
    "plan_conv_transpose2d",
    "plan_depthwise_conv2d",
    "plan_separable_conv2d",
    "separable_conv2d",
    "set_num_threads",
    "show_config",
    "verify",
]


def verify(cases: int = 2000, seed: int = 0) -> "Report":
    """Try the installed kernels on this machine against the oracle, on seeded random problems.

    Parameters
    ----------
    cases : how many problems, over every op, algorithm, layout, dtype and instruction set this machine has
    seed : the same seed gives the same problems

    Returns
    -------
    A report with the counts: `print` it. It is true where nothing was found.

    Raises
    ------
    ValueError, TypeError : cases is not an integer >= 1, or seed not one >= 0

    Examples
    --------
    >>> import cnnfast
    >>> bool(cnnfast.verify(cases=2, seed=1))
    True
    """
    from cnnfast.verification import verify as run  # heavy and seldom wanted: imported when asked for

    return run(cases, seed)
