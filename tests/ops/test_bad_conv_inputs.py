"""Bad inputs of the convolutions, one process a case, by every door: the function, making a plan, calling one.

Each must give its error, whose message names the argument and the rule, and leave `out` as it was: never a signal, a
hang or an answer.
"""

from typing import Any

import numpy as np
import pytest

import cnnfast

F = np.float32
NAN = float("nan")
V, T, M = "ValueError", "TypeError", "MemoryError"

BASE: dict[str, dict[str, Any]] = {
    "conv2d": {"x": np.ones((1, 5, 6, 4), F), "weight": np.ones((3, 2, 4, 6), F)},
    "depthwise_conv2d": {"x": np.ones((1, 5, 6, 4), F), "weight": np.ones((3, 2, 4, 2), F)},
    "separable_conv2d": {
        "x": np.ones((1, 5, 6, 4), F), "depthwise_weight": np.ones((3, 2, 4, 2), F),
        "pointwise_weight": np.ones((1, 1, 8, 6), F),
    },
    "inverted_residual2d": {
        "x": np.ones((1, 5, 6, 4), F), "expand_weight": np.ones((1, 1, 4, 8), F),
        "depthwise_weight": np.ones((3, 2, 8, 1), F), "project_weight": np.ones((1, 1, 8, 6), F), "padding": 0,
    },
    "conv2d_max_pool2d": {"x": np.ones((1, 5, 6, 4), F), "weight": np.ones((3, 2, 4, 6), F)},
    "conv_transpose2d": {"x": np.ones((1, 5, 6, 4), F), "weight": np.ones((3, 2, 6, 4), F)},
}  # fmt: skip


def huge(*shape: int, dtype: Any = F) -> np.ndarray:
    """An array of any size that takes four bytes: stride 0 everywhere."""
    return np.broadcast_to(np.ones((), dtype), shape)


def bad_integers(name: str, least: int, ops: tuple[str, ...]) -> list[Any]:
    """What no integer argument takes, alone and inside a pair."""
    cases: list[Any] = []
    below = [0, -1, -(2**63)] if least == 1 else [-1, -(2**31)]
    for value in (*below, 2**31, 2**32 + 1, 2**63, 2**64 + 1, 10**30, np.int64(2**31)):
        rule = f"must be >= {least}" if value < least else "must be < 2**31"
        cases.append((ops, {name: value}, V, (name, rule, str(value))))
    for wrong in (True, False, np.True_, 1.0, NAN, np.float32(1), "1", None, 1j, b"1", {1}, object()):
        cases.append((ops, {name: wrong}, T, (name, "must be an integer")))
    return cases


def bad_pairs(name: str, least: int, ops: tuple[str, ...]) -> list[Any]:
    cases: list[Any] = [(ops, {name: value}, V, (name, "must be")) for value in ((), (1,), [1, 1, 1], np.ones(3, int))]
    for value in ((least - 1, 1), (1, least - 1), (1, 2**31), [2**31, 1]):
        cases.append((ops, {name: value}, V, (name, "must be")))
    for wrong in ((True, 1), (1, 1.0), (1, NAN), (None, 1), "ab", np.ones(2)):
        if not (name == "padding" and isinstance(wrong, str)):
            cases.append((ops, {name: wrong}, T, (name, "must be an integer")))
    return cases


ALL = tuple(BASE)
SUMS = ("conv2d", "depthwise_conv2d")
GROUPED = ("conv2d", "conv_transpose2d")
PADDED = ("conv2d", "depthwise_conv2d", "separable_conv2d")
WEIGHT = ("conv2d", "depthwise_conv2d", "conv_transpose2d")
SEPARABLE, TRANSPOSED = ("separable_conv2d",), ("conv_transpose2d",)
INVERTED, POOLED = ("inverted_residual2d",), ("conv2d_max_pool2d",)

