"""The pools' edges: indices, NaN, ceil_mode, every kind of array. Values at large are verify's business."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference
from cnnfast.ops import prepared

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"]


def window(**given: Any) -> dict[str, Any]:
    return {"kernel_size": (3, 2), "stride": (2, 1), "padding": ((1, 0), (1, 1))} | given


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-50, 50, (2, 7, 6, 4)).astype(np.float32)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_options_reach_the_backend(x: np.ndarray, layout: str, ceil_mode: bool) -> None:
    shared = window(ceil_mode=ceil_mode, layout=layout)
    for name in ("max_pool2d", "min_pool2d"):
        y = getattr(cnnfast, name)(x, dilation=(1, 2), **shared)
        assert np.array_equal(y, getattr(reference, name)(x, dilation=(1, 2), **shared))
    for include in (False, True):
        y = cnnfast.avg_pool2d(x, count_include_pad=include, **shared)
        expected = reference.avg_pool2d(x, count_include_pad=include, **shared)
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)
    y = cnnfast.lp_pool2d(x, 3, dilation=(2, 1), **shared)
    np.testing.assert_allclose(y, reference.lp_pool2d(x, norm_type=3.0, dilation=(2, 1), **shared), rtol=1e-5)
    for size in ((2, 3), (7, 6), (9, 1)):
        y = cnnfast.adaptive_avg_pool2d(x, size, layout=layout)
        expected = reference.adaptive_avg_pool2d(x, output_size=size, layout=layout)
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)
        both = cnnfast.adaptive_max_pool2d(x, size, return_indices=True, layout=layout)
        wanted = reference.adaptive_max_pool2d(x, output_size=size, return_indices=True, layout=layout)
        assert all(np.array_equal(a, b) for a, b in zip(both, wanted, strict=True))
    mean = cnnfast.global_avg_pool2d(x, layout=layout)
    np.testing.assert_allclose(mean, reference.global_avg_pool2d(x, layout=layout), rtol=1e-6, atol=1e-6)
    assert np.array_equal(cnnfast.global_max_pool2d(x, layout=layout), reference.global_max_pool2d(x, layout=layout))


def test_stride_is_the_kernel_unless_said(x: np.ndarray) -> None:
    assert np.array_equal(cnnfast.max_pool2d(x, (3, 2)), cnnfast.max_pool2d(x, (3, 2), (3, 2)))


def test_same_padding_of_a_dilated_window(x: np.ndarray) -> None:
    """More than half of the window, which is right here: the rule is about the effective kernel."""
    y = cnnfast.max_pool2d(x, 3, 1, padding="same", dilation=2)
    sides = ((2, 2), (2, 2))
    assert np.array_equal(y, reference.max_pool2d(x, kernel_size=(3, 3), stride=(1, 1), padding=sides, dilation=(2, 2)))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_keep_their_dtype(dtype: str) -> None:
    info = np.iinfo(dtype)
    x = np.array([info.min, info.max, 0, 1], dtype).reshape(1, 2, 2, 1)
    for name, expected in (("max_pool2d", info.max), ("min_pool2d", info.min)):
        y = getattr(cnnfast, name)(x, 2)
        assert y.dtype == dtype
        assert y.item() == expected
    y, index = cnnfast.max_pool2d(x, 2, return_indices=True)
    assert index.item() == 1
    back = cnnfast.max_unpool2d(y, index, 2)
    assert back.dtype == dtype
    assert back.ravel().tolist() == [0, info.max, 0, 0]


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_nan_and_infinity(layout: str) -> None:
    x = np.array([[np.nan, 1, -np.inf, -np.inf], [2, np.nan, -np.inf, -np.inf]], np.float32)
    x = np.repeat(x[None, :, :, None], 19, axis=3)  # a vector and its tail
    x = x if layout == "NHWC" else np.ascontiguousarray(np.moveaxis(x, 3, 1))
    y, index = cnnfast.max_pool2d(x, 2, return_indices=True, layout=layout)
    expected, where = reference.max_pool2d(x, kernel_size=(2, 2), stride=(2, 2), return_indices=True, layout=layout)
    assert np.array_equal(y, expected, equal_nan=True)
    assert np.array_equal(index, where)
    assert np.isnan(y).sum() == 19
    assert np.isneginf(y).sum() == 19
    low = cnnfast.min_pool2d(x, 2, layout=layout)
    assert np.isnan(low).sum() == 19


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("width", [*range(2, 12), 17])
def test_a_nan_in_every_column_of_a_strip(rng: np.random.Generator, isa: str, width: int) -> None:
    """One at a time, or its row is done again for another's sake. Windows side by side and overlapping."""
    clean = rng.integers(-50, 50, (1, 6, width, 19)).astype(np.float32)
    try:
        native.set_isa(isa)
        for size, stride, pad in ((2, 2, 0), (2, 2, 1), (3, 1, 0), (3, 1, 1), (3, 2, 0), (3, 2, 1)):
            if width + 2 * pad < size:
                continue
            given: dict[str, Any] = {"kernel_size": (size,) * 2, "stride": (stride,) * 2, "padding": ((pad, pad),) * 2}
            for column in range(width):
                x = clean.copy()
                x[0, column * 5 % 6, column, column % 19] = np.nan
                for name in ("max_pool2d", "min_pool2d", "avg_pool2d"):
                    expected = getattr(reference, name)(x, **given)
                    y = getattr(cnnfast, name)(x, **given)
                    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6, err_msg=f"{name} {given} {column}")
    finally:
        native.set_isa(None)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("offset", [0, 16, 60])
