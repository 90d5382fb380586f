"""The oracle against torch, where that is installed."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from cnnfast.backends import reference

RNG = np.random.default_rng(8)

CONVOLUTIONS = [
    {"stride": s, "padding": p, "dilation": d, "groups": g}
    for s, p, d, g in product([(1, 1), (2, 3)], [(0, 0), (2, 1)], [(1, 1), (2, 1)], [1, 2])
]


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv2d_is_torchs(case: dict[str, Any], torch: Any) -> None:
    x, w, b = RNG.normal(size=(2, 4, 8, 9)), RNG.normal(size=(6, 4 // case["groups"], 3, 2)), RNG.normal(size=6)
    expected = torch.conv2d(*(torch.from_numpy(a) for a in (x, w, b)), **case).numpy()
    sides = tuple((p, p) for p in case["padding"])
    y = reference.conv2d(x, w, b, layout="NCHW", **(case | {"padding": sides}))
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv_transpose2d_is_torchs(case: dict[str, Any], torch: Any) -> None:
    x, w = RNG.normal(size=(2, 4, 5, 6)), RNG.normal(size=(4, 6 // case["groups"], 3, 2))
    extra = {"output_padding": tuple(s - 1 for s in case["stride"])}
    expected = torch.nn.functional.conv_transpose2d(torch.from_numpy(x), torch.from_numpy(w), **case, **extra).numpy()
    sides = tuple((p, p) for p in case["padding"])
    y = reference.conv_transpose2d(x, w, layout="NCHW", **(case | {"padding": sides} | extra))
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("k", "s", "p"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 4, 2), (4, 3, 2)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pools_are_torchs(k: int, s: int, p: int, ceil_mode: bool, torch: Any) -> None:
    F, x = torch.nn.functional, RNG.normal(size=(2, 3, 9, 12))
    given = torch.from_numpy(x)
    options: dict[str, Any] = {
        "kernel_size": (k, k), "stride": (s, s), "padding": ((p, p), (p, p)), "ceil_mode": ceil_mode, "layout": "NCHW",
    }  # fmt: skip
    for dilation in (1, 2) if p <= k // 2 and 9 + 2 * p > 2 * k else (1,):
        expected, where = F.max_pool2d(given, k, s, p, dilation, ceil_mode, return_indices=True)
        y, index = reference.max_pool2d(x, dilation=(dilation, dilation), return_indices=True, **options)
        assert np.array_equal(y, expected.numpy())
        assert np.array_equal(index, where.numpy())
    for include in (False, True):
        expected = F.avg_pool2d(given, k, s, p, ceil_mode, include).numpy()
        y = reference.avg_pool2d(x, count_include_pad=include, **options)
        np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 12), (20, 7)])
def test_adaptive_pools_are_torchs(size: tuple[int, int], torch: Any) -> None:
    F, x = torch.nn.functional, RNG.normal(size=(2, 3, 9, 12))
    expected, where = F.adaptive_max_pool2d(torch.from_numpy(x), size, return_indices=True)
    y, index = reference.adaptive_max_pool2d(x, output_size=size, return_indices=True, layout="NCHW")
    assert np.array_equal(y, expected.numpy())
    assert np.array_equal(index, where.numpy())
    expected = F.adaptive_avg_pool2d(torch.from_numpy(x), size).numpy()
    np.testing.assert_allclose(reference.adaptive_avg_pool2d(x, output_size=size, layout="NCHW"), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu", "sigmoid", "tanh", "gelu", "silu", "hardswish"])
def test_activations_are_torchs(name: str, torch: Any) -> None:
    x = np.concatenate([np.linspace(-9, 9, 1001), [np.inf, -0.0, np.nan]])
    function = getattr(torch if name in ("tanh", "sigmoid") else torch.nn.functional, name)
    np.testing.assert_allclose(
        reference.activate(x, (name, 0.01)), function(torch.from_numpy(x)).numpy(), rtol=1e-13, atol=1e-15
    )