# (ops, changed arguments, the error, what its message says)
CASES: list[tuple[tuple[str, ...], dict[str, Any], str, tuple[str, ...]]] = [
    *bad_integers("stride", 1, ALL), *bad_pairs("stride", 1, ALL),
    *bad_integers("dilation", 1, ALL), *bad_pairs("dilation", 1, ALL),
    *(case for case in bad_integers("padding", 0, ALL) if case[1] != {"padding": "1"}), *bad_pairs("padding", 0, ALL),
    *bad_integers("groups", 1, GROUPED),
    *bad_integers("output_padding", 0, TRANSPOSED), *bad_pairs("output_padding", 0, TRANSPOSED),
    # groups, channels, weights
    (GROUPED, {"groups": 3}, V, ("groups must divide C 4", "3")),
    (("conv2d",), {"groups": 4, "weight": np.ones((3, 2, 1, 6), F)}, V, ("groups must divide K 6", "4")),
    (("conv2d",), {"groups": 2}, V, ("weight must have C/groups = 2 channels", "(3, 2, 4, 6)")),
    (("conv2d",), {"weight": np.ones((3, 2, 5, 6), F)}, V, ("weight must have C/groups = 4", "(3, 2, 5, 6)")),
    (TRANSPOSED, {"weight": np.ones((3, 2, 6, 5), F)}, V, ("weight must have x's C 4", "(3, 2, 6, 5)")),
    (("depthwise_conv2d",), {"weight": np.ones((3, 2, 5, 2), F)}, V, ("weight must be", "C 4", "(3, 2, 5, 2)")),
    (("depthwise_conv2d",), {"weight": np.ones((3, 2, 4, 0), F)}, V, ("weight must have no empty", "(3, 2, 4, 0)")),
    (WEIGHT, {"weight": np.ones((3, 2, 4), F)}, V, ("weight must have 4 dimensions", "(3, 2, 4)")),
    (WEIGHT, {"weight": np.ones((), F)}, V, ("weight must have 4 dimensions", "()")),
    (WEIGHT, {"weight": np.ones((0, 2, 4, 6), F)}, V, ("weight must have no empty dimension", "(0, 2, 4, 6)")),
    (WEIGHT, {"weight": np.ones((3, 2, 4, 6), np.int8)}, T, ("weight must be floating", "int8")),
    (WEIGHT, {"weight": np.ones((3, 2, 4, 6), np.float16)}, T, ("weight must be floating", "float16")),
    (WEIGHT, {"weight": np.ones((3, 2, 4, 6), ">f4")}, T, ("weight must be floating", ">f4")),
    (WEIGHT, {"weight": None}, T, ("weight must be floating", "O")),
    (SEPARABLE, {"depthwise_weight": np.ones((3, 2, 5, 2), F)}, V, ("depthwise_weight must be", "C 4")),
    (SEPARABLE, {"pointwise_weight": np.ones((1, 1, 7, 6), F)}, V, ("pointwise_weight must be 1x1", "8 channels")),
    (SEPARABLE, {"pointwise_weight": np.ones((3, 1, 8, 6), F)}, V, ("pointwise_weight must be 1x1", "(3, 1, 8, 6)")),
    (SEPARABLE, {"pointwise_weight": np.ones((1, 1, 8, 0), F)}, V, ("pointwise_weight must have no empty",)),
    (SEPARABLE, {"depthwise_bias": np.ones(7, F)}, V, ("depthwise_bias must have shape (8,)", "(7,)")),
    (SEPARABLE, {"depthwise_activation": "softmax"}, V, ("depthwise_activation must be one of", "softmax")),
    (INVERTED, {"expand_weight": np.ones((1, 1, 5, 8), F)}, V, ("expand_weight must be 1x1 with", "4 channels")),
    (INVERTED, {"expand_weight": np.ones((3, 1, 4, 8), F)}, V, ("expand_weight must be 1x1", "(3, 1, 4, 8)")),
    (INVERTED, {"expand_weight": None}, T, ("expand_weight must be floating",)),
    (INVERTED, {"expand_bias": np.ones(7, F)}, V, ("expand_bias must have shape (8,)", "(7,)")),
    (INVERTED, {"depthwise_weight": np.ones((3, 2, 4, 2), F)}, V, ("depthwise_weight must be", "C 8")),
    (INVERTED, {"depthwise_bias": np.ones(9, F)}, V, ("depthwise_bias must have shape (8,)", "(9,)")),
    (INVERTED, {"project_weight": np.ones((1, 1, 7, 6), F)}, V, ("project_weight must be 1x1", "8 channels")),
    (INVERTED, {"expand_activation": "softmax"}, V, ("expand_activation must be one of", "softmax")),
    (INVERTED, {"depthwise_activation": 6}, T, ("depthwise_activation must be one of", "6")),
    *bad_integers("pool_size", 1, POOLED), *bad_pairs("pool_size", 1, POOLED),
    *(case for case in bad_integers("pool_stride", 1, POOLED) if case[1] != {"pool_stride": None}),
    *bad_pairs("pool_stride", 1, POOLED),
    *(case for case in bad_integers("pool_padding", 0, POOLED) if case[1] != {"pool_padding": "1"}),
    (POOLED, {"pool_padding": "full"}, V, ('pool_padding must be "valid", "same"', "full")),
    (POOLED, {"pool_padding": 2}, V, ("the pool of 3x5 pixels", "padding")),
    (POOLED, {"pool_size": 6}, V, ("the pool of 3x5 pixels", "6")),
    (POOLED, {"weight": np.ones((3, 2, 5, 6), F)}, V, ("weight must have C/groups = 4", "(3, 2, 5, 6)")),
    (ALL, {"bias": np.ones(5, F)}, V, ("bias must have shape", "(5,)")),
    (ALL, {"bias": np.ones((6, 1), F)}, V, ("bias must have shape", "(6, 1)")),
    (ALL, {"bias": np.ones((), F)}, V, ("bias must have shape", "()")),
    (ALL, {"bias": np.ones(0, F)}, V, ("bias must have shape", "(0,)")),
    (ALL, {"bias": np.ones(6, int)}, T, ("bias must be floating", "int64")),
    (ALL, {"bias": "zeros"}, T, ("bias must be floating",)),
    # padding
    (ALL, {"padding": "full"}, V, ('padding must be "valid", "same"', "full")),
    (ALL, {"padding": ((1, 1), (1, 1), (1, 1))}, V, ("padding must be", "((1, 1), (1, 1), (1, 1))")),
    (ALL, {"padding": (1, 1, 1, 1)}, V, ("padding must be an integer, (h, w)", "(1, 1, 1, 1)")),
    (ALL, {"padding": ((1, 1, 1), (1, 1))}, V, ("padding must be ((top, bottom), (left, right))",)),
    (ALL, {"padding": ((1, -1), (1, 1))}, V, ("padding must be >= 0", "-1")),
    (ALL, {"padding": ((1, 1), (2**31, 1))}, V, ("padding must be < 2**31",)),
    (ALL, {"padding": ((1, 1), 1)}, T, ("padding must be an integer",)),
    (PADDED, {"padding": 2**31 - 1}, M, ("output of shape", "bytes")),
    (PADDED, {"padding": ((2**31 - 1, 2**31 - 1), (0, 0))}, M, ("output of shape", "bytes")),
    (PADDED, {"padding": 200_000}, M, ("output of shape", "bytes")),
    (TRANSPOSED, {"padding": 5}, V, ("padding must leave an output", "(5, 5)")),
    (TRANSPOSED, {"padding": 2**31 - 1}, V, ("padding must leave an output",)),
    (TRANSPOSED, {"output_padding": 1}, V, ("output_padding must be < stride", "got 1")),
    (TRANSPOSED, {"output_padding": (1, 2), "stride": 2}, V, ("output_padding must be < stride", "got 2")),
    (TRANSPOSED, {"output_padding": 1, "stride": 2, "padding": "same"}, V, ("output_padding must be 0", '"same"')),
    (TRANSPOSED, {"stride": 2**31 - 1}, M, ("output of shape", "bytes")),
    (PADDED, {"padding_mode": "mirror"}, V, ("padding_mode must be one of", "mirror")),
    (PADDED, {"padding_mode": 3}, T, ("padding_mode must be one of", "3")),
    (PADDED, {"padding_mode": "reflect", "padding": 5}, V, ("padding must be <= 4", "reflect", "got 5")),
    (PADDED, {"padding_mode": "circular", "padding": ((0, 0), (7, 0))}, V, ("padding must be <= 6", "got 7")),
    # geometry
    (PADDED, {"dilation": 3}, V, ("weight must fit the padded input", "7", "5")),
    (PADDED, {"dilation": (1, 2**31 - 1)}, V, ("weight must fit the padded input",)),
    (PADDED, {"x": np.ones((1, 2, 6, 4), F)}, V, ("weight must fit the padded input", "height is 3", "2")),
    # x
    *((ALL, {"x": np.ones(shape, F)}, V, ("x must have 4 dimensions", str(shape)))
      for shape in ((), (4,), (5, 6, 4), (1, 1, 5, 6, 4))),
    *((ALL, {"x": np.ones(shape, F)}, V, ("x must have no empty dimension", str(shape)))
      for shape in ((1, 0, 6, 4), (1, 5, 0, 4), (1, 5, 6, 0), (0, 0, 0, 0))),
    *((ALL, {"x": np.ones((1, 5, 6, 4), dtype)}, T, ("x must have a dtype of", repr(np.dtype(dtype))))
      for dtype in ("f2", "c8", ">f4", ">i2", "S4", "U2", "?", "O", "M8[s]", "u8", "g")),
    (ALL, {"x": "image"}, T, ("x must have a dtype",)),
    (ALL, {"x": None}, T, ("x must have a dtype",)),
    (ALL, {"x": [[1, 2], [3]]}, T, ("x cannot be read as an array",)),
    (ALL, {"x": np.ma.masked_all((1, 5, 6, 4), F)}, T, ("x must not be a masked array",)),
    (ALL, {"x": np.zeros((1, 5, 6, 4), [("a", F)])}, T, ("x must have a dtype",)),
    (ALL, {"x": huge(1, 2**20, 2**20, 4)}, M, ("x", "bytes")),
    (SEPARABLE + TRANSPOSED, {"x": np.ones((1, 5, 6, 4), np.int8)}, T, ("x must have a dtype", "int8")),
    # names
    (ALL, {"layout": "NCWH"}, V, ("layout must be one of", "NCWH")),
    (ALL, {"layout": 0}, T, ("layout must be one of", "0")),
    (ALL, {"layout": None}, T, ("layout must be one of",)),
    (ALL, {"activation": "relu7"}, V, ("activation must be one of", "relu7")),
    (ALL, {"activation": np.tanh}, T, ("activation must be one of",)),
    (ALL, {"activation": ("relu", 1)}, V, ("activation must be a name or", "relu")),
    (ALL, {"activation": ("leaky_relu",)}, V, ("activation must be a name or",)),
    (ALL, {"activation": ("leaky_relu", NAN)}, V, ("slope must be finite", "nan")),
    (ALL, {"activation": ("leaky_relu", "0.1")}, T, ("slope must be a number", "0.1")),
    (ALL, {"activation": ("leaky_relu", True)}, T, ("slope must be a number",)),
    (ALL, {"algorithm": "winograd"}, V, ("algorithm must be one of", '"auto"', "winograd")),
    (ALL, {"algorithm": 1}, T, ("algorithm must be one of",)),
    (ALL, {"algorithm": np.array(["auto", "auto"])}, T, ("algorithm must be one of",)),
    (("conv2d",), {"algorithm": "depthwise"}, V, ('algorithm "depthwise" does not take this problem', "auto")),
    (ALL, {"precision": "exact"}, V, ("precision must be one of", "exact")),
    (ALL, {"precision": None}, T, ("precision must be one of",)),
    # integers
    (SUMS, {"x": np.ones((1, 5, 6, 4), np.int8)}, T, ("weight must be integer", "float32")),
]  # fmt: skip


