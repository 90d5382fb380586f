"""Sums over rows in the simulator, against NumPy and the oracle."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda import norm
from cnnfast.backends.cuda.arrays import host

RNG = np.random.default_rng(13)


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(2, 5, 7, 8), (3, 3, 3, 5), (2, 9, 5, 12)])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_batch_norm_train_agrees(shape: tuple[int, ...], layout: str) -> None:
    x = 1000 + 3 * normal(*shape)
    x = x if layout == "NHWC" else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    weight, bias = normal(shape[-1]), normal(shape[-1])
    found = norm.batch_norm_train(host(x), host(weight), host(bias), layout=layout, activation=("relu", 0.0))
    expected = reference.batch_norm_train(x, weight, bias, layout=layout, activation=("relu", 0.0))
    for y, right in zip(found, expected, strict=True):
        assert np.allclose(y.owner, right, rtol=1e-4, atol=1e-4)
