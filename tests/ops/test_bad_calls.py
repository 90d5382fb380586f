"""Bad arrays at the moment of a call: x, residual and out, to functions and to plans, one process a case."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast

F = np.float32
V, T, M = "ValueError", "TypeError", "MemoryError"
SHAPE = (2, 3, 3, 6)


def arrays() -> dict[str, np.ndarray]:
    return {
        "x": np.ones((2, 5, 5, 4), F), "weight": np.ones((3, 3, 4, 6), F), "bias": np.ones(6, F),
        "residual": np.ones(SHAPE, F), "out": np.full(SHAPE, 7, F),
    }  # fmt: skip


def read_only() -> np.ndarray:
    array = np.full(SHAPE, 7, F)
    array.flags.writeable = False
    return array


def overlapping(name: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """`out` and an input as views of one buffer, whose bytes are partly the same."""

    def change(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        size, needed = given[name].size, given["out"].size
        buffer = np.full(size + needed, 7, F)
        return {name: buffer[:size].reshape(given[name].shape), "out": buffer[size - 1 : -1].reshape(SHAPE)}

    return change


def same_as_residual(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"residual": given["out"]}


def shared(stride: tuple[int, ...]) -> np.ndarray:
    return np.lib.stride_tricks.as_strided(np.full(500, 7, F), SHAPE, stride)


# (what changes, the error, what its message says)
CASES: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "residual-shape": ({"residual": np.ones((2, 3, 3, 5), F)}, V, ("residual must have y's shape", "(2, 3, 3, 5)")),
    "residual-batch": ({"residual": np.ones((1, 3, 3, 6), F)}, V, ("residual must have y's shape", "(1, 3, 3, 6)")),
    "residual-rank": ({"residual": np.ones(6, F)}, V, ("residual must have y's shape", "(6,)")),
    "residual-dtype": ({"residual": np.ones(SHAPE, np.int32)}, T, ("residual must have a dtype", "int32")),
    "residual-object": ({"residual": object()}, T, ("residual must have a dtype",)),
    "residual-order": ({"residual": np.ones(SHAPE, ">f4")}, T, ("residual must have a dtype", ">f4")),
    "residual-huge": ({"residual": np.broadcast_to(F(1), (2**40, 3, 3, 6))}, V, ("residual must have y's shape",)),
    "out-shape": ({"out": np.full((2, 3, 3, 5), 7, F)}, V, ("out must have shape (2, 3, 3, 6)", "(2, 3, 3, 5)")),
    "out-batch": ({"out": np.full((1, 3, 3, 6), 7, F)}, V, ("out must have shape", "(1, 3, 3, 6)")),
    "out-rank": ({"out": np.full(108, 7, F)}, V, ("out must have shape", "(108,)")),
    "out-float64": ({"out": np.full(SHAPE, 7.0)}, T, ("out must have dtype float32", "float64")),
    "out-int32": ({"out": np.full(SHAPE, 7, np.int32)}, T, ("out must have dtype float32", "int32")),
    "out-order": ({"out": np.full(SHAPE, 7, ">f4")}, T, ("out must have dtype float32", ">f4")),
    "out-object": ({"out": np.full(SHAPE, 7, object)}, T, ("out must have dtype float32", "O")),
    "out-list": ({"out": [7]}, T, ("out must be a numpy.ndarray", "list")),
    "out-string": ({"out": "7"}, T, ("out must be a numpy.ndarray", "str")),
    "out-bytes": ({"out": bytearray(b"\7" * 432)}, T, ("out must have dtype float32", "uint8")),
    "out-read-only": ({"out": read_only()}, V, ("out must be writable",)),
    "out-expanded": ({"out": shared((0, 72, 24, 4))}, V, ("out must not overlap itself", "(0, 72, 24, 4)")),
    "out-overlapping-rows": ({"out": shared((216, 24, 24, 4))}, V, ("out must not overlap itself",)),
    "out-shifted-pixels": ({"out": shared((216, 60, 20, 4))}, V, ("out must not overlap itself",)),
    "out-is-residual": (same_as_residual, V, ("out must not overlap an input", "residual")),
    "out-over-residual": (overlapping("residual"), V, ("out must not overlap an input", "residual")),
    "out-over-x": (overlapping("x"), V, ("out must not overlap an input", "x")),
}
FUNCTION_ONLY: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "out-over-weight": (overlapping("weight"), V, ("out must not overlap an input", "weight")),
    "out-over-bias": (overlapping("bias"), V, ("out must not overlap an input", "bias")),
}
PLAN_ONLY: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "x-size": ({"x": np.ones((2, 5, 6, 4), F)}, V, ("x must have the plan's shape (N, 5, 5, 4)", "(2, 5, 6, 4)")),
    "x-rank": ({"x": np.ones((5, 5, 4), F)}, V, ("x must have the plan's shape", "(5, 5, 4)")),
    "x-float64": ({"x": np.ones((2, 5, 5, 4))}, T, ("x must have the plan's dtype float32", "float64")),
    "x-int8": ({"x": np.ones((2, 5, 5, 4), np.int8)}, T, ("x must have the plan's dtype float32", "int8")),
    "x-order": ({"x": np.ones((2, 5, 5, 4), ">f4")}, T, ("x must have the plan's dtype float32", ">f4")),
    "x-none": ({"x": None}, T, ("x must have the plan's dtype float32", "O")),
    "x-string": ({"x": "image"}, T, ("x must have the plan's dtype float32",)),
    "x-batch-beyond-memory": (
        {"x": np.broadcast_to(F(1), (2**36, 5, 5, 4)), "residual": None, "out": None}, M, ("output of shape", "bytes")
    ),
}  # fmt: skip


def call(door: str, change: Any) -> Callable[[], str]:
    given = arrays()
    plan = cnnfast.plan_conv2d((2, 5, 5, 4), given["weight"], given["bias"])
    given |= change(given) if callable(change) else change

    def run() -> str:
        mine = [value for value in given.values() if isinstance(value, np.ndarray) and value.size < 9999]
        before = [np.array(value, copy=True) for value in mine]
        try:
            if door == "function":
                return repr(cnnfast.conv2d(**given))
            return repr(plan(given["x"], given["residual"], given["out"]))
        finally:
            assert all(np.array_equal(a, b) for a, b in zip(before, mine, strict=True)), "something was written"

    return run


@pytest.mark.parametrize("case", [*CASES, *FUNCTION_ONLY])
def test_function(case: str, refused: Any) -> None:
    change, error, words = (CASES | FUNCTION_ONLY)[case]
    refused(call("function", change), error, words)


@pytest.mark.parametrize("case", [*CASES, *PLAN_ONLY])
def test_plan(case: str, refused: Any) -> None:
    change, error, words = (CASES | PLAN_ONLY)[case]
    refused(call("plan", change), error, words)


@pytest.mark.parametrize("door", ["function", "plan"])
def test_the_good_call_is_good(door: str, isolated: Any) -> None:
    """What every case above differs from in one thing; it writes, which the check for writing sees."""
    outcome = isolated(call(door, {}))
    assert outcome.message.startswith("something was written")


def test_integers_have_no_residual(refused: Any) -> None:
    x, weight = np.ones((1, 3, 3, 1), np.int8), np.ones((1, 1, 1, 1), np.int8)
    words = ("residual must be None for an integer x", "int8")
    refused(lambda: cnnfast.conv2d(x, weight, residual=np.ones((1, 3, 3, 1), np.int32)), V, words)
    plan = cnnfast.plan_conv2d(x.shape, weight)
    out = np.zeros((1, 3, 3, 1), np.int32)
    refused(lambda: plan(x, np.ones((1, 3, 3, 1), np.int32)), V, words)
    refused(lambda: plan(x, np.ones((1, 3, 3, 1), np.int32), out), V, words)


@pytest.mark.parametrize("activation", ["sigmoid", "gelu", "leaky_relu", "tanh", "silu", "hardswish"])
def test_integers_have_no_such_activation(activation: str, refused: Any) -> None:
    x, weight = np.ones((1, 3, 3, 1), np.int8), np.ones((1, 1, 1, 1), np.int8)
    words = ("activation must be None", "integer x", activation)
    refused(lambda: cnnfast.conv2d(x, weight, activation=activation), V, words)
    refused(lambda: cnnfast.plan_depthwise_conv2d(x.shape, weight, activation=activation), V, words)


@pytest.mark.parametrize("n", [-1, 1.0, True, "2", None.__class__])
def test_output_shape(n: Any, refused: Any) -> None:
    plan = cnnfast.plan_conv2d((1, 3, 3, 1), np.ones((1, 1, 1, 1), F))
    refused(lambda: plan.output_shape(n), V if n == -1 else T, ("n must be",))


@pytest.mark.parametrize("n", [0, -3, 2**31, 2**64, 1.0, True, None, "2"])
def test_threads(n: Any, refused: Any) -> None:
    refused(lambda: cnnfast.set_num_threads(n), V if type(n) is int else T, ("n must be",))
