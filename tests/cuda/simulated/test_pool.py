"""Pools in the simulator, against the oracle."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda import pool
from cnnfast.backends.cuda.arrays import host

RNG = np.random.default_rng(11)


def images(layout: str, shape: tuple[int, int, int, int]) -> Any:
    """Small integers, so that equal ones meet, with NaN and infinities among them."""
    x = RNG.integers(-4, 5, size=shape).astype(np.float32)
    x.flat[[1, 30, 31]] = -np.inf, np.nan, np.inf
    return x if layout == "NHWC" else np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def close(y: Any, expected: Any) -> None:
    assert np.shape(y) == np.shape(expected)
    assert np.allclose(y, expected, rtol=1e-5, atol=1e-6, equal_nan=True)


WINDOWS = [
    {"kernel_size": (2, 2), "stride": (2, 2)},
    {"kernel_size": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1)), "ceil_mode": True},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": ((1, 0), (0, 1))},
    {"kernel_size": (5, 5), "stride": (3, 2), "padding": ((2, 1), (2, 2)), "ceil_mode": True},
]
DILATED = [{"kernel_size": (3, 2), "stride": (1, 2), "padding": ((1, 1), (1, 1)), "dilation": (2, 3)}]


@pytest.mark.parametrize("options", [*WINDOWS, *DILATED], ids=str)
@pytest.mark.parametrize(("layout", "C"), [("NHWC", 8), ("NHWC", 3), ("NCHW", 3)])
def test_extremes_agree(options: Any, layout: str, C: int) -> None:
    x = images(layout, (2, 7, 6, C))
    y, indices = pool.max_pool2d(host(x), return_indices=True, layout=layout, **options)
    expected = reference.max_pool2d(x, return_indices=True, layout=layout, **options)
    close(y.owner, expected[0])
    assert np.array_equal(indices.owner, expected[1])
    close(pool.max_pool2d(host(x), layout=layout, **options).owner, expected[0])
    close(pool.min_pool2d(host(x), layout=layout, **options).owner, reference.min_pool2d(x, layout=layout, **options))


@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize(("layout", "C"), [("NHWC", 8), ("NHWC", 3), ("NCHW", 3)])
def test_means_and_norms_agree(options: Any, layout: str, C: int) -> None:
    x = images(layout, (2, 7, 6, C))
    for counted in (True, False):
        y = pool.avg_pool2d(host(x), count_include_pad=counted, layout=layout, **options).owner
        close(y, reference.avg_pool2d(x, count_include_pad=counted, layout=layout, **options))
    for norm_type in (1, 2, 3):
        y = pool.lp_pool2d(host(x), norm_type=norm_type, layout=layout, **options).owner
        close(y, reference.lp_pool2d(x, norm_type=norm_type, layout=layout, **options))


@pytest.mark.parametrize(("layout", "C"), [("NHWC", 4), ("NHWC", 3), ("NCHW", 3)])
@pytest.mark.parametrize("output_size", [(1, 1), (3, 4)])
def test_adaptive_windows_agree(layout: str, C: int, output_size: tuple[int, int]) -> None:
    x = images(layout, (2, 7, 6, C))
    more = {"output_size": output_size, "layout": layout}
    close(pool.adaptive_avg_pool2d(host(x), **more).owner, reference.adaptive_avg_pool2d(x, **more))
    y, indices = pool.adaptive_max_pool2d(host(x), return_indices=True, **more)
    expected = reference.adaptive_max_pool2d(x, return_indices=True, **more)
    close(y.owner, expected[0])
    assert np.array_equal(indices.owner, expected[1])
    close(pool.global_avg_pool2d(host(x), layout=layout).owner, reference.global_avg_pool2d(x, layout=layout))
    close(pool.global_max_pool2d(host(x), layout=layout).owner, reference.global_max_pool2d(x, layout=layout))


@pytest.mark.parametrize("layout", ["NLC", "NCL"])
def test_lines_agree(layout: str) -> None:
    x = RNG.normal(size=(2, 4, 9) if layout == "NCL" else (2, 9, 4)).astype(np.float32)
    options: Any = {"kernel_size": 3, "stride": 2, "padding": (1, 1), "layout": layout}
    close(pool.max_pool1d(host(x), dilation=2, **options).owner, reference.max_pool1d(x, dilation=2, **options))
    close(pool.avg_pool1d(host(x), **options).owner, reference.avg_pool1d(x, **options))


def test_channels_last_of_nchw_stays_so() -> None:
    x = RNG.normal(size=(2, 6, 6, 8)).astype(np.float32).transpose(0, 3, 1, 2)
    y = pool.max_pool2d(host(x), kernel_size=(2, 2), stride=(2, 2), layout="NCHW").owner
    assert y.strides[1] == 4
    close(y, reference.max_pool2d(x, kernel_size=(2, 2), stride=(2, 2), layout="NCHW"))
