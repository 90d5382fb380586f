"""`native.Chain`: plans in one call give the bits of the plans one by one, whatever arrays come with a run or stay."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native
from cnnfast.ops import chain

X = (2, 9, 11, 24)
"""Sizes that leave every kernel parts of tiles, vectors and columns."""


def floats(shape: tuple[int, ...], seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


CASES: dict[str, dict[str, Any]] = {
    "conv2d 3x3": {"weight": floats((3, 3, 24, 40)), "padding": 1},
    "conv2d 1x1": {"weight": floats((1, 1, 24, 40))},
    "conv2d long activation": {"weight": floats((3, 3, 24, 40)), "padding": 1, "activation": "silu"},
    "conv2d 5x5": {"weight": floats((5, 5, 24, 16)), "padding": 2},
    "conv2d 1x3": {"weight": floats((1, 3, 24, 7)), "activation": "relu"},
    "conv2d 11x11": {"weight": floats((11, 11, 24, 8)), "padding": 5},
    "conv2d of 3 channels": {"x": (2, 12, 14, 3), "weight": floats((3, 3, 3, 40)), "padding": 1},
    "conv2d to 5 channels": {"x": (2, 12, 14, 1), "weight": floats((5, 5, 1, 5)), "padding": 2, "activation": "gelu"},
    "conv2d of groups": {"weight": floats((3, 3, 4, 24)), "padding": 1, "groups": 6},
    "depthwise": {"weight": floats((3, 3, 1, 24)), "padding": 1, "groups": 24},
    "depthwise stride 2": {"weight": floats((3, 3, 1, 24)), "groups": 24, "stride": 2, "activation": "mish"},
    "depthwise 5x5": {"weight": floats((5, 5, 1, 24)), "padding": 2, "groups": 24, "activation": "relu6"},
    "depthwise, wide": {"x": (1, 9, 8, 256), "weight": floats((3, 3, 1, 256)), "padding": 1, "groups": 256},
    "depthwise dilated": {"weight": floats((3, 3, 1, 48)), "padding": 2, "groups": 24, "dilation": 2},
}
ROWS = [
    (name, row)
    for name, case in CASES.items()
    for row in cnnfast.plan_conv2d(case.get("x", X), **{k: v for k, v in case.items() if k != "x"}).explain().candidates
    if row.accepts
]


def planned(case: str, row: str) -> tuple[Any, tuple[int, ...]]:
    problem = dict(CASES[case])
    x_shape = problem.pop("x", X)
    return cnnfast.plan_conv2d(x_shape, **problem, algorithm=row), x_shape


@pytest.mark.parametrize(("case", "row"), [(case, row.algorithm) for case, row in ROWS])
def test_residual(case: str, row: str) -> None:
    """It may come with the run, stay, or be y itself: every kernel reads a number of it before it writes that one."""
    plan, x_shape = planned(case, row)
    x, residual = floats(x_shape), floats(plan.output_shape(), 2)
    expected = plan(x, residual)
    y = np.empty_like(expected)

    run = chain.Run([(plan.native, x_shape[0], 0, 1, 2)], [x_shape, y.shape, y.shape])
    run((x, residual, y))
    np.testing.assert_array_equal(y, expected)

    y[...] = 0
    run = chain.Run([(plan.native, x_shape[0], 0, residual, 1)], [x_shape, y.shape])
    run((x, y))
    np.testing.assert_array_equal(y, expected)

    run = chain.Run([(plan.native, x_shape[0], 0, 1, 1)], [x_shape, y.shape])
    run((x, residual))
    np.testing.assert_array_equal(residual, expected)


def test_two_steps_with_a_skip() -> None:
    """A basic block: y = relu(conv(relu(conv(x))) + x)."""
    w = floats((3, 3, 24, 24)) / 16
    plan = cnnfast.plan_conv2d(X, w, padding=1, activation="relu")
    x, between, y = floats(X), np.empty(X, np.float32), np.empty(X, np.float32)
    steps = [(plan.native, 2, 0, None, between), (plan.native, 2, between, 0, 1)]
    chain.Run(steps, [X, X])((x, y))
    np.testing.assert_array_equal(y, plan(plan(x), x))


def test_what_does_not_fit_writes_nothing() -> None:
    plan = cnnfast.plan_conv2d(X, floats((1, 1, 24, 24)))
    x, residual, y = floats(X), floats(X, 2), np.full(X, 7, np.float32)
    run = native.Chain(((plan.native, 2, 0, 1, 2),), (X, X, X)).run
    memory = np.full(x.size + 1, 7, np.float32)
    ends: dict[str, tuple[Any, ...]] = {
        "a short residual": (x, residual[:1], y),
        "a residual of another dtype": (x, residual.astype(np.float64), y),
        "a residual that overlaps y by all but a number": (x, memory[1:].reshape(X), memory[:-1].reshape(X)),
        "x for y": (x, residual, x),
        "None": (x, None, y),
    }
    for what, arrays in ends.items():
        assert not run(arrays), what
    assert (y == 7).all()
    assert (memory == 7).all()
    with pytest.raises(ValueError, match="does not take None"):
        native.Chain(((plan.native, 2, None, None, y),), ())
    with pytest.raises(ValueError, match="does not take"):
        native.Chain(((plan.native, 2, x, residual[:1], y),), ())


def test_a_plan_that_adds_nothing() -> None:
    """A pool with a residual is an error of the run, as the plan's own."""
    pool = native.plan_pool2d(X, dtype="float32", kernel_size=(1, 1))
    run = native.Chain(((pool, 2, 0, 1, 2),), (X, X, X)).run
    with pytest.raises(ValueError, match="not supported"):
        run((floats(X), floats(X), np.empty(X, np.float32)))


