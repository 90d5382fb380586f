"""Pools' gradients in the simulator, against the oracle."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda.arrays import host
from cnnfast.backends.cuda.grad import pool
from cnnfast.backends.reference import grad

RNG = np.random.default_rng(17)
LAYOUTS = [("NHWC", 4), ("NHWC", 3), ("NCHW", 3)]
WINDOWS: list[dict[str, Any]] = [
    {"kernel_size": (2, 2), "stride": (2, 2)},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": ((1, 0), (0, 1))},
    {"kernel_size": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1)), "ceil_mode": True},
]
DILATED: list[dict[str, Any]] = [
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": ((1, 1), (1, 1)), "dilation": (2, 3)}
]


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def image(layout: str, C: int) -> Any:
    return normal(2, 7, 6, C) if layout == "NHWC" else normal(2, C, 7, 6)


def close(y: Any, expected: Any) -> None:
    assert np.shape(y) == np.shape(expected)
    assert np.allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [*WINDOWS, *DILATED], ids=str)
@pytest.mark.parametrize(("layout", "C"), LAYOUTS)
def test_extremes_agree(options: dict[str, Any], layout: str, C: int) -> None:
    x = image(layout, C)
    y, indices = reference.max_pool2d(x, return_indices=True, layout=layout, **options)
    g = normal(*y.shape)
    known = {name: value for name, value in options.items() if name != "ceil_mode"}
    expected = grad.max_pool2d(g, indices, input_shape=x.shape, layout=layout)
    for more in (known, {}):
        found = pool.max_pool2d(host(g), host(indices), input_shape=x.shape, layout=layout, **more)
        close(found.owner, expected)
    close(pool.min_pool2d(host(g), host(x), layout=layout, **options).owner,
          grad.min_pool2d(g, x, layout=layout, **options))  # fmt: skip


@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize(("layout", "C"), LAYOUTS)
@pytest.mark.parametrize("counted", [True, False])
def test_means_agree(options: dict[str, Any], layout: str, C: int, counted: bool) -> None:
    x = image(layout, C)
    more = options | {"layout": layout, "count_include_pad": counted}
    g = normal(*reference.avg_pool2d(x, **more).shape)
    close(pool.avg_pool2d(host(g), input_shape=x.shape, **more).owner, grad.avg_pool2d(g, input_shape=x.shape, **more))


@pytest.mark.parametrize(("layout", "C"), LAYOUTS)
@pytest.mark.parametrize("output_size", [(1, 1), (3, 4)])
def test_adaptive_windows_agree(layout: str, C: int, output_size: tuple[int, int]) -> None:
    x = image(layout, C)
    y, indices = reference.adaptive_max_pool2d(x, output_size=output_size, return_indices=True, layout=layout)
    g, more = normal(*y.shape), {"input_shape": x.shape, "layout": layout}
    close(pool.adaptive_max_pool2d(host(g), host(indices), **more).owner, grad.max_pool2d(g, indices, **more))
    close(pool.adaptive_avg_pool2d(host(g), **more).owner, grad.adaptive_avg_pool2d(g, **more))
    if output_size == (1, 1):
        found = pool.global_max_pool2d(host(g), host(x), host(y.astype(np.float32)), layout=layout)
        close(found.owner, grad.global_max_pool2d(g, x, y, layout=layout))


@pytest.mark.parametrize("options", [WINDOWS[1], *DILATED], ids=str)
@pytest.mark.parametrize(("layout", "C"), LAYOUTS[1:])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0])
def test_norms_agree(options: dict[str, Any], layout: str, C: int, norm_type: float) -> None:
    x = image(layout, C)
    x.flat[::7] = 0
    more = options | {"layout": layout, "norm_type": norm_type}
    y = reference.lp_pool2d(x, **more).astype(np.float32)
    g = normal(*y.shape)
    found, expected = pool.lp_pool2d(host(g), host(x), host(y), **more).owner, grad.lp_pool2d(g, x, y, **more)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("layout", ["NLC", "NCL"])
def test_lines_agree(layout: str) -> None:
    x = normal(2, 9, 4) if layout == "NLC" else normal(2, 4, 9)
    options: Any = {"kernel_size": 3, "stride": 2, "padding": (1, 1), "layout": layout}
    g = normal(*reference.avg_pool1d(x, **options).shape)
    close(pool.avg_pool1d(host(g), input_shape=x.shape, **options).owner,
          grad.avg_pool1d(g, input_shape=x.shape, **options))  # fmt: skip
    close(pool.max_pool1d(host(g), host(x), **options).owner, grad.max_pool1d(g, x, **options))
