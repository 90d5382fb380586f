"""THE table: what each op takes and gives. Dispatch and the tests read it; every backend agrees with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

REQUIRED: Final = object()
"""Default of an attribute that has none."""

Dtypes = Mapping[np.dtype[Any], np.dtype[Any]]


def _dtypes(**names: str) -> Dtypes:
    return MappingProxyType({np.dtype(x): np.dtype(y) for x, y in names.items()})


FLOATS: Final[Dtypes] = _dtypes(float32="float32", float64="float64")
SUMS: Final[Dtypes] = _dtypes(
    float32="float32", float64="float64",
    int8="int32", uint8="int32",
    int16="int64", uint16="int64", int32="int64", uint32="int64", int64="int64",
)  # fmt: skip
"""What a sum of products is accumulated in and returned as."""
KEPT: Final[Dtypes] = MappingProxyType({dtype: dtype for dtype in SUMS})
NAMES: Final = MappingProxyType({dtype: dtype.name for dtype in SUMS})
"""What the backends call each dtype; `dtype.name` itself takes 2 us."""


@dataclass(frozen=True)
class Signature:
    """One op.

    inputs: the arrays, in order; a name ending in "?" is optional.
    attributes: keyword -> default, as users write it.
    lowered: the keywords a backend gets, normalised (see `backends/reference`); every attribute unless said otherwise.
    dtypes: x's dtype -> y's.
    table: the table of its algorithms, `csrc/kernels/<table>/table.inc`; `plan_<table>` makes its native plan, or
        `run_<table>` runs it at once. Empty for an op that is NumPy's copies of views.
    """

    name: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[str, ...]
    dtypes: Dtypes
    table: str
    lowered: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))
        object.__setattr__(self, "lowered", self.lowered or tuple(self.attributes))


_STEP = {"stride": 1, "padding": 0, "dilation": 1}
_ENDING = {"layout": "NHWC", "padding_mode": "zeros", "activation": None}
_WINDOW = {"kernel_size": REQUIRED, "stride": None, "padding": 0}
_LAYOUT = {"layout": "NHWC"}
_POOL: dict[str, Any] = {"inputs": ("x",), "outputs": ("y",), "table": "pool2d"}

_MAP: dict[str, Any] = {"inputs": ("x",), "outputs": ("y",), "dtypes": FLOATS, "table": "elementwise"}

_ROWS = (
    Signature(
        "conv2d", ("x", "weight", "bias?", "residual?"), _STEP | {"groups": 1} | _ENDING, ("y",), SUMS,
        table="conv2d",
    ),
    Signature(
        "depthwise_conv2d", ("x", "weight", "bias?", "residual?"), _STEP | _ENDING, ("y",), SUMS,
        table="conv2d",
    ),
    Signature(
        "separable_conv2d",
        ("x", "depthwise_weight", "pointwise_weight", "bias?", "depthwise_bias?", "residual?"),
        _STEP | _ENDING | {"depthwise_activation": None}, ("y",), FLOATS,
        table="separable_conv2d",
    ),
    Signature(
        "inverted_residual2d",
        (
            "x", "expand_weight", "depthwise_weight", "project_weight", "bias?", "expand_bias?", "depthwise_bias?",
            "residual?",
        ),
        _STEP | _ENDING | {"padding": "same", "expand_activation": "relu6", "depthwise_activation": "relu6"}, ("y",),
        FLOATS, table="fused",
    ),
    Signature(
        "conv2d_max_pool2d", ("x", "weight", "bias?"),
        _STEP | {"groups": 1} | _ENDING | {"pool_size": 2, "pool_stride": None, "pool_padding": 0}, ("y",), FLOATS,
        table="fused",
    ),
    Signature(
        "conv_transpose2d", ("x", "weight", "bias?", "residual?"),
        _STEP | {"output_padding": 0, "groups": 1, "activation": None} | _LAYOUT, ("y",), FLOATS,
        table="conv_transpose2d",
    ),
    Signature(
        "max_pool2d", attributes=_WINDOW | {"dilation": 1, "ceil_mode": False, "return_indices": False} | _LAYOUT,
        dtypes=KEPT, **_POOL | {"outputs": ("y", "indices?")},
    ),
    Signature("min_pool2d", attributes=_WINDOW | {"dilation": 1, "ceil_mode": False} | _LAYOUT, dtypes=KEPT, **_POOL),
    Signature(
        "avg_pool2d", attributes=_WINDOW | {"ceil_mode": False, "count_include_pad": True} | _LAYOUT,
        dtypes=FLOATS, **_POOL,
    ),
    Signature(
        "lp_pool2d", attributes={"norm_type": REQUIRED} | _WINDOW | {"dilation": 1, "ceil_mode": False} | _LAYOUT,
        dtypes=FLOATS, **_POOL,
    ),
    Signature("global_avg_pool2d", attributes=_LAYOUT, dtypes=FLOATS, **_POOL),
    Signature("global_max_pool2d", attributes=_LAYOUT, dtypes=KEPT, **_POOL),
    Signature("adaptive_avg_pool2d", attributes={"output_size": REQUIRED} | _LAYOUT, dtypes=FLOATS, **_POOL),
    Signature(
        "adaptive_max_pool2d", attributes={"output_size": REQUIRED, "return_indices": False} | _LAYOUT,
        dtypes=KEPT, **_POOL | {"outputs": ("y", "indices?")},
    ),
    Signature(
        "max_unpool2d", ("x", "indices"), _WINDOW | {"output_size": None} | _LAYOUT, ("y",), KEPT,
        table="max_unpool2d", lowered=("output_size", "layout"),
    ),
    Signature("linear", ("x", "weight", "bias?"), {"activation": None}, ("y",), FLOATS, table="linear"),
    Signature(
        "batch_norm", ("x", "running_mean", "running_var", "weight?", "bias?"),
        {"eps": 1e-5, "activation": None} | _LAYOUT, ("y",), FLOATS, table="batch_norm",
    ),
    Signature(
        "batch_norm_train", ("x", "weight?", "bias?"), {"eps": 1e-5, "activation": None} | _LAYOUT,
        ("y", "mean", "var"), FLOATS, table="batch_norm",
    ),
    Signature(
        "local_response_norm", ("x",), {"size": REQUIRED, "alpha": 1e-4, "beta": 0.75, "k": 1.0} | _LAYOUT, ("y",),
        FLOATS, table="local_response_norm",
    ),
    Signature("softmax", attributes={"axis": -1}, **_MAP | {"table": "softmax"}),
    Signature("log_softmax", attributes={"axis": -1}, **_MAP | {"table": "softmax"}),
    Signature("relu", attributes={}, **_MAP),
    Signature("relu6", attributes={}, **_MAP),
    Signature("leaky_relu", attributes={"negative_slope": 0.01}, **_MAP),
    Signature("prelu", attributes={}, **_MAP | {"inputs": ("x", "weight")}),
    Signature("elu", attributes={"alpha": 1.0}, **_MAP),
    Signature("selu", attributes={}, **_MAP),
    Signature("sigmoid", attributes={}, **_MAP),
    Signature("hardsigmoid", attributes={}, **_MAP),
    Signature("tanh", attributes={}, **_MAP),
    Signature("gelu", attributes={"approximate": "none"}, **_MAP),
    Signature("silu", attributes={}, **_MAP),
    Signature("hardswish", attributes={}, **_MAP),
    Signature("mish", attributes={}, **_MAP),
    Signature("softplus", attributes={"beta": 1.0, "threshold": 20.0}, **_MAP),
    Signature("add", attributes={"activation": None}, **_MAP | {"inputs": ("x", "y"), "outputs": ("z",)}),
    Signature("multiply", attributes={"activation": None}, **_MAP | {"inputs": ("x", "y"), "outputs": ("z",)}),
    Signature("concatenate", ("arrays",), {"axis": -1}, ("y",), KEPT, table=""),
    Signature(
        "pad2d", ("x",), {"padding": REQUIRED, "mode": "constant", "value": 0.0} | _LAYOUT, ("y",), KEPT, table=""
    ),
    Signature(
        "upsample2d", ("x",), {"scale_factor": 2, "mode": "nearest", "align_corners": False} | _LAYOUT, ("y",), FLOATS,
        table="upsample2d",
    ),
    Signature(
        "conv1d", ("x", "weight", "bias?", "residual?"), _STEP | {"groups": 1} | _ENDING | {"layout": "NLC"}, ("y",),
        SUMS, table="conv2d",
    ),
    Signature(
        "conv3d", ("x", "weight", "bias?", "residual?"), _STEP | {"groups": 1} | _ENDING | {"layout": "NDHWC"}, ("y",),
        FLOATS, table="conv2d",
    ),
    Signature(
        "max_pool1d", attributes=_WINDOW | {"dilation": 1, "ceil_mode": False, "layout": "NLC"}, dtypes=KEPT, **_POOL
    ),
    Signature(
        "max_pool3d", attributes=_WINDOW | {"dilation": 1, "ceil_mode": False, "layout": "NDHWC"}, dtypes=KEPT, **_POOL
    ),
    Signature(
        "avg_pool1d", attributes=_WINDOW | {"ceil_mode": False, "count_include_pad": True, "layout": "NLC"},
        dtypes=FLOATS, **_POOL,
    ),
    Signature(
        "avg_pool3d", attributes=_WINDOW | {"ceil_mode": False, "count_include_pad": True, "layout": "NDHWC"},
        dtypes=FLOATS, **_POOL,
    ),
)  # fmt: skip

SIGNATURES: Final[Mapping[str, Signature]] = MappingProxyType({row.name: row for row in _ROWS})

CONTROLS: Final[Mapping[str, Any]] = MappingProxyType({"algorithm": "auto", "precision": "default"})
"""How, not what: every convolution's keywords that do not change the op. Pools have `algorithm` alone."""