class BadCapsule:
    """Claims DLPack and hands over something else."""

    def __dlpack__(self, **_: Any) -> object:
        return object()

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


class BadArray:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no array today")


CASES += [
    (ALL, {"x": BadCapsule()}, T, ("x cannot be read as an array",)),
    (ALL, {"x": np.ones((1, 5, 6, 4), F).__dlpack__()}, T, ("x must have a dtype",)),
    (ALL, {"x": BadArray()}, T, ("x cannot be read as an array", "no array today")),
    (ALL, {"bias": BadCapsule()}, T, ("bias cannot be read as an array",)),
]


def label(case: tuple[str, dict[str, Any], str, Any]) -> str:
    op, changes, _, _ = case
    shown = (f"{name}={getattr(value, 'shape', value)!r}"[:40] for name, value in changes.items())
    return f"{op}-{'-'.join(shown)}"


EACH = [(op, changes, error, words) for ops, changes, error, words in CASES for op in ops]


@pytest.mark.parametrize(("op", "changes", "error", "words"), EACH, ids=[label(case) for case in EACH])
def test_function(op: str, changes: dict[str, Any], error: str, words: tuple[str, ...], refused: Any) -> None:
    arguments = BASE[op] | changes
    good = getattr(cnnfast, op)(**BASE[op])

    def call() -> str:
        out = np.full(good.shape, 7, F)
        try:
            return repr(getattr(cnnfast, op)(**arguments, out=out).shape)
        finally:
            assert (out == 7).all(), "out was written"

    refused(call, error, words)


