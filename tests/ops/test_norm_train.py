"""batch_norm_train: its statistics, and y by them."""

from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference

FLOATS = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("C", [1, 3, 16, 17, 40, 100])
def test_values(C: int, activation: Any, dtype: Any, isa: str, rng: Any) -> None:
    x = (rng.standard_normal((3, 25, 13, C)) * 3 + 2).astype(dtype)
    weight, bias = (rng.standard_normal(C).astype(dtype) for _ in range(2))
    right_mean, right_var = reference.batch_norm_train(x)[1:]
    y, mean, var = cnnfast.batch_norm_train(x, weight, bias, eps=1e-3, activation=activation)
    assert {each.dtype for each in (y, mean, var)} == {np.dtype(dtype)}
    unit = 2.0**-24 if dtype == np.float32 else 2.0**-52
    assert (np.abs(mean - right_mean) <= 16 * unit * np.abs(x).mean(axis=(0, 1, 2))).all()
    assert (np.abs(var - right_var) <= 32 * unit * right_var).all()
    same = cnnfast.batch_norm(x, mean, var, weight, bias, eps=1e-3, activation=activation)
    assert np.array_equal(y, same)
    turned = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    other, mean, var = cnnfast.batch_norm_train(turned, weight, bias, eps=1e-3, layout="NCHW", activation=activation)
    assert (np.abs(mean - right_mean) <= 16 * unit * np.abs(x).mean(axis=(0, 1, 2))).all()
    assert (np.abs(var - right_var) <= 32 * unit * right_var).all()
    np.testing.assert_allclose(np.moveaxis(other, 1, -1), same, rtol=1e3 * unit, atol=1e3 * unit)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("far", [1e3, 1e4])
def test_a_mean_far_from_0(far: float, layout: str, isa: str, rng: Any) -> None:
    """A variance by the mean of squares less the square of the mean would have no digit left."""
    x = (rng.standard_normal((8, 30, 31, 5)) + far).astype(np.float32)
    if layout == "NCHW":
        x = np.moveaxis(x, -1, 1).copy()
    y, mean, var = cnnfast.batch_norm_train(x, layout=layout, eps=0.0)
    right, right_mean, right_var = reference.batch_norm_train(x, layout=layout, eps=0.0)
    np.testing.assert_allclose(mean, right_mean, rtol=2.0**-23)
    np.testing.assert_allclose(var, right_var, rtol=1e-5)
    assert np.abs(y - right).max() <= far * 2.0**-23


def test_constants_have_no_variance(isa: str) -> None:
    for value in (0.0, 1 / 3, 1e4 / 3, -7e10):
        x = np.full((5, 300, 3), value, np.float32)
        y, mean, var = cnnfast.batch_norm_train(x)
        assert (mean == x[0, 0]).all()
        assert not var.any()
        assert not y.any()


def test_integers_are_exact(isa: str, rng: Any) -> None:
    x = rng.integers(-8, 9, (4, 16, 16, 21)).astype(np.float32)
    mean, var = cnnfast.batch_norm_train(x)[1:]
    assert np.array_equal(mean, x.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32))
    np.testing.assert_allclose(var, x.astype(np.float64).var(axis=(0, 1, 2)), rtol=2.0**-22)


@pytest.mark.parametrize("shape", [(64, 7), (5, 9, 7), (3, 40, 41, 7), (2, 9, 8, 11, 70), (2, 1000, 1000, 3)])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_same_bits_for_any_number_of_threads(shape: tuple[int, ...], layout: str, rng: Any) -> None:
    x = rng.standard_normal(shape, dtype=np.float32) + 1
    before = native.get_num_threads()
    try:
        first = None
        for threads in (1, 2, 3, 7):
            native.set_num_threads(threads)
            found = cnnfast.batch_norm_train(x, layout=layout, activation="relu")
            first = first or found
            for a, b in zip(found, first, strict=True):
                assert np.array_equal(a, b), threads
    finally:
        native.set_num_threads(before)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_channel(value: float, isa: str, rng: Any) -> None:
    x = rng.standard_normal((4, 40, 40, 19), dtype=np.float32)
    clean = cnnfast.batch_norm_train(x)
    x[2, 3, 4, 11] = value
    for found, without in zip(cnnfast.batch_norm_train(x), clean, strict=True):
        assert np.array_equal(np.delete(found, 11, -1), np.delete(without, 11, -1))
    assert np.isnan(cnnfast.batch_norm_train(x)[0][..., 11]).all()


def test_any_array(rng: Any) -> None:
    base = rng.standard_normal((6, 8, 10))
    for x in (base[::2, ::-1], base.T, base[..., ::2], base.tolist()):
        right = reference.batch_norm_train(np.asarray(x), eps=1e-5)
        out = np.full((*np.shape(x)[:-1], 2 * np.shape(x)[-1]), 7.0)[..., ::2]
        y, mean, var = cnnfast.batch_norm_train(x, out=out)
        assert y is out
        for ours, theirs in zip((y, mean, var), right, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


X = np.ones((2, 4, 5, 3), np.float32)
BAD: list[Any] = [
    ((X, np.ones(2, np.float32)), {}, ValueError, "weight must have shape (3,)"),
    ((X, None, np.ones(2, np.float32)), {}, ValueError, "bias must have shape (3,)"),
    ((X,), {"eps": -1}, ValueError, "eps must be >= 0"),
    ((X,), {"eps": None}, TypeError, "eps must be a number"),
    ((X,), {"layout": "HWC"}, ValueError, "layout must be one of"),
    ((X,), {"activation": "gelu"}, ValueError, 'activation must be None, "relu" or "relu6"'),
    ((X,), {"activation": "swish"}, ValueError, "activation must be one of"),
    ((X,), {"out": X}, ValueError, "out must not overlap an input"),
    ((X,), {"out": X.astype(float)}, TypeError, "out must have dtype float32"),
    ((X[0, 0, 0],), {}, ValueError, "x must have 2 to 5 dimensions"),
    ((X.astype(int),), {}, TypeError, "x must have a dtype"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case[3][:40])
def test_refused(case: Any) -> None:
    given, keywords, error, words = case
    with pytest.raises(error) as raised:
        cnnfast.batch_norm_train(*given, **keywords)
    assert words in str(raised.value)
    assert (X == 1).all()


def test_large_numbers_that_are_all_the_same() -> None:
    y, mean, var = cnnfast.batch_norm_train(np.full((1, 4, 1, 1), 1e200))
    assert (mean.item(), var.item()) == (1e200, 0)
    assert (y == 0).all()
