"""Gradients of the pools: the engine's and the oracle's against finite differences, and beside torch."""

import doctest
from functools import partial
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import grad
from cnnfast.backends import reference
from cnnfast.backends.reference import grad as oracle
from cnnfast.ops.grad import given, plans, pool, pool_ranks, windows

WINDOWS = [
    {"kernel_size": (2, 2), "stride": (2, 2)},
    {"kernel_size": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1))},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 1)), "ceil_mode": True},
    {"kernel_size": (2, 3), "stride": (3, 4), "ceil_mode": True},
    {"kernel_size": (3, 3), "stride": (1, 1), "padding": ((1, 1), (1, 1))},
]
DILATED = {"kernel_size": (2, 3), "stride": (2, 1), "padding": ((1, 0), (1, 1)), "dilation": (3, 2)}


def distinct(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers of which no two are near each other, nor near 0."""
    count = int(np.prod(shape))
    return ((rng.permutation(count) + 1) * rng.choice([-0.1, 0.1], count)).reshape(shape)


@pytest.fixture(params=["NHWC", "NCHW"])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def images(rng: np.random.Generator, layout: str, N: int = 2, H: int = 6, W: int = 7, C: int = 3) -> np.ndarray:
    return distinct(rng, *((N, H, W, C) if layout == "NHWC" else (N, C, H, W)))


@pytest.mark.parametrize("window", [*WINDOWS, DILATED], ids=str)
def test_max_and_min(rng: np.random.Generator, layout: str, window: dict[str, Any], assert_gradient: Any) -> None:
    x = images(rng, layout)
    y, indices = cnnfast.max_pool2d(x, return_indices=True, layout=layout, **window)
    g = rng.standard_normal(y.shape)
    op = partial(reference.max_pool2d, layout=layout, **window)
    assert_gradient(op, {"x": x}, "x", grad.max_pool2d(g, indices, x.shape, layout=layout), g)
    assert_gradient(op, {"x": x}, "x", oracle.max_pool2d(g, indices, input_shape=x.shape, layout=layout), g)
    op = partial(reference.min_pool2d, layout=layout, **window)
    assert_gradient(op, {"x": x}, "x", grad.min_pool2d(g, x, layout=layout, **window), g)
    assert_gradient(op, {"x": x}, "x", oracle.min_pool2d(g, x, layout=layout, **window), g)


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_average(
    rng: np.random.Generator, layout: str, window: dict[str, Any], count_include_pad: bool, assert_gradient: Any
) -> None:
    x = images(rng, layout)
    how = {"count_include_pad": count_include_pad, "layout": layout, **window}
    g = rng.standard_normal(cnnfast.avg_pool2d(x, **how).shape)
    op = partial(reference.avg_pool2d, **how)
    assert_gradient(op, {"x": x}, "x", grad.avg_pool2d(g, x.shape, **how), g)
    assert_gradient(op, {"x": x}, "x", oracle.avg_pool2d(g, input_shape=x.shape, **how), g)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("window", [*WINDOWS, DILATED], ids=str)
def test_lp(
    rng: np.random.Generator, layout: str, window: dict[str, Any], norm_type: float, assert_gradient: Any
) -> None:
    x = images(rng, layout, N=1, C=2)
    how = {"norm_type": norm_type, "layout": layout, **window}
    y = cnnfast.lp_pool2d(x, **how)
    g = rng.standard_normal(y.shape)
    op = partial(reference.lp_pool2d, **how)
    assert_gradient(op, {"x": x}, "x", grad.lp_pool2d(g, x, y, **how), g)
    assert_gradient(op, {"x": x}, "x", oracle.lp_pool2d(g, x, y, **how), g)


def test_lp_of_zeros_is_zero() -> None:
    x = np.zeros((1, 2, 2, 1), np.float32)
    for p in (0.5, 1, 2):
        y = cnnfast.lp_pool2d(x, p, 2)
        assert not grad.lp_pool2d(np.ones_like(y), x, y, p, 2).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (6, 7), (4, 5), (9, 1)])
def test_adaptive_and_global(
    rng: np.random.Generator, layout: str, size: tuple[int, int], assert_gradient: Any
) -> None:
    x = images(rng, layout)
    g = rng.standard_normal(cnnfast.adaptive_avg_pool2d(x, size, layout=layout).shape)
    op = partial(reference.adaptive_avg_pool2d, output_size=size, layout=layout)
    assert_gradient(op, {"x": x}, "x", grad.adaptive_avg_pool2d(g, x.shape, layout=layout), g)
    assert_gradient(op, {"x": x}, "x", oracle.adaptive_avg_pool2d(g, input_shape=x.shape, layout=layout), g)
    y, indices = cnnfast.adaptive_max_pool2d(x, size, return_indices=True, layout=layout)
    op = partial(reference.adaptive_max_pool2d, output_size=size, layout=layout)
    assert_gradient(op, {"x": x}, "x", grad.max_pool2d(g, indices, x.shape, layout=layout), g)
    if size == (1, 1):
        for functions in (grad, oracle):
            assert_gradient(op, {"x": x}, "x", functions.global_max_pool2d(g, x, y, layout=layout), g)
        op = partial(reference.global_avg_pool2d, layout=layout)
        assert_gradient(op, {"x": x}, "x", grad.global_avg_pool2d(g, x.shape, layout=layout), g)
        assert_gradient(op, {"x": x}, "x", oracle.global_avg_pool2d(g, input_shape=x.shape, layout=layout), g)


def test_unpool_keeps_the_last_of_equal_indices(rng: np.random.Generator, layout: str, assert_gradient: Any) -> None:
    x = images(rng, layout, H=3, W=4)
    indices = rng.integers(0, 30, x.shape)
    op = partial(reference.max_unpool2d, output_size=(5, 6), layout=layout)
    g = rng.standard_normal(op(x, indices).shape)
    inputs = {"x": x, "indices": indices}
    assert_gradient(op, inputs, "x", grad.max_unpool2d(g, indices, layout=layout), g)
    assert_gradient(op, inputs, "x", oracle.max_unpool2d(g, indices, layout=layout), g)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_lines(rng: np.random.Generator, window: dict[str, Any], assert_gradient: Any) -> None:
    how = {key: value[1] if isinstance(value, tuple) else value for key, value in window.items()}
    for order, x in (("NLC", distinct(rng, 2, 9, 3)), ("NCL", distinct(rng, 2, 3, 9))):
        y = cnnfast.max_pool1d(x, dilation=2, layout=order, **how)
        g = rng.standard_normal(y.shape)
        op = partial(reference.max_pool1d, dilation=2, layout=order, **how)
        for functions in (grad, oracle):
            gradient = functions.max_pool1d(g, x, dilation=2, layout=order, **how)
            assert_gradient(op, {"x": x}, "x", gradient, g)
        g = rng.standard_normal(cnnfast.avg_pool1d(x, layout=order, **how).shape)
        op = partial(reference.avg_pool1d, layout=order, **how)
        assert_gradient(op, {"x": x}, "x", grad.avg_pool1d(g, x.shape, layout=order, **how), g)
        assert_gradient(op, {"x": x}, "x", oracle.avg_pool1d(g, input_shape=x.shape, layout=order, **how), g)


@pytest.mark.parametrize("order", ["NDHWC", "NCDHW"])
def test_volumes(rng: np.random.Generator, order: str, assert_gradient: Any) -> None:
    x = distinct(rng, *((2, 5, 4, 5, 2) if order == "NDHWC" else (2, 2, 5, 4, 5)))
    how: dict[str, Any] = {
        "kernel_size": (3, 2, 2), "stride": (2, 1, 2), "padding": ((1, 1), (0, 1), (1, 0)), "layout": order
    }  # fmt: skip
    g = rng.standard_normal(cnnfast.max_pool3d(x, **how).shape)
    op = partial(reference.max_pool3d, **how)
    for functions in (grad, oracle):
        assert_gradient(op, {"x": x}, "x", functions.max_pool3d(g, x, **how), g)
    for include in (True, False):
        op = partial(reference.avg_pool3d, **how, count_include_pad=include)
        assert_gradient(op, {"x": x}, "x", grad.avg_pool3d(g, x.shape, count_include_pad=include, **how), g)
        gradient = oracle.avg_pool3d(g, input_shape=x.shape, count_include_pad=include, **how)
        assert_gradient(op, {"x": x}, "x", gradient, g)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("C", [1, 2, 6, 16, 19, 64])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_tails_and_both_types(rng: np.random.Generator, window: dict[str, Any], C: int, dtype: type) -> None:
    x = rng.integers(-9, 9, (3, 8, 9, C)).astype(dtype)
    y, indices = cnnfast.max_pool2d(x, return_indices=True, **window)
    g = rng.integers(-9, 9, y.shape).astype(dtype)
    found = grad.max_pool2d(g, indices, x.shape)
    assert found.dtype == dtype
    assert np.array_equal(found, oracle.max_pool2d(g, indices, input_shape=x.shape))
    found = grad.avg_pool2d(g, x.shape, **window)
    assert found.dtype == dtype
    expected = oracle.avg_pool2d(g, input_shape=x.shape, **window)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_many_threads_give_the_same_bits(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 33, 34, 40)).astype(np.float32)
    y, indices = cnnfast.max_pool2d(x, 3, 2, padding=1, return_indices=True)
    g = rng.standard_normal(y.shape).astype(np.float32)
    before = cnnfast.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            cnnfast.set_num_threads(threads)
            both = grad.max_pool2d(g, indices, x.shape), grad.avg_pool2d(g, x.shape, 3, 2, padding=1)
            found.append(b"".join(each.tobytes() for each in both))
    finally:
        cnnfast.set_num_threads(before)
    assert len(set(found)) == 1


def test_out_views_and_empty_batches(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 6, 6, 8))
    y, indices = cnnfast.max_pool2d(x, 2, return_indices=True)
    out = np.full((2, 6, 6, 16), 7.0)[..., ::2]
    strided = np.repeat(y, 2, axis=2)[:, :, ::2]
    assert grad.max_pool2d(strided, indices.astype(np.int32), x.shape, out=out) is out
    assert np.array_equal(out, grad.max_pool2d(y, indices, x.shape))
    assert np.array_equal(grad.avg_pool2d(y, x.shape, 2, out=out), grad.avg_pool2d(strided, x.shape, 2))
    none = np.zeros((0, 3, 3, 8))
    assert grad.max_pool2d(none, none.astype(int), (0, 6, 6, 8)).shape == (0, 6, 6, 8)
    assert grad.avg_pool2d(none, (0, 6, 6, 8), 2).shape == (0, 6, 6, 8)
    assert grad.lp_pool2d(none, np.zeros((0, 6, 6, 8)), none, 2, 2).shape == (0, 6, 6, 8)
    assert grad.global_avg_pool2d(np.zeros((0, 1, 1, 8)), (0, 6, 6, 8)).shape == (0, 6, 6, 8)


G = np.ones((1, 2, 2, 3))
I = np.zeros((1, 2, 2, 3), int)  # noqa: E741
X = np.ones((1, 4, 4, 3))
SHAPE = (1, 4, 4, 3)
BAD = [
    (lambda: grad.max_pool2d(G, I + 16, SHAPE), ValueError, r"indices must be in \[0, 16\), .*got 16"),
    (lambda: grad.max_pool2d(G, I - 1, SHAPE), ValueError, r"indices must be in \[0, 16\), .*got -1"),
    (lambda: grad.max_pool2d(G, I + 2**40, SHAPE), ValueError, "indices must be in"),
    (lambda: grad.max_pool2d(G, I.astype(float), SHAPE), TypeError, "indices must have an integer dtype"),
    (lambda: grad.max_pool2d(G, I[:, :1], SHAPE), ValueError, "indices must have"),
    (lambda: grad.max_pool2d(G.astype(int), I, SHAPE), TypeError, "grad_output must have a dtype"),
    (lambda: grad.max_pool2d(G, I, (2, 4, 4, 3)), ValueError, "grad_output must have N 2"),
    (lambda: grad.max_pool2d(G, I, (1, 4, 3)), ValueError, "input_shape must be"),
    (lambda: grad.max_pool2d(G, I, (1, 0, 4, 3)), ValueError, "input_shape must have no empty"),
    (lambda: grad.max_pool2d(G, I, "1443"), TypeError, "input_shape must be"),
    (lambda: grad.max_pool2d(G, I, (1, 4, 4.0, 3)), TypeError, "input_shape must be an integer"),
    (lambda: grad.max_pool2d(G, I, SHAPE, layout="CHW"), ValueError, "layout"),
    (lambda: grad.max_pool2d(G, I, SHAPE, out=np.zeros(3)), ValueError, "out must have shape"),
    (lambda: grad.avg_pool2d(G, SHAPE, 3), ValueError, r"grad_output must have the output's shape \(1, 1, 1, 3\)"),
    (lambda: grad.avg_pool2d(G[:0], SHAPE, 2), ValueError, "grad_output must have the output's shape"),
    (lambda: grad.avg_pool2d(G, SHAPE, 0), ValueError, "kernel_size must be >= 1"),
    (lambda: grad.avg_pool2d(G, SHAPE, 2, 0), ValueError, "stride must be >= 1"),
    (lambda: grad.avg_pool2d(G, SHAPE, 2, padding=2), ValueError, "padding"),
    (lambda: grad.avg_pool2d(G, SHAPE, 2, count_include_pad=1), TypeError, "count_include_pad"),
    (lambda: grad.avg_pool2d(G, (1, 2**40, 2**40, 3), 2), ValueError, "input_shape must be < "),
    (lambda: grad.lp_pool2d(G, X, G, 0, 2), ValueError, "norm_type must be finite and > 0"),
    (lambda: grad.lp_pool2d(G, X, G[..., :1], 2, 2), ValueError, "y must have shape"),
    (lambda: grad.lp_pool2d(G, X.astype(np.float32), G, 2, 2), TypeError, "x must have grad_output's dtype"),
    (lambda: grad.min_pool2d(G, X[0], 2), ValueError, "input_shape must be"),
    (lambda: grad.global_avg_pool2d(G, SHAPE), ValueError, "grad_output must be one pixel high and wide"),
    (lambda: grad.global_max_pool2d(G[:, :1, :1], X, G), ValueError, "y must have shape"),
    (lambda: grad.adaptive_avg_pool2d(G[..., :2], SHAPE), ValueError, "grad_output must have N 1 and C 3"),
    (lambda: grad.max_unpool2d(X, I + 16), ValueError, r"indices must be in \[0, 16\)"),
    (lambda: grad.max_unpool2d(X, I[..., :2]), ValueError, "indices must have"),
    (lambda: grad.max_pool1d(G[0], X[0], 2), ValueError, "grad_output must have the output's shape"),
    (lambda: grad.avg_pool3d(G, (1, 4, 4, 4, 3), 2), ValueError, r"grad_output must have the output's shape"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=range(len(BAD)))
def test_bad_arguments_are_refused_by_name(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_an_error_writes_nothing() -> None:
    out = np.full(SHAPE, 7.0)
    for index in (16, -1, 2**62):
        wrong = I.copy()
        wrong[0, 1, 1, 2] = index
        with pytest.raises(ValueError, match="indices"):
            grad.max_pool2d(G, wrong, SHAPE, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_agrees(rng: np.random.Generator, torch: Any, dtype: type) -> None:
    F = torch.nn.functional
    x = rng.standard_normal((2, 5, 13, 11)).astype(dtype)
    tolerance = 1e-5 if dtype is np.float32 else 1e-12
    cases: list[tuple[Any, Any]] = [
        (lambda t: F.max_pool2d(t, 3, 2, 1), lambda g: grad.max_pool2d(
            g, cnnfast.max_pool2d(x, 3, 2, padding=1, return_indices=True, layout="NCHW")[1], x.shape, layout="NCHW")),
        (lambda t: F.avg_pool2d(t, 3, 2, 1), lambda g: grad.avg_pool2d(g, x.shape, 3, 2, padding=1, layout="NCHW")),
        (lambda t: F.avg_pool2d(t, 3, 2, 1, ceil_mode=True, count_include_pad=False), lambda g: grad.avg_pool2d(
            g, x.shape, 3, 2, padding=1, ceil_mode=True, count_include_pad=False, layout="NCHW")),
        (lambda t: F.adaptive_avg_pool2d(t, (4, 3)), lambda g: grad.adaptive_avg_pool2d(g, x.shape, layout="NCHW")),
        (lambda t: F.lp_pool2d(t.abs(), 3.0, 2), lambda g: grad.lp_pool2d(
            g, abs(x), cnnfast.lp_pool2d(x, 3, 2, layout="NCHW"), 3, 2, layout="NCHW") * np.sign(x)),
    ]  # fmt: skip
    for forward, backward in cases:
        t = torch.tensor(x, requires_grad=True)
        y = forward(t)
        g = rng.standard_normal(tuple(y.shape)).astype(dtype)
        y.backward(torch.tensor(g))
        np.testing.assert_allclose(backward(g), t.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("module", [given, plans, pool, pool_ranks, windows], ids=lambda module: module.__name__)
def test_examples_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
