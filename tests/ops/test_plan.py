"""Plans: one for any batch, their own weights, and a fast call that accepts exactly what the careful one does."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native
from cnnfast.ops.plan import Plan
from cnnfast.ops.signatures import SIGNATURES

RNG = np.random.default_rng(3)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


X = normal(3, 6, 5, 4)
OPS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "conv2d": ((normal(3, 3, 2, 6), normal(6)), {"padding": 1, "groups": 2, "activation": "relu"}),
    "depthwise_conv2d": ((normal(3, 3, 4, 2), normal(8)), {"stride": 2, "activation": "silu"}),
    "separable_conv2d": ((normal(3, 3, 4, 2), normal(1, 1, 8, 5), normal(5)), {"depthwise_activation": "relu6"}),
    "inverted_residual2d": (
        (normal(1, 1, 4, 9), normal(3, 3, 9, 1), normal(1, 1, 9, 5), normal(5)),
        {"stride": 2, "expand_bias": normal(9)},
    ),
    "conv_transpose2d": ((normal(2, 3, 5, 4), normal(5)), {"stride": 2, "output_padding": 1}),
}


def plan_of(op: str, batch: int = 3) -> Plan:
    weights, options = OPS[op]
    plan = getattr(cnnfast, f"plan_{op}")((batch, *X.shape[1:]), *weights, **options)
    assert isinstance(plan, Plan)
    return plan


@pytest.mark.parametrize("op", OPS)
def test_a_plan_is_the_one_call(op: str) -> None:
    weights, options = OPS[op]
    plan, y = plan_of(op), getattr(cnnfast, op)(X, *weights, **options)
    assert np.array_equal(plan(X), y)
    assert plan.output_shape() == y.shape
    assert plan.output_shape(7) == (7, *y.shape[1:])
    residual = RNG.normal(size=y.shape).astype(np.float32)
    assert np.array_equal(plan(X, residual), getattr(cnnfast, op)(X, *weights, residual=residual, **options))


@pytest.mark.parametrize("op", OPS)
def test_any_batch_gives_an_image_the_same_bits(op: str) -> None:
    whole = plan_of(op)(X)
    for batch in (0, 1, 2):
        assert np.array_equal(plan_of(op)(X[:batch]), whole[:batch])
    assert np.array_equal(plan_of(op, batch=1)(np.repeat(X, 5, axis=0)), np.repeat(plan_of(op, batch=1)(X), 5, axis=0))


@pytest.mark.parametrize("op", OPS)
def test_a_plan_owns_its_weights(op: str) -> None:
    weights, options = OPS[op]
    mine = [w.copy() for w in weights]
    plan = getattr(cnnfast, f"plan_{op}")(X.shape, *mine, **options)
    before = plan(X)
    for w in mine:
        w[...] = np.nan
    del mine
    assert np.array_equal(plan(X), before)


def test_out_is_returned_and_filled() -> None:
    plan = plan_of("conv2d")
    out = np.full(plan.output_shape(), np.nan, np.float32)
    assert plan(X, out=out) is out
    assert np.array_equal(out, plan(X))


def test_threads_may_share_a_plan() -> None:
    plan, images = plan_of("conv2d"), [normal(3, 6, 5, 4) for _ in range(16)]
    expected = [plan(x) for x in images]
    with ThreadPoolExecutor(8) as threads:
        for y, wanted in zip(threads.map(plan, images * 8), expected * 8, strict=True):
            assert np.array_equal(y, wanted)


@pytest.mark.parametrize("op", OPS)
def test_algorithms_by_name(op: str) -> None:
    """Each row either takes the problem, and gives the same within rounding, or says what would."""
    weights, options = OPS[op]
    make = getattr(cnnfast, f"plan_{op}")
    explained = plan_of(op).explain()
    assert [row.algorithm for row in explained.candidates] == list(native.algorithms(SIGNATURES[op].table))
    for row in explained.candidates:
        if row.accepts:
            plan = make(X.shape, *weights, algorithm=row.algorithm, **options)
            assert plan.explain().algorithm == row.algorithm
            np.testing.assert_allclose(plan(X), plan_of(op)(X), rtol=1e-5, atol=1e-5)
        else:
            with pytest.raises(ValueError, match=f'algorithm "{row.algorithm}" does not take this problem'):
                make(X.shape, *weights, algorithm=row.algorithm, **options)


def test_explain() -> None:
    plan = plan_of("conv2d")
    told = plan.explain()
    assert told.op == "conv2d"
    assert told.isa == native.isa()
    assert told.flops == 2 * 3 * 6 * 5 * 6 * 3 * 3 * 2
    assert told.packed_size > 0
    assert told.algorithm in [row.algorithm for row in told.candidates if row.accepts]
    cheapest = min((row for row in told.candidates if row.accepts), key=lambda row: row.cost)
    assert cheapest.algorithm == told.algorithm
    words = ("algorithm", told.isa, "workspace", "MFLOP", "bytes moved", *(row.algorithm for row in told.candidates))
    assert not [word for word in words if word not in str(told)]
    assert told.algorithm in repr(plan)
    assert plan.workspace_size >= 0


def test_the_dtype_of_a_plan() -> None:
    weight = normal(3, 3, 4, 2)
    assert cnnfast.plan_conv2d(X.shape, weight, dtype="float64")(X.astype(np.float64)).dtype == np.float64
    assert cnnfast.plan_conv2d(X.shape, weight.astype(np.float64)).dtype == np.float64
    plan = cnnfast.plan_conv2d(X.shape, np.ones((1, 1, 4, 2), np.int16), dtype=np.uint8)
    assert plan(np.full(X.shape, 255, np.uint8)).dtype == np.int32


def test_a_call_costs_microseconds() -> None:
    """The fast path: under 1.5 us beyond the arithmetic on an idle machine; ten times that here, where others run."""
    plan = cnnfast.plan_conv2d((1, 4, 4, 1), np.ones((3, 3, 1, 1), np.float32))
    x, y = np.ones((1, 4, 4, 1), np.float32), np.empty((1, 2, 2, 1), np.float32)
    best = 1.0
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(100):
            plan(x, out=y)
        best = min(best, (time.perf_counter() - start) / 100)
    assert best < 15e-6