@pytest.mark.parametrize(("channels", "width"), [(76, 21), (80, 20), (200, 6), (130, 9), (32, 40)])
def test_channels_that_come_in_chunks(
    rng: np.random.Generator, past_line: Callable[..., np.ndarray], isa: str, offset: int, channels: int, width: int
) -> None:
    """Overlapping windows take so many channels at a time that their rows stay in L1; the last chunk is shorter; the
    first vector ends at a cache line of y."""
    x = rng.integers(-50, 50, (1, 5, width, channels)).astype(np.float32)
    try:
        native.set_isa(isa)
        for stride in (1, 2):
            for name in ("max_pool2d", "min_pool2d", "avg_pool2d"):
                given: dict[str, Any] = {"kernel_size": (3, 3), "stride": (stride, stride), "padding": ((1, 1), (1, 1))}
                expected = getattr(reference, name)(x, **given)
                y = getattr(cnnfast, name)(x, out=past_line(expected.shape, offset), **given)
                np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6, err_msg=f"{name} stride {stride}")
    finally:
        native.set_isa(None)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("from_y", [0, 4, 52])
@pytest.mark.parametrize("from_x", [0, 4, 16, 60])
@pytest.mark.parametrize("channels", [64, 83, 144])
def test_pixels_that_do_not_start_at_a_cache_line_as_outputs_do(
    rng: np.random.Generator, past_line: Callable[..., np.ndarray], isa: str, channels: int, from_x: int, from_y: int
) -> None:
    """AVX-512 makes whole lines of y from two vectors then. A NaN wherever it may be."""
    x = past_line((1, 4, 5, channels), from_x)
    x[...] = rng.integers(-50, 50, x.shape)
    given: dict[str, Any] = {"kernel_size": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 1))}
    try:
        native.set_isa(isa)
        for channel in (None, 0, channels // 2, channels - 17, channels - 1):
            if channel is not None:
                x[0, 3, 2, channel] = np.nan
            for name in ("max_pool2d", "min_pool2d", "avg_pool2d"):
                expected = getattr(reference, name)(x, **given)
                y = getattr(cnnfast, name)(x, out=past_line(expected.shape, from_y), **given)
                np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6, err_msg=f"{name} {channel}")
            x[0, 3, 2] = 1
    finally:
        native.set_isa(None)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 0), (1, 1))])
