"""Calls of shapes and keywords seen before: the bits of the careful way, other weights each time, its errors."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native
from cnnfast.ops import at_once

CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 9, 8, 5), (3, 3, 5, 7), {}),
    ((2, 9, 8, 5), (3, 3, 5, 16), {"padding": 1}),
    ((2, 9, 8, 6), (3, 2, 3, 8), {"groups": 2, "stride": 2, "padding": (1, 0), "dilation": (1, 2)}),
    ((1, 7, 7, 4), (5, 5, 4, 8), {"padding": "same", "stride": 2}),
    ((3, 1, 1, 40), (1, 1, 40, 12), {}),
    ((2, 5, 9, 8), (8, 5, 3, 3), {"layout": "NCHW", "padding": 1}),
]
"""x's shape, the weight's, and keywords."""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "weight", "keywords"), CASES)
def test_the_careful_ways_bits(
    shape: tuple[int, ...], weight: tuple[int, ...], keywords: dict[str, Any], dtype: Any, rng: np.random.Generator
) -> None:
    """`out` goes the careful way; each call has weights of its own, by a plan that packs them anew."""
    filters = weight[0] if "layout" in keywords else weight[3]
    for _ in range(4):
        x, w, bias = (rng.standard_normal(size).astype(dtype) for size in (shape, weight, (filters,)))
        plain = cnnfast.conv2d(x, w, **keywords)
        residual, out = rng.standard_normal(plain.shape).astype(dtype), np.empty_like(plain)
        y = cnnfast.conv2d(x, w, bias, residual=residual, activation="tanh", **keywords)
        cnnfast.conv2d(x, w, bias, residual=residual, activation="tanh", out=out, **keywords)
        assert np.array_equal(y, out)
        back = np.empty_like(x)
        cnnfast.grad.conv2d_input(plain, w, shape, out=back, **keywords)
        assert np.array_equal(cnnfast.grad.conv2d_input(plain, w, shape, **keywords), back)
        size = w.shape[2:] if "layout" in keywords else w.shape[:2]
        sums, wanted, found = np.empty_like(w), np.empty_like(bias), np.empty_like(bias)
        cnnfast.grad.conv2d_weight(plain, x, size, grad_bias=wanted, out=sums, **keywords)
        assert np.array_equal(cnnfast.grad.conv2d_weight(plain, x, size, grad_bias=found, **keywords), sums)
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("keywords", [{}, {"padding": 1, "stride": 2}, {"padding": "same", "dilation": 2}])
def test_depthwise(keywords: dict[str, Any], rng: np.random.Generator) -> None:
    for _ in range(3):
        x, w = rng.standard_normal((2, 9, 8, 6), np.float32), rng.standard_normal((3, 3, 6, 2), np.float32)
        y = cnnfast.depthwise_conv2d(x, w, **keywords)
        out, back, sums = np.empty_like(y), np.empty_like(x), np.empty_like(w)
        cnnfast.depthwise_conv2d(x, w, out=out, **keywords)
        assert np.array_equal(y, out)
        cnnfast.grad.depthwise_conv2d_input(y, w, x.shape, out=back, **keywords)
        assert np.array_equal(cnnfast.grad.depthwise_conv2d_input(y, w, x.shape, **keywords), back)
        cnnfast.grad.depthwise_conv2d_weight(y, x, 3, out=sums, **keywords)
        assert np.array_equal(cnnfast.grad.depthwise_conv2d_weight(y, x, 3, **keywords), sums)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each convolution that was called went the quick way."""
    ways: list[bool] = []
    convolution: Callable[..., Any] = at_once.convolution

    def told(*args: Any) -> Any:
        y = convolution(*args)
        ways.append(y is not None)
        return y

    monkeypatch.setattr(at_once, "convolution", told)
    return ways


