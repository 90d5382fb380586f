"""Bad inputs of the pools and of unpooling, one process a case: an error that says which rule, and `out` untouched."""

from typing import Any

import numpy as np
import pytest

import cnnfast

F = np.float32
NAN = float("nan")
V, T, M = "ValueError", "TypeError", "MemoryError"
X = np.ones((1, 5, 6, 4), F)

BASE: dict[str, dict[str, Any]] = {
    "max_pool2d": {"x": X, "kernel_size": 2},
    "min_pool2d": {"x": X, "kernel_size": 2},
    "avg_pool2d": {"x": X, "kernel_size": 2},
    "lp_pool2d": {"x": X, "kernel_size": 2, "norm_type": 2},
    "global_avg_pool2d": {"x": X},
    "global_max_pool2d": {"x": X},
    "adaptive_avg_pool2d": {"x": X, "output_size": 2},
    "adaptive_max_pool2d": {"x": X, "output_size": 2},
    "max_unpool2d": {"x": X, "kernel_size": 2, "indices": np.zeros(X.shape, np.int64)},
}
ALL = tuple(BASE)
POOLS = tuple(op for op in ALL if "unpool" not in op)
WINDOWS = ("max_pool2d", "min_pool2d", "avg_pool2d", "lp_pool2d")
KERNELS = (*WINDOWS, "max_unpool2d")
DILATED = ("max_pool2d", "min_pool2d", "lp_pool2d")
FLOATS = ("avg_pool2d", "lp_pool2d", "global_avg_pool2d", "adaptive_avg_pool2d")
ADAPTIVE, UNPOOL = ("adaptive_avg_pool2d", "adaptive_max_pool2d"), ("max_unpool2d",)
INDEXED = ("max_pool2d", "adaptive_max_pool2d")


def integers(name: str, least: int, ops: tuple[str, ...], none: bool = False) -> list[Any]:
    below = [0, -1, -(2**63)] if least == 1 else [-1, -(2**31)]
    beyond = (2**31, 2**32 + 1, 2**63, 2**64 + 1, np.int64(2**31), (1, 2**31))
    values = (*below, *beyond, (), (1,), (1, 1, 1), (least - 1, 1))
    cases: list[Any] = [(ops, {name: value}, V, (name, "must be")) for value in values]
    wrongs = (True, False, 1.0, NAN, b"2", 1j, (True, 1), (1, 1.0), (1, NAN), np.ones(2), np.True_)
    cases += [(ops, {name: wrong}, T, (name, "must be an integer")) for wrong in wrongs]
    return cases if none else [*cases, (ops, {name: None}, T, (name, "must be an integer"))]


def index(value: Any, dtype: Any = np.int64) -> np.ndarray:
    """Indices of which the last alone is `value`."""
    array = np.zeros(X.shape, dtype)
    array[-1, -1, -1, -1] = value
    return array


def huge(*shape: int) -> np.ndarray:
    return np.broadcast_to(np.ones((), F), shape)