PLANNED = [case for case in EACH if "x" not in case[1]]


@pytest.mark.parametrize(("op", "changes", "error", "words"), PLANNED, ids=[label(case) for case in PLANNED])
def test_making_a_plan(op: str, changes: dict[str, Any], error: str, words: tuple[str, ...], refused: Any) -> None:
    arguments = {name: value for name, value in (BASE[op] | changes).items() if name != "x"}
    arguments["dtype"] = F  # x's, as in the function
    refused(lambda: repr(getattr(cnnfast, f"plan_{op}")((1, 5, 6, 4), **arguments)), error, words)


@pytest.mark.parametrize("op", ALL)
@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"input_shape": (5, 6, 4)}, V, ("input_shape must be (N, H, W, C)", "(5, 6, 4)")),
        ({"input_shape": 5}, T, ("input_shape must be (N, H, W, C)", "5")),
        ({"input_shape": (1, 5, 6.0, 4)}, T, ("input_shape must be an integer", "6.0")),
        ({"input_shape": (1, 5, True, 4)}, T, ("input_shape must be an integer", "True")),
        ({"input_shape": (1, 0, 6, 4)}, V, ("input_shape must have no empty dimension", "(1, 0, 6, 4)")),
        ({"input_shape": (-1, 5, 6, 4)}, V, ("input_shape must be >= 0", "-1")),
        ({"input_shape": (2**31, 5, 6, 4)}, V, ("input_shape must be < 2**31",)),
        ({"input_shape": (1, 2**31 - 1, 2**31 - 1, 4)}, M, ("image of x of shape", "bytes")),
        ({"input_shape": (2**31 - 1, 2**20, 2**10, 4)}, M, ()),
        ({"dtype": "float16"}, T, ("dtype must have a dtype of", "float16")),
        ({"dtype": "decimal"}, T, ("dtype must name a NumPy dtype", "decimal")),
        ({"dtype": ">f4"}, T, ("dtype must have a dtype of",)),
        ({"max_workspace": -1}, V, ("max_workspace must be >= 0", "-1")),
        ({"max_workspace": 2**63}, V, ("max_workspace must be < 2**63",)),
        ({"max_workspace": 1.0}, T, ("max_workspace must be an integer", "1.0")),
        ({"max_workspace": True}, T, ("max_workspace must be an integer", "True")),
    ],
)
def test_plan_arguments(op: str, given: dict[str, Any], error: str, words: tuple[str, ...], refused: Any) -> None:
    weights = {name: value for name, value in BASE[op].items() if name != "x"}
    arguments = {"input_shape": (1, 5, 6, 4)} | weights | given
    refused(lambda: repr(getattr(cnnfast, f"plan_{op}")(**arguments)), error, words)