def test_who_goes_which_way(quick: list[bool], rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((1, 6, 6, 3), np.float32), rng.standard_normal((3, 3, 3, 4), np.float32)
    for args, keywords in (((x, w), {}), ((x, w, np.zeros(4, np.float32)), {"activation": ("elu", 0.5)})):
        cnnfast.conv2d(*args, **keywords)
    assert quick == [True, True]
    quick.clear()
    cnnfast.conv2d(x[:, ::2], w)
    cnnfast.conv2d(x, w.astype(np.float64))
    cnnfast.conv2d(x, w, np.zeros(4))
    cnnfast.conv2d(x.astype(np.int8), w.astype(np.int8))
    cnnfast.conv2d(x, w, algorithm="plain")
    cnnfast.conv2d(x[:0], w)
    assert quick == [False] * 6


def test_what_is_wrong_is_said_whatever_was_called_before(rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((1, 6, 6, 3), np.float32), rng.standard_normal((3, 3, 3, 4), np.float32)
    y = cnnfast.conv2d(x, w, stride=1, groups=1)
    wrong: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (TypeError, "stride", {"stride": 1.0}),
        (TypeError, "groups", {"groups": True}),
        (TypeError, "groups", {"groups": None}),
        (ValueError, "bias", {"bias": np.zeros((1, 4), np.float32)}),
        (ValueError, "residual", {"residual": y[0]}),
    ]
    for error, name, keywords in wrong:
        with pytest.raises(error, match=name):
            cnnfast.conv2d(x, w, **keywords)
    for grad_bias in (np.zeros((1, 4), np.float32), np.zeros(4, np.float32)[::-1], y.reshape(-1)[:4]):
        before = grad_bias.copy()
        with pytest.raises(ValueError, match="grad_bias"):
            cnnfast.grad.conv2d_weight(y, x, 3, grad_bias=grad_bias)
        assert np.array_equal(grad_bias, before)
    with pytest.raises(ValueError, match="grad_output"):
        cnnfast.grad.conv2d_input(y[:, 1:].copy(), w, x.shape)


def test_what_a_plan_depends_on(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """The environment's precision, the ISA and the limit are asked at each call."""
    x, w = rng.standard_normal((1, 40, 40, 32), np.float32), rng.standard_normal((3, 3, 32, 64), np.float32)
    monkeypatch.delenv("CNNFAST_PRECISION", raising=False)
    cnnfast.conv2d(x, w)
    chain = cnnfast.conv2d(x, w, algorithm="direct")
    monkeypatch.setenv("CNNFAST_PRECISION", "strict")
    assert np.array_equal(cnnfast.conv2d(x, w), chain)
    monkeypatch.setenv("CNNFAST_PRECISION", "sloppy")
    with pytest.raises(ValueError, match="sloppy"):
        cnnfast.conv2d(x, w)
    monkeypatch.delenv("CNNFAST_PRECISION")
    isa, limit = native.isa(), native.get_max_workspace()
    try:
        native.set_isa("baseline")
        assert np.array_equal(cnnfast.conv2d(x, w, precision="strict"), cnnfast.conv2d(x, w, algorithm="direct"))
        native.set_isa(isa)
        native.set_max_workspace(1)
        with pytest.raises(ValueError, match="max_workspace"):
            cnnfast.conv2d(x, w)
    finally:
        native.set_isa(isa)
        native.set_max_workspace(limit)


def test_threads_do_not_meet(rng: np.random.Generator) -> None:
    """One problem, from many threads, each with its weights."""
    x = np.ones((1, 8, 8, 4), np.float32)

    def often(value: int) -> bool:
        w, good = np.full((3, 3, 4, 8), value, np.float32), True
        for _ in range(200):
            y = cnnfast.conv2d(x, w)
            good &= bool((y == 36 * value).all())
            good &= bool(cnnfast.grad.conv2d_input(np.ones_like(y), w, x.shape)[0, 4, 4, 0] == 72 * value)
        return good

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(often, range(1, 13)))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("first", [np.nan, np.inf])
def test_a_call_does_not_know_of_weights_before(stride: int, first: float, rng: np.random.Generator) -> None:
    """Rows that skip taps are for finite weights: a plan that was made of others is not theirs."""
    for channels, filters, size in ((3, 16, 11), (6, 8, 9), (16, 32, 14)):
        w = rng.standard_normal((3, 3, channels, filters), np.float32)
        shape = (2, size, size, channels)
        gradient = rng.standard_normal(cnnfast.conv2d(np.zeros(shape, np.float32), w, stride=stride).shape, np.float32)
        broken = w.copy()
        broken[1, 1, 0, 0] = first
        for weights in (broken, w, broken):
            out = np.empty(shape, np.float32)
            cnnfast.grad.conv2d_input(gradient, weights, shape, stride=stride, out=out)
            found = cnnfast.grad.conv2d_input(gradient, weights, shape, stride=stride)
            assert np.array_equal(found, out, equal_nan=True)