CASES: list[tuple[tuple[str, ...], dict[str, Any], str, tuple[str, ...]]] = [
    *integers("kernel_size", 1, KERNELS), *integers("stride", 1, KERNELS, none=True),
    *integers("dilation", 1, DILATED), *integers("padding", 0, KERNELS),
    *integers("output_size", 1, ADAPTIVE, none=True), *integers("output_size", 1, UNPOOL, none=True),
    # windows and padding
    (WINDOWS, {"padding": 2}, V, ("padding of a pool must be <= half of kernel_size", "got 2")),
    (WINDOWS, {"padding": ((0, 0), (2, 0))}, V, ("padding of a pool must be <= half", "got 2", "width")),
    (WINDOWS, {"padding": 2**31 - 1}, V, ("padding of a pool must be <= half",)),
    (("max_unpool2d",), {"padding": 2}, V, ("padding of a pool must be <= half", "got 2")),
    (WINDOWS, {"padding": "full"}, V, ('padding must be "valid", "same"', "full")),
    (WINDOWS, {"padding": (1, 1, 1, 1)}, V, ("padding must be an integer, (h, w)",)),
    (DILATED, {"padding": 2, "kernel_size": 3, "dilation": 2}, V, ("padding of a pool must be <= half", "got 2")),
    (WINDOWS, {"kernel_size": 6}, V, ("kernel_size must fit the padded input", "height is 6", "5")),
    (WINDOWS, {"kernel_size": (1, 7)}, V, ("kernel_size must fit the padded input", "width is 7", "6")),
    (WINDOWS, {"kernel_size": 6, "ceil_mode": True}, V, ("kernel_size must fit the padded input",)),
    (WINDOWS, {"kernel_size": 2**31 - 1}, V, ("kernel_size must fit the padded input",)),
    (DILATED, {"dilation": 5}, V, ("kernel_size must fit the padded input", "dilation 5")),
    (DILATED, {"dilation": 6, "padding": (1, 0)}, V, ("every pooling window must meet the input", "height of 5")),
    (DILATED, {"dilation": 2**31 - 1}, V, ("kernel_size must fit the padded input",)),
    # flags and names
    *((WINDOWS, {"ceil_mode": value}, T, ("ceil_mode must be True or False",)) for value in (1, 0, None, "yes", 1.0)),
    (("avg_pool2d",), {"count_include_pad": 1}, T, ("count_include_pad must be True or False", "1")),
    (INDEXED, {"return_indices": "yes"}, T, ("return_indices must be True or False", "yes")),
    (ALL, {"layout": "CHWN"}, V, ("layout must be one of", "CHWN")),
    (ALL, {"layout": 1}, T, ("layout must be one of", "1")),
    (POOLS, {"algorithm": "fastest"}, V, ("algorithm must be one of", "window", "fastest")),
    (POOLS, {"algorithm": None}, T, ("algorithm must be one of",)),
    *((("lp_pool2d",), {"norm_type": p}, V, ("norm_type must be finite and > 0", str(p)))
      for p in (0, -1, NAN, float("inf"), 10**400)),
    *((("lp_pool2d",), {"norm_type": p}, T, ("norm_type must be a number",)) for p in (True, "2", None, 2j, [2])),
    # x
    *((ALL, {"x": np.ones(shape, F)}, V, ("x must have 4 dimensions", str(shape)))
      for shape in ((), (4,), (5, 6, 4), (1, 1, 5, 6, 4))),
    *((ALL, {"x": np.ones(shape, F)}, V, ("x must have no empty dimension", str(shape)))
      for shape in ((1, 0, 6, 4), (1, 5, 0, 4), (1, 5, 6, 0), (0, 0, 0, 0))),
    *((ALL, {"x": np.ones((1, 5, 6, 4), dtype)}, T, ("x must have a dtype of", repr(np.dtype(dtype))))
      for dtype in ("f2", "c8", ">f4", "S4", "?", "O", "u8")),
    (ALL, {"x": None}, T, ("x must have a dtype",)),
    (ALL, {"x": [[1, 2], [3]]}, T, ("x cannot be read as an array",)),
    (FLOATS, {"x": np.ones((1, 5, 6, 4), np.int8)}, T, ("x must have a dtype of float32, float64", "int8")),
    (POOLS, {"x": huge(1, 2**20, 2**20, 4)}, M, ("x", "bytes")),
    (WINDOWS, {"x": huge(2**40, 5, 6, 4), "out": None}, M, ("output of shape", "bytes")),
    (ADAPTIVE, {"output_size": 2**31 - 1}, M, ("output of shape", "bytes")),
    (ADAPTIVE, {"output_size": (0, 3)}, V, ("output_size must be >= 1", "0")),
    # unpooling
    (UNPOOL, {"indices": index(120)}, V, ("indices must be in [0, 120)", "120")),
    (UNPOOL, {"indices": index(-1)}, V, ("indices must be in [0, 120)", "-1")),
    (UNPOOL, {"indices": index(2**32)}, V, ("indices must be in", str(2**32))),
    (UNPOOL, {"indices": index(-(2**63))}, V, ("indices must be in", str(-(2**63)))),
    (UNPOOL, {"indices": index(2**64 - 1, np.uint64)}, V, ("indices must be in", str(2**64 - 1))),
    (UNPOOL, {"indices": index(2**63, np.uint64)}, V, ("indices must be in", str(2**63))),
    (UNPOOL, {"indices": index(-1, np.int8)}, V, ("indices must be in", "-1")),
    (UNPOOL, {"indices": np.zeros((1, 5, 6, 3), int)}, V, ("indices must have x's shape", "(1, 5, 6, 3)")),
    (UNPOOL, {"indices": np.zeros(120, int)}, V, ("indices must have x's shape", "(120,)")),
    *((UNPOOL, {"indices": np.zeros(X.shape, dtype)}, T, ("indices must have an integer dtype",))
      for dtype in (float, bool, object, ">i8", complex)),
    (UNPOOL, {"indices": None}, T, ("indices must have an integer dtype",)),
    (UNPOOL, {"output_size": (12, 12)}, V, ("output_size must be less than one stride 2 from 10", "12")),
    (UNPOOL, {"output_size": (10, 10)}, V, ("output_size must be less than one stride 2 from 12", "10")),
    (UNPOOL, {"output_size": (2, 10, 12, 4)}, V, ("output_size must keep N and C (1, 4)",)),
    (UNPOOL, {"output_size": (1, 2, 3)}, V, ("output_size must be",)),
    (UNPOOL, {"stride": 2**31 - 1}, M, ("output of shape", "bytes")),
]  # fmt: skip