FROM_MEMORY: dict[str, tuple[Any, tuple[int, ...]]] = {
    "depthwise": (partial(cnnfast.plan_conv2d, weight=floats((3, 3, 1, 40)), padding=1, groups=40), (1, 112, 112, 40)),
    "1x1": (partial(cnnfast.plan_conv2d, weight=floats((1, 1, 24, 72)), activation="relu"), (1, 112, 112, 24)),
    "3x3": (partial(cnnfast.plan_conv2d, weight=floats((3, 3, 40, 40)), padding=1), (1, 112, 112, 40)),
    "groups": (partial(cnnfast.plan_conv2d, weight=floats((3, 3, 4, 40)), padding=1, groups=10), (1, 112, 111, 40)),
    "a block in bands": (
        partial(
            cnnfast.plan_inverted_residual2d, expand_weight=floats((1, 1, 24, 72)),
            depthwise_weight=floats((3, 3, 72, 1)), project_weight=floats((1, 1, 72, 24)), padding=1, algorithm="bands",
        ), (1, 112, 112, 24),
    ),
    "a block in turn": (
        partial(
            cnnfast.plan_inverted_residual2d, expand_weight=floats((1, 1, 24, 72)),
            depthwise_weight=floats((3, 3, 72, 1)), project_weight=floats((1, 1, 72, 24)), padding=1,
            algorithm="in_turn",
        ), (1, 112, 112, 24),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FROM_MEMORY)
def test_steps_that_the_caches_do_not_hold(case: str, threads: Callable[[int], None]) -> None:
    """A dense layer beside it reads its 4 MB of weights 60 times: more than most machines' last level of cache."""
    make, shape = FROM_MEMORY[case]
    plan, dense = make(shape), cnnfast.plan_linear((1, 1024), floats((1024, 1024)))
    x, row = floats(shape), floats((1, 1024))
    threads(1)
    expected = plan(x)
    assert x.nbytes + expected.nbytes > 2 << 20
    aside = (dense.native, 1, row, None, np.empty_like(row))
    for count in (1, 2, 5):
        threads(count)
        y = np.empty_like(expected)
        chain.Run([aside, (plan.native, 1, 0, None, 1), *[aside] * 60], [shape, y.shape])((x, y))
        np.testing.assert_array_equal(y, expected)
