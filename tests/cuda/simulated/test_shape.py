"""Softmax, padding, upsampling and concatenation in the simulator, against the oracle."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda import shape, softmax
from cnnfast.backends.cuda.arrays import host
from cnnfast.backends.cuda.grad import softmax as softmax_grad
from cnnfast.backends.reference import grad

RNG = np.random.default_rng(23)


def normal(*sizes: int) -> Any:
    return RNG.normal(size=sizes).astype(np.float32)


def close(y: Any, expected: Any) -> None:
    assert np.shape(y) == np.shape(expected)
    assert np.allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("sizes", "axis"), [((3, 37), -1), ((2, 150), 1), ((5, 4), -1), ((2, 6, 5), 1)])
def test_softmax_agrees(sizes: tuple[int, ...], axis: int) -> None:
    x, g = 30 * normal(*sizes), normal(*sizes)
    y, logs = reference.softmax(x, axis=axis), reference.log_softmax(x, axis=axis)
    close(softmax.softmax(host(x), axis=axis).owner, y)
    close(softmax.log_softmax(host(x), axis=axis).owner, logs)
    y, logs = y.astype(np.float32), logs.astype(np.float32)
    close(softmax_grad.softmax(host(g), host(y), axis=axis).owner, grad.softmax(g, y, axis=axis))
    close(softmax_grad.log_softmax(host(g), host(logs), axis=axis).owner, grad.log_softmax(g, logs, axis=axis))


@pytest.mark.parametrize(("layout", "C"), [("NHWC", 8), ("NHWC", 3), ("NCHW", 3)])
def test_padding_and_upsampling_agree(layout: str, C: int) -> None:
    x = normal(2, 4, 5, C) if layout == "NHWC" else normal(2, C, 4, 5)
    for mode in ("constant", "reflect", "replicate", "circular"):
        options: Any = {"padding": ((1, 2), (0, 3)), "mode": mode, "value": 1.5, "layout": layout}
        close(shape.pad2d(host(x), **options).owner, reference.pad2d(x, **options))
    for mode, corners in (("nearest", False), ("bilinear", False), ("bilinear", True)):
        options = {"scale_factor": (2, 3), "mode": mode, "align_corners": corners, "layout": layout}
        close(shape.upsample2d(host(x), **options).owner, reference.upsample2d(x, **options))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concatenation_agrees(axis: int) -> None:
    sizes = [[2, 3, 4], [2, 3, 4]]
    sizes[1][axis] = 8 if axis == -1 else 5
    arrays = [normal(*each) for each in sizes]
    close(shape.concatenate([host(each) for each in arrays], axis=axis).owner, reference.concatenate(arrays, axis=axis))
