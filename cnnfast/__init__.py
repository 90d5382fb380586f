"""cnnfast: a compiled convolution engine for CPUs. Convolution and pooling on NumPy arrays, fast, exact, deterministic.

Functions of arrays are here; networks are `Sequential` and `Model` of `cnnfast.layers`, or one of `cnnfast.models`.

>>> import numpy as np, cnnfast
>>> x = np.ones((1, 8, 8, 3), np.float32)
>>> w = np.ones((3, 3, 3, 16), np.float32)
>>> cnnfast.conv2d(x, w, padding="same", activation="relu").shape
(1, 8, 8, 16)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cnnfast.ops.activations import elu, hardsigmoid, hardswish, leaky_relu, prelu, relu, relu6, selu
from cnnfast.ops.adaptive import adaptive_avg_pool2d, adaptive_max_pool2d, global_avg_pool2d, global_max_pool2d
from cnnfast.ops.conv import conv2d, depthwise_conv2d, plan_conv2d, plan_depthwise_conv2d
from cnnfast.ops.conv_pool import conv2d_max_pool2d, plan_conv2d_max_pool2d
from cnnfast.ops.conv_transpose import conv_transpose2d, plan_conv_transpose2d
from cnnfast.ops.elementwise import add, concatenate, multiply
from cnnfast.ops.exchange import exchanged
from cnnfast.ops.gates import gelu, mish, sigmoid, silu, softplus, tanh
from cnnfast.ops.inverted_residual import inverted_residual2d, plan_inverted_residual2d
from cnnfast.ops.linear import linear, plan_linear
from cnnfast.ops.lines import avg_pool1d, conv1d, max_pool1d
from cnnfast.ops.norm import batch_norm, local_response_norm
from cnnfast.ops.norm_train import batch_norm_train
from cnnfast.ops.pool import avg_pool2d, lp_pool2d, max_pool2d, min_pool2d
from cnnfast.ops.resize import pad2d, upsample2d
from cnnfast.ops.runtime import (
    __version__,
    get_include,
    get_library,
    get_max_workspace,
    get_num_threads,
    set_max_workspace,
    set_num_threads,
    show_config,
)
from cnnfast.ops.separable import plan_separable_conv2d, separable_conv2d
from cnnfast.ops.signatures import SIGNATURES
from cnnfast.ops.softmax import log_softmax, softmax
from cnnfast.ops.tuning import load_tuning, save_tuning
from cnnfast.ops.unpool import max_unpool2d
from cnnfast.ops.volumes import avg_pool3d, conv3d, max_pool3d

if TYPE_CHECKING:
    from cnnfast import (
        callbacks,
        datasets,
        filters,
        grad,
        layers,
        losses,
        metrics,
        models,
        optimizers,
        plot,
        regularizers,
    )  # fmt: skip
    from cnnfast.layers.initializers import set_random_seed
    from cnnfast.layers.input import Input
    from cnnfast.model import Model
    from cnnfast.saving import load_model
    from cnnfast.sequential import Sequential
    from cnnfast.verification import Report

for _name in SIGNATURES:  # the functions of arrays take every kind of them, and return it
    globals()[_name] = exchanged(globals()[_name], __name__)

LATE = {
    "Input": "cnnfast.layers.input",
    "Model": "cnnfast.model",
    "Sequential": "cnnfast.sequential",
    "set_random_seed": "cnnfast.layers.initializers",
    "load_model": "cnnfast.saving",
    **dict.fromkeys(
        (
            "callbacks", "datasets", "filters", "grad", "layers", "losses", "metrics", "models", "optimizers", "plot",
            "regularizers",
        ),
        "",
    ),
}  # fmt: skip
"""Names that are imported when they are first used: where each lies, "" for a package of its own."""

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "add",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "batch_norm_train",
    "callbacks",
    "concatenate",
    "conv1d",
    "conv2d",
    "conv2d_max_pool2d",
    "conv3d",
    "conv_transpose2d",
    "datasets",
    "depthwise_conv2d",
    "elu",
    "filters",
    "gelu",
    "get_include",
    "get_library",
    "get_max_workspace",
    "get_num_threads",
    "global_avg_pool2d",
    "global_max_pool2d",
    "grad",
    "hardsigmoid",
    "hardswish",
    "inverted_residual2d",
    "layers",
    "leaky_relu",
    "linear",
    "load_model",
    "load_tuning",
    "local_response_norm",
    "log_softmax",
    "losses",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool2d",
    "metrics",
    "min_pool2d",
    "mish",
    "models",
    "multiply",
    "optimizers",
    "pad2d",
    "plan_conv2d",
    "plan_conv2d_max_pool2d",
    "plan_conv_transpose2d",
    "plan_depthwise_conv2d",
    "plan_inverted_residual2d",
    "plan_linear",
    "plan_separable_conv2d",
    "plot",
    "prelu",
    "regularizers",
    "relu",
    "relu6",
    "save_tuning",
    "selu",
    "separable_conv2d",
    "set_max_workspace",
    "set_num_threads",
    "set_random_seed",
    "show_config",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
    "upsample2d",
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


def __getattr__(name: str) -> Any:
    if name not in LATE:
        raise AttributeError(f"module 'cnnfast' has no attribute {name!r}")
    module = import_module(LATE[name] or f"cnnfast.{name}")
    value = getattr(module, name) if LATE[name] else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *LATE})
