"""First layers of three channels at stride 2 have tiles of their own (csrc/kernels/common/gemm.c, STEM_STEP): the bits
of `im2col`, whose tiles read copies of the pixels one after another."""

from typing import Any

import numpy as np
import pytest

import cnnfast


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("filters", [12, 24, 32, 41])
@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ((3, 3), {"padding": ((0, 1), (0, 1)), "activation": "relu6"}),
        ((3, 3), {"padding": 1, "padding_mode": "reflect", "activation": "gelu"}),
        ((5, 3), {"stride": (1, 2), "activation": "relu"}),
        ((3, 3), {"stride": (3, 1), "dilation": (1, 2)}),
    ],
)
def test_every_width_of_a_tile(
    rng: np.random.Generator, kernel: tuple[int, int], options: dict[str, Any], filters: int, dtype: type
) -> None:
    options = {"stride": 2, **options}
    weight = rng.standard_normal((*kernel, 3, filters)).astype(dtype)
    bias = rng.standard_normal(filters).astype(dtype)
    for width in (*range(7, 31), 57, 64):
        x = rng.standard_normal((2, 7, width, 3)).astype(dtype)
        copied = cnnfast.conv2d(x, weight, bias, algorithm="im2col", **options)
        residual = rng.standard_normal(copied.shape).astype(dtype)
        for beside in (None, residual):
            y, expected = (
                cnnfast.conv2d(x, weight, bias, residual=beside, algorithm=algorithm, **options)
                for algorithm in ("direct", "im2col")
            )
            assert np.array_equal(y, expected), width
