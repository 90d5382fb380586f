"""Winograd's steps in the simulator, against the oracle; and when they pay."""

from typing import Any

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
from cnnfast.backends.cuda.kernel import choose
from cnnfast.backends.cuda.kernels import conv_winograd
from cnnfast.backends.cuda.problem import Conv

RNG = np.random.default_rng(8)


def options(**more: Any) -> dict[str, Any]:
    return {
        "stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1, "layout": "NHWC",
        "padding_mode": "zeros", "activation": (None, 0.0), **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("size", "more"),
    [
        ((1, 4, 8, 5, 3), {"layout": "NCHW", "activation": ("relu", 0.0)}),  # rows of whole tiles: wide stores
        ((2, 5, 6, 9, 10), {"padding": ((0, 2), (2, 1)), "activation": ("tanh", 0.0)}),
        ((1, 3, 7, 3, 2), {"layout": "NCHW", "padding": ((0, 0), (1, 0))}),
    ],
)
@pytest.mark.parametrize("added", [False, True])
def test_it_agrees_with_the_oracle(size: tuple[int, ...], more: dict[str, Any], added: bool) -> None:
    N, H, W, C, K = size
    given = options(**more)
    x, w = RNG.normal(size=(N, H, W, C)), RNG.normal(size=(3, 3, C, K))
    if given["layout"] == "NCHW":
        x, w = x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1)
    x, w, b = (np.ascontiguousarray(each, np.float32) for each in (x, w, RNG.normal(size=K)))
    z = reference.conv2d(x, w, **given)
    extra = (b, RNG.normal(size=z.shape).astype(np.float32)) if added else ()
    y = conv.conv2d(*(host(each) for each in (x, w, *extra)), algorithm="winograd", **given).owner
    assert np.abs(y - reference.conv2d(x, w, *extra, **given)).max() < 2e-5 * np.abs(z).max()


def test_tiles_in_turns_are_the_tiles_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = (host(RNG.normal(size=size).astype(np.float32)) for size in ((1, 17, 30, 1), (3, 3, 1, 1)))
    once = conv.conv2d(x, w, algorithm="winograd", **options()).owner
    monkeypatch.setattr(conv_winograd, "SCRATCH", 1)
    conv.plan.cache_clear()
    turns = conv.conv2d(x, w, algorithm="winograd", **options()).owner
    conv.plan.cache_clear()
    assert np.array_equal(once, turns)


def layer(n: int, size: int, channels: int, filters: int) -> Conv:
    strides = [(size * size * c, size * c, c, 1) for c in (channels, filters)]
    return Conv(
        n, size, size, channels, filters, 3, 3, size, size, (1, 1), ((1, 1), (1, 1)), (1, 1), 1, "float32", "default",
        strides[0], (3 * channels * filters, channels * filters, filters, 1), strides[1],
    )  # fmt: skip


def test_auto_takes_it_where_it_pays() -> None:
    taken = [
        choose(conv.ROWS, layer(*size), None).name == "winograd"
        for size in ((32, 56, 64, 64), (32, 28, 128, 128), (8, 14, 256, 256), (1, 7, 512, 512), (32, 224, 3, 64))
    ]
    assert taken == [True, True, True, False, False]