def shown(value: object) -> str:
    return f"{value.shape}{value.dtype}" if isinstance(value, np.ndarray) else repr(value)


EACH = [
    pytest.param(op, changes, error, words, id=f"{op}-{'-'.join(f'{k}={shown(v)}'[:40] for k, v in changes.items())}")
    for ops, changes, error, words in CASES
    for op in ops
]


@pytest.mark.parametrize(("op", "changes", "error", "words"), EACH)
def test_function(op: str, changes: dict[str, Any], error: str, words: tuple[str, ...], refused: Any) -> None:
    good = getattr(cnnfast, op)(**BASE[op])

    def call() -> str:
        out = np.full(good.shape, 7, F)
        try:
            return repr(getattr(cnnfast, op)(**(BASE[op] | {"out": out} | changes)))
        finally:
            assert (out == 7).all(), "out was written"

    refused(call, error, words)


def read_only(shape: tuple[int, ...]) -> np.ndarray:
    array = np.zeros(shape, F)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("op", ALL)
def test_out(op: str, refused: Any) -> None:
    shape = getattr(cnnfast, op)(**BASE[op]).shape
    buffer = np.full(2000, 7, F)
    inside = {"x": buffer[:120].reshape(X.shape), "out": buffer[119 : 119 + np.prod(shape)].reshape(shape)}
    for given, error, words in (
        ({"out": np.zeros(shape)}, T, ("out must have dtype float32", "float64")),
        ({"out": np.zeros((*shape[:3], 5), F)}, V, (f"out must have shape {shape}",)),
        ({"out": read_only(shape)}, V, ("out must be writable",)),
        ({"out": [1]}, T, ("out must be a numpy.ndarray", "list")),
        ({"out": np.broadcast_to(np.zeros((), F), shape)}, V, ("out must be writable",)),
        (inside, V, ("out must not overlap an input", "x")),
    ):
        refused(lambda given=given: getattr(cnnfast, op)(**(BASE[op] | given)), error, words)


def test_unpool_out_over_its_indices(refused: Any) -> None:
    buffer = np.zeros(480, np.int64)
    x, indices = np.ones((1, 5, 6, 4), np.int64), buffer[:120].reshape(1, 5, 6, 4)
    out = buffer.reshape(1, 10, 12, 4)
    refused(lambda: cnnfast.max_unpool2d(x, indices, 2, out=out), V, ("out must not overlap an input", "indices"))