@pytest.mark.parametrize("channels", range(1, 10))
def test_few_channels(rng: np.random.Generator, isa: str, dtype: str, padding: Any, channels: int) -> None:
    """2x2 windows some of which share a vector; a NaN stays in its window and channel."""
    x = rng.integers(-50, 50, (2, 7, 23, channels)).astype(dtype)
    if dtype != "int32":
        x[0, 3, 11, channels // 2] = np.nan
        x[1, 0, 22, 0] = np.inf
    try:
        native.set_isa(isa)
        for name in ("max_pool2d", "min_pool2d", "avg_pool2d")[: 2 if dtype == "int32" else 3]:
            expected = getattr(reference, name)(x, kernel_size=(2, 2), stride=(2, 2), padding=padding)
            y = getattr(cnnfast, name)(x, 2, padding=padding)
            assert np.array_equal(y, expected, equal_nan=dtype != "int32"), name
    finally:
        native.set_isa(None)


def test_ceil_mode_drops_the_window_in_the_padding() -> None:
    """Size 3, kernel 2, stride 2, padding 1: the window at 3 would hold padding alone."""
    x = np.arange(3.0).reshape(1, 3, 1, 1)
    assert cnnfast.max_pool2d(x, (2, 1), padding=(1, 0), ceil_mode=True).ravel().tolist() == [0, 2]


def test_empty_batch() -> None:
    x = np.zeros((0, 4, 4, 3), np.float32)
    y, index = cnnfast.max_pool2d(x, 2, return_indices=True)
    assert y.shape == index.shape == (0, 2, 2, 3)
    assert cnnfast.avg_pool2d(x, 2).shape == (0, 2, 2, 3)
    assert cnnfast.global_avg_pool2d(x).shape == (0, 1, 1, 3)
    assert cnnfast.max_unpool2d(y, index, 2).shape == (0, 4, 4, 3)


def test_strided_arrays_and_out(x: np.ndarray) -> None:
    expected = cnnfast.max_pool2d(x, 2)
    wide = np.repeat(x, 2, axis=3)[..., ::2]
    out = np.full((2, 3, 3, 8), np.nan, np.float32)[..., ::2]
    assert cnnfast.max_pool2d(wide, 2, out=out) is out
    assert np.array_equal(out, expected)
    expanded = np.broadcast_to(x[:, :, :, :1], x.shape)
    assert np.array_equal(cnnfast.max_pool2d(expanded, 2), cnnfast.max_pool2d(expanded.copy(), 2))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_unpool(x: np.ndarray, layout: str) -> None:
    y, index = cnnfast.max_pool2d(x, (2, 3), layout=layout, return_indices=True)
    size = x.shape[1:3] if layout == "NHWC" else x.shape[2:]
    expected = reference.max_unpool2d(y, index, output_size=size, layout=layout)
    for output_size in (size, x.shape):
        back = cnnfast.max_unpool2d(y, index, (2, 3), output_size=output_size, layout=layout)
        assert np.array_equal(back, expected)
    for dtype in (np.int16, np.uint64, np.int32):
        narrow = cnnfast.max_unpool2d(y, index.astype(dtype), (2, 3), output_size=size, layout=layout)
        assert np.array_equal(narrow, expected)


def test_unpool_keeps_the_last_of_equal_indices() -> None:
    x, index = np.arange(1.0, 5).reshape(1, 2, 2, 1), np.zeros((1, 2, 2, 1), np.int64)
    assert cnnfast.max_unpool2d(x, index, 2)[0, 0, 0, 0] == 4


def test_unpool_default_size_with_padding(torch: Any) -> None:
    x = np.arange(25.0).reshape(1, 1, 5, 5)
    y, index = cnnfast.max_pool2d(x, 3, 2, padding=1, layout="NCHW", return_indices=True)
    given = [torch.from_numpy(a) for a in (y, index)]
    expected = torch.nn.functional.max_unpool2d(*given, 3, 2, 1).numpy()
    assert np.array_equal(cnnfast.max_unpool2d(y, index, 3, 2, padding=1, layout="NCHW"), expected)


def test_plans_are_cached_by_geometry_and_isa() -> None:
    """A plan belongs to the ISA it was made with, so changing that must not reuse one."""
    x = np.ones((1, 4, 4, 3), np.float32)
    before = native.isa()
    prepared.kept.clear()
    try:
        for count, isa in enumerate(native.isas(), start=1):
            native.set_isa(isa)
            cnnfast.max_pool2d(x, 2)
            cnnfast.max_pool2d(x, 2)
            assert len(prepared.kept) == count
    finally:
        native.set_isa(before)
