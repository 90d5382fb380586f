"""pad2d and upsample2d against the oracle and torch."""

from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference

MODES = ["constant", "reflect", "replicate", "circular"]


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sides", [((0, 0), (0, 0)), ((1, 2), (3, 0)), ((3, 3), (4, 4)), ((0, 1), (2, 2))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int64])
def test_pad2d(dtype: Any, sides: Any, mode: str, layout: str, rng: Any) -> None:
    x = rng.integers(-9, 9, (2, 4, 5, 3) if layout == "NHWC" else (2, 3, 4, 5)).astype(dtype)
    value = 3 if mode == "constant" else 0
    y = cnnfast.pad2d(x, sides, mode, value, layout=layout)
    assert y.dtype == dtype
    assert np.array_equal(y, reference.pad2d(x, padding=sides, mode=mode, value=value, layout=layout))
    out = np.zeros((*y.shape[:-1], 2 * y.shape[-1]), dtype)[..., ::2]
    assert cnnfast.pad2d(x, sides, mode, value, layout=layout, out=out) is out
    assert np.array_equal(out, y)


@pytest.mark.parametrize("mode", MODES)
def test_pad2d_is_torchs(mode: str, torch: Any, rng: Any) -> None:
    x = rng.standard_normal((2, 3, 5, 6))
    theirs = torch.nn.functional.pad(torch.from_numpy(x), (1, 2, 3, 4), mode).numpy()
    assert np.array_equal(cnnfast.pad2d(x, ((3, 4), (1, 2)), mode, layout="NCHW"), theirs)


def test_pad2d_with_infinity_and_nan() -> None:
    x = np.zeros((1, 1, 1, 1))
    assert cnnfast.pad2d(x, 1, value=-np.inf).ravel().tolist().count(-np.inf) == 8
    assert np.isnan(cnnfast.pad2d(x, 1, value=np.nan)).sum() == 8


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("mode", "corners"), [("nearest", False), ("bilinear", False), ("bilinear", True)])
@pytest.mark.parametrize("scale", [1, 2, (3, 1), (1, 4), (2, 5)])
def test_upsample2d(scale: Any, mode: str, corners: bool, layout: str, dtype: Any, isa: str, rng: Any) -> None:
    before = native.isa()
    try:
        native.set_isa(isa)
        for C in (1, 3, 16, 37):
            x = rng.standard_normal((2, 4, 5, C) if layout == "NHWC" else (2, C, 4, 5)).astype(dtype)
            y = cnnfast.upsample2d(x, scale, mode, align_corners=corners, layout=layout)
            pair = scale if isinstance(scale, tuple) else (scale, scale)
            keywords: dict[str, Any] = {"scale_factor": pair, "mode": mode, "align_corners": corners, "layout": layout}
            right, size = reference.upsample2d(x, **keywords), reference.upsample2d(np.abs(x), **keywords)
            # two lerps: each weight, product and sum is rounded once
            assert (np.abs(y - right) <= (mode == "bilinear") * 8 * np.finfo(dtype).eps / 2 * size).all()
            assert y.dtype == dtype
    finally:
        native.set_isa(before)


@pytest.mark.parametrize(("mode", "corners"), [("nearest", False), ("bilinear", False), ("bilinear", True)])
def test_upsample2d_is_torchs(mode: str, corners: bool, torch: Any, rng: Any) -> None:
    x = rng.standard_normal((2, 3, 5, 6))
    keywords = {} if mode == "nearest" else {"align_corners": corners}
    for scale in (2, 3):
        theirs = torch.nn.functional.interpolate(torch.from_numpy(x), scale_factor=scale, mode=mode, **keywords).numpy()
        ours = cnnfast.upsample2d(x, scale, mode, align_corners=corners, layout="NCHW")
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
