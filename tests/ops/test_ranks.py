"""conv1d, conv3d and their pools against the oracle and torch, in both layouts."""

from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import reference


def last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1)


def first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


CONV1D: list[dict[str, Any]] = [
    {}, {"stride": 2, "padding": 1}, {"padding": (2, 0), "dilation": 2}, {"groups": 2, "activation": "relu"},
    {"padding": (1, 1), "padding_mode": "reflect"}, {"padding": 3, "padding_mode": "circular"},
]  # fmt: skip


@pytest.mark.parametrize("keywords", CONV1D, ids=str)
def test_conv1d(keywords: dict[str, Any], rng: Any) -> None:
    x = rng.integers(-9, 9, (2, 9, 4)).astype(np.float32)
    weight = rng.integers(-9, 9, (3, 4 // keywords.get("groups", 1), 6)).astype(np.float32)
    bias = np.arange(6, dtype=np.float32)
    lowered = dict(keywords)
    padding = keywords.get("padding", 0)
    lowered["padding"] = padding if isinstance(padding, tuple) else (padding, padding)
    lowered["activation"] = (keywords.get("activation"), 0.0)
    right = reference.conv1d(x, weight, bias, **lowered)
    residual = rng.integers(-9, 9, right.shape).astype(np.float32)
    assert np.array_equal(cnnfast.conv1d(x, weight, bias, **keywords), right)
    right = reference.conv1d(x, weight, bias, residual, **lowered)
    assert np.array_equal(cnnfast.conv1d(x, weight, bias, residual=residual, **keywords), right)
    turned = np.transpose(weight, (2, 1, 0))
    y = cnnfast.conv1d(first(x), turned, bias, residual=first(residual), layout="NCL", **keywords)
    assert np.array_equal(last(y), right)
    out = np.empty_like(y)
    got = cnnfast.conv1d(first(x), turned, bias, residual=first(residual), layout="NCL", out=out, **keywords)
    assert got is out
    assert np.array_equal(out, y)


def test_conv1d_same_and_integers(rng: Any) -> None:
    x, weight = rng.integers(-9, 9, (1, 7, 2)), rng.integers(-9, 9, (4, 2, 3))
    y = cnnfast.conv1d(x, weight, padding="same", stride=2)
    assert y.dtype == np.int64
    assert np.array_equal(y, reference.conv1d(x, weight, padding=(1, 2), stride=2))


@pytest.mark.parametrize(
    "keywords", [{}, {"stride": 2, "padding": 1}, {"padding": 1, "stride": 3, "ceil_mode": True}], ids=str
)
def test_pools_1d(keywords: dict[str, Any], rng: Any) -> None:
    x = rng.integers(-9, 9, (2, 10, 5)).astype(np.float64)
    both = (keywords.get("padding", 0),) * 2
    lowered = {"kernel_size": 3, "stride": 3} | keywords | {"padding": both}
    for name in ("max_pool1d", "avg_pool1d"):
        right = getattr(reference, name)(x, **lowered)
        pool = getattr(cnnfast, name)
        np.testing.assert_allclose(pool(x, 3, **keywords), right, rtol=1e-15)
        np.testing.assert_allclose(last(pool(first(x), 3, layout="NCL", **keywords)), right, rtol=1e-15)
        out = np.empty(right.shape)
        assert pool(x, 3, **keywords, out=out) is out
        np.testing.assert_allclose(out, right, rtol=1e-15)


CONV3D: list[dict[str, Any]] = [
    {}, {"stride": 2, "padding": 1}, {"padding": ((2, 0), (1, 1), (0, 1)), "dilation": (2, 1, 1)},
    {"groups": 2, "activation": "relu", "stride": (1, 2, 1)}, {"padding": 1, "padding_mode": "reflect"},
    {"padding": (1, 0, 1), "padding_mode": "circular"}, {"padding": 1, "padding_mode": "replicate"},
]  # fmt: skip


@pytest.mark.parametrize("keywords", CONV3D, ids=str)
def test_conv3d(keywords: dict[str, Any], rng: Any) -> None:
    x = rng.integers(-5, 5, (2, 6, 5, 6, 4)).astype(np.float32)
    weight = rng.integers(-5, 5, (3, 2, 3, 4 // keywords.get("groups", 1), 6)).astype(np.float32)
    bias = np.arange(6, dtype=np.float32)
    lowered: dict[str, Any] = {k: (v,) * 3 if k in ("stride", "dilation") and isinstance(v, int) else v
                               for k, v in keywords.items()}  # fmt: skip
    padding: Any = keywords.get("padding", 0)
    sides = padding if isinstance(padding, tuple) else (padding,) * 3
    lowered["padding"] = tuple(each if isinstance(each, tuple) else (each, each) for each in sides)
    lowered["activation"] = (keywords.get("activation"), 0.0)
    assert np.array_equal(cnnfast.conv3d(x, weight, bias, **keywords), reference.conv3d(x, weight, bias, **lowered))
    shape = reference.conv3d(x, weight, **lowered).shape
    residual = rng.integers(-9, 9, shape).astype(np.float32)
    right = reference.conv3d(x, weight, bias, residual, **lowered)
    assert np.array_equal(cnnfast.conv3d(x, weight, bias, residual=residual, **keywords), right)
    turned = np.transpose(weight, (4, 3, 0, 1, 2))
    y = cnnfast.conv3d(first(x), turned, bias, residual=first(residual), layout="NCDHW", **keywords)
    assert np.array_equal(last(y), right)
    out = np.empty_like(residual)
    assert cnnfast.conv3d(x, weight, bias, residual=residual, out=out, **keywords) is out
    assert np.array_equal(out, right)


@pytest.mark.parametrize("N", [0, 1])
def test_conv3d_same(N: int, rng: Any) -> None:
    x, weight = rng.standard_normal((N, 5, 4, 4, 2)), rng.standard_normal((2, 3, 3, 2, 3))
    y = cnnfast.conv3d(x, weight, padding="same", stride=2)
    assert y.shape == (N, 3, 2, 2, 3)
    right = reference.conv3d(x, weight, padding=((0, 1), (0, 1), (0, 1)), stride=(2, 2, 2))
    np.testing.assert_allclose(y, right, rtol=1e-12, atol=1e-12)


def test_max_pool3d_same_with_dilation(rng: Any) -> None:
    """Its padding is more than half of the window, which "same" may have."""
    x = rng.integers(-9, 9, (1, 4, 5, 5, 2)).astype(np.float32)
    sides = ((2, 2), (2, 2), (2, 2))
    right = reference.max_pool3d(x, kernel_size=(3, 3, 3), stride=(1, 1, 1), dilation=(2, 2, 2), padding=sides)
    assert np.array_equal(cnnfast.max_pool3d(x, 3, 1, dilation=2, padding="same"), right)


def test_torch_agrees(torch: Any, rng: Any) -> None:
    functional = torch.nn.functional
    x, weight = rng.standard_normal((2, 4, 6, 7, 8)), rng.standard_normal((6, 2, 3, 2, 3))
    a, b = torch.from_numpy(x), torch.from_numpy(weight)
    ours = cnnfast.conv3d(x, weight, stride=(1, 2, 1), padding=1, groups=2, layout="NCDHW")
    np.testing.assert_allclose(ours, functional.conv3d(a, b, None, (1, 2, 1), 1, 1, 2).numpy(), rtol=1e-11, atol=1e-12)
    for ceil in (False, True):
        theirs = functional.max_pool3d(a, (2, 3, 2), 2, (1, 1, 0), 1, ceil).numpy()
        keywords: dict[str, Any] = {"padding": (1, 1, 0), "ceil_mode": ceil, "layout": "NCDHW"}
        assert np.array_equal(cnnfast.max_pool3d(x, (2, 3, 2), 2, **keywords), theirs)
        for count in (False, True):
            theirs = functional.avg_pool3d(a, (2, 3, 2), 2, (1, 1, 0), ceil, count).numpy()
            ours = cnnfast.avg_pool3d(x, (2, 3, 2), 2, count_include_pad=count, **keywords)
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "keywords",
    [{}, {"stride": (1, 2, 3), "padding": 1}, {"stride": 3, "padding": (1, 0, 1), "ceil_mode": True}],
    ids=str,
)
@pytest.mark.parametrize("count", [True, False])
def test_pools_3d(count: bool, keywords: dict[str, Any], rng: Any) -> None:
    x = rng.integers(-9, 9, (2, 7, 5, 8, 3)).astype(np.float64)
    stride, padding = keywords.get("stride", 3), keywords.get("padding", 0)
    lowered = {
        "kernel_size": (3, 3, 3), "stride": stride if isinstance(stride, tuple) else (stride,) * 3,
        "padding": tuple((p, p) for p in (padding if isinstance(padding, tuple) else (padding,) * 3)),
        "ceil_mode": keywords.get("ceil_mode", False),
    }  # fmt: skip
    right = reference.max_pool3d(x, **lowered)
    assert np.array_equal(cnnfast.max_pool3d(x, 3, **keywords), right)
    assert np.array_equal(last(cnnfast.max_pool3d(first(x), 3, layout="NCDHW", **keywords)), right)
    right = reference.avg_pool3d(x, count_include_pad=count, **lowered)
    np.testing.assert_allclose(
        cnnfast.avg_pool3d(x, 3, count_include_pad=count, **keywords), right, rtol=1e-14, atol=1e-15
    )
    y = cnnfast.avg_pool3d(first(x), 3, count_include_pad=count, layout="NCDHW", **keywords)
    np.testing.assert_allclose(last(y), right, rtol=1e-14, atol=1e-15)
    out = np.empty(right.shape)
    assert cnnfast.avg_pool3d(x, 3, count_include_pad=count, **keywords, out=out) is out
