"""conv2d's kernels in the simulator, against the oracle."""

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda import conv
from cnnfast.backends.cuda.arrays import host

RNG = np.random.default_rng(5)
OWN_TESTS = "depthwise", "tensor", "wgmma", "winograd"


@pytest.mark.parametrize("row", [row.name for row in conv.ROWS if row.name not in OWN_TESTS])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_rows_agree_with_the_oracle(row: str, layout: str) -> None:
    x = RNG.normal(size=(2, 6, 5, 4) if layout == "NHWC" else (2, 4, 6, 5)).astype(np.float32)
    w = RNG.normal(size=(3, 3, 4, 8) if layout == "NHWC" else (8, 4, 3, 3)).astype(np.float32)
    b = RNG.normal(size=8).astype(np.float32)
    options = {
        "stride": (1, 2), "padding": ((1, 1), (0, 1)), "dilation": (1, 1), "groups": 1, "layout": layout,
        "padding_mode": "zeros", "activation": ("relu", 0.0),
    }  # fmt: skip
    y = conv.conv2d(host(x), host(w), host(b), algorithm=row, **options).owner
    assert np.allclose(y, reference.conv2d(x, w, b, **options), rtol=1e-5, atol=1e-5)
