"""Outputs beyond the last level of cache are stored past it, and what comes from memory is asked for ahead of time: the
same bits as of a part, for any number of threads."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import plan_conv2d, plan_conv_transpose2d

# plan, weight, settings, (rows, columns, channels) of x, its rows for 32 rows of y, rows of x that y moves by a row
CASES = {
    "winograd_stem": (plan_conv2d, (3, 3, 1, 64), {"algorithm": "winograd_stem"}, (1030, 600, 1), 34, 1),
    "direct 3x3": (plan_conv2d, (3, 3, 3, 64), {"algorithm": "direct"}, (530, 900, 3), 34, 1),
    "direct 1x1": (plan_conv2d, (1, 1, 8, 96), {"algorithm": "direct"}, (512, 600, 8), 32, 1),
    "winograd_f43": (plan_conv2d, (3, 3, 8, 64), {"algorithm": "winograd_f43"}, (514, 600, 8), 34, 1),
    "winograd_grouped": (plan_conv2d, (3, 3, 4, 64), {"groups": 16, "algorithm": "winograd_grouped"},
                         (514, 600, 64), 34, 1),
    "depthwise": (plan_conv2d, (3, 3, 1, 64), {"algorithm": "depthwise", "groups": 64}, (514, 600, 64), 34, 1),
    "phases": (plan_conv_transpose2d, (2, 2, 64, 8), {"algorithm": "phases", "stride": 2}, (256, 600, 8), 16, 0.5),
}


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("case", CASES)
def test_bits_of_a_part(
    case: str, activation: str | None, rng: np.random.Generator, threads: Callable[[int], None]
) -> None:
    make, weight, settings, size, part, per_row = CASES[case]
    settings = settings | {"activation": activation}
    x, w = rng.standard_normal((1, *size), dtype=np.float32), rng.standard_normal(weight, dtype=np.float32)
    bias = rng.standard_normal(weight[2] if make is plan_conv_transpose2d else weight[3], dtype=np.float32)
    plan: Any = make(x.shape, w, bias, **settings)
    whole = plan(x)
    for top in (0, 100, 192):
        from_row = int(top * per_row)
        rows = x[:, from_row : from_row + part]
        assert np.array_equal(make(rows.shape, w, bias, **settings)(rows), whole[:, top : top + 32])
    for count in (1, 3, 16):
        threads(count)
        assert np.array_equal(plan(x), whole)


def at_offset(shape: tuple[int, ...], offset: int) -> tuple[np.ndarray, np.ndarray]:
    """An array `offset` bytes past a cache line, and all of the memory it lies in, of NaN."""
    size = int(np.prod(shape))
    memory = np.full(size + 48, np.nan, np.float32)
    start = -memory.ctypes.data % 64 // 4 + 16 + offset // 4
    return memory[start : start + size].reshape(shape), memory


# Past the caches by way of L2, in strips: images whose rows are no whole strips, odd channels, long activations.
BY_LANDING: dict[str, tuple[Any, tuple[int, ...], dict[str, Any], tuple[int, int, int]]] = {
    "winograd_stem": (plan_conv2d, (3, 3, 1, 64), {"padding": 1}, (171, 300, 1)),
    "winograd_f43": (plan_conv2d, (3, 3, 8, 64), {"padding": 1}, (170, 300, 8)),
    "winograd_grouped": (plan_conv2d, (3, 3, 4, 64), {"groups": 16, "padding": 1}, (170, 300, 64)),
    "direct": (plan_conv2d, (3, 3, 3, 72), {"padding": 1}, (170, 300, 3)),
    "im2col": (plan_conv2d, (3, 3, 3, 64), {"padding": 1, "activation": "gelu"}, (170, 300, 3)),
    "grouped": (plan_conv2d, (3, 3, 4, 64), {"groups": 16, "padding": 1}, (170, 300, 64)),
    "phases": (plan_conv_transpose2d, (2, 2, 64, 8), {"stride": 2}, (86, 150, 8)),
}


@pytest.mark.parametrize("case", BY_LANDING)
def test_any_address(case: str, rng: np.random.Generator, threads: Callable[[int], None]) -> None:
    make, weight, settings, size = BY_LANDING[case]
    x, w = rng.standard_normal((3, *size), dtype=np.float32), rng.standard_normal(weight, dtype=np.float32)
    plan: Any = make(x.shape, w, algorithm=case, **settings)
    alone: Any = make((1, *size), w, algorithm=case, **settings)
    images = np.concatenate([alone(image[None]) for image in x])  # each fits the cache
    assert images.nbytes > 32 << 20
    for offset, count in ((0, 2), (4, 3), (16, 1), (32, 16)):
        threads(count)
        y, memory = at_offset(images.shape, offset)
        plan(x, out=y)
        assert np.array_equal(y, images)
        assert np.count_nonzero(np.isnan(memory)) == memory.size - y.size
    y, _ = at_offset(images.shape, 16)
    residual = rng.standard_normal(y.shape, dtype=np.float32)
    plan(x, residual=residual, out=y)
    for n, image in enumerate(x):
        assert np.array_equal(y[n : n + 1], alone(image[None], residual=residual[n : n + 1]))


def test_without_room_for_a_landing(rng: np.random.Generator) -> None:
    x, weight = (
        rng.standard_normal((1, 512, 600, 8), dtype=np.float32),
        rng.standard_normal((1, 1, 8, 64), dtype=np.float32),
    )
    right = plan_conv2d(x.shape, weight)(x)
    y, _ = at_offset(right.shape, 16)
    plan_conv2d(x.shape, weight, algorithm="direct", max_workspace=64 << 10)(x, out=y)
    assert np.array_equal(y, right)


def test_an_address_between_vectors(rng: np.random.Generator) -> None:
    x, weight = (
        rng.standard_normal((1, 512, 600, 8), dtype=np.float32),
        rng.standard_normal((1, 1, 8, 64), dtype=np.float32),
    )
    plan = plan_conv2d(x.shape, weight)
    right = plan(x)
    memory = np.empty(right.size + 1, np.float32)
    y = memory[1:].reshape(right.shape)
    plan(x, out=y)
    assert np.array_equal(y, right)


# Batches that come from memory where the last level of cache is 32 MB, while one image does not.
FROM_MEMORY: dict[str, tuple[Any, tuple[int, ...], tuple[tuple[int, ...], ...], dict[str, Any]]] = {
    "depthwise": (cnnfast.depthwise_conv2d, (6, 112, 112, 40), ((3, 3, 40, 1),), {"padding": 1}),
    "depthwise stride 2": (cnnfast.depthwise_conv2d, (10, 112, 112, 40), ((3, 3, 40, 1),), {"padding": 1, "stride": 2}),
    "depthwise of wide pixels": (cnnfast.depthwise_conv2d, (6, 56, 56, 264), ((3, 3, 264, 1),), {"padding": 1}),
    "depthwise 5x5": (cnnfast.depthwise_conv2d, (6, 112, 112, 40), ((5, 5, 40, 1),), {"padding": 2}),
    "1x1": (cnnfast.conv2d, (12, 56, 56, 24), ((1, 1, 24, 104),), {"algorithm": "direct"}),
    "im2col": (cnnfast.conv2d, (6, 112, 112, 3), ((3, 3, 3, 72),), {"padding": 1, "algorithm": "im2col"}),
    "winograd_f43": (cnnfast.conv2d, (12, 56, 57, 64), ((3, 3, 64, 64),), {"padding": 1, "algorithm": "winograd_f43"}),
    "dilated": (
        cnnfast.conv2d, (12, 56, 57, 64), ((3, 3, 64, 64),), {"padding": 2, "dilation": 2, "algorithm": "winograd_f43"},
    ),
    "groups": (
        cnnfast.conv2d, (12, 55, 57, 72), ((3, 3, 4, 72),),
        {"groups": 18, "padding": 1, "algorithm": "winograd_grouped"},
    ),
    "transposed": (cnnfast.conv_transpose2d, (12, 28, 28, 16), ((2, 2, 136, 16),), {"stride": 2}),
    "depthwise and 1x1": (
        cnnfast.separable_conv2d, (8, 112, 112, 24), ((3, 3, 24, 1), (1, 1, 24, 40)), {"padding": 1},
    ),
    "max pool": (cnnfast.max_pool2d, (9, 112, 112, 40), (), {"kernel_size": 2}),
    "average pool": (cnnfast.avg_pool2d, (9, 112, 112, 40), (), {"kernel_size": 3, "stride": 1}),
}  # fmt: skip


@pytest.mark.parametrize("case", FROM_MEMORY)
def test_from_memory(case: str, rng: np.random.Generator, threads: Callable[[int], None]) -> None:
    op, size, weights, settings = FROM_MEMORY[case]
    x, given = rng.standard_normal(size, dtype=np.float32), [rng.standard_normal(w, dtype=np.float32) for w in weights]
    images = np.concatenate([op(image[None], *given, **settings) for image in x])
    assert x.nbytes + images.nbytes > 16 << 20
    for count in (1, 2, 5):
        threads(count)
        assert np.array_equal(op(x, *given, **settings), images)


def test_a_residual_from_memory(rng: np.random.Generator) -> None:
    x, weight, residual = (
        rng.standard_normal(s, dtype=np.float32) for s in ((12, 56, 56, 24), (1, 1, 24, 104), (12, 56, 56, 104))
    )
    run = partial(cnnfast.conv2d, algorithm="direct")
    images = [run(a[None], weight, residual=b[None]) for a, b in zip(x, residual, strict=True)]
    assert np.array_equal(run(x, weight, residual=residual), np.concatenate(images))


@pytest.mark.parametrize("channels", [40, 64])  # 64: past the caches, too
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_gradients_from_memory(
    stride: int, channels: int, rng: np.random.Generator, threads: Callable[[int], None]
) -> None:
    q, how = 112 // stride, {"stride": stride, "padding": 1}
    x, weight, grad_output = (
        rng.standard_normal(s, dtype=np.float32)
        for s in ((12, 112, 112, channels), (3, 3, channels, 1), (12, q, q, channels))
    )
    run: Any = partial(cnnfast.grad.depthwise_conv2d_input, **how)
    images = [run(g[None], weight, (1, *x.shape[1:])) for g in grad_output]
    for count in (1, 2, 5):
        threads(count)
        assert np.array_equal(run(grad_output, weight, x.shape), np.concatenate(images))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    got = cnnfast.grad.depthwise_conv2d_weight(grad_output, x, 3, stride=stride, padding=1)
    for r in range(3):
        for s in range(3):
            met = padded[:, r : r + 112 : stride, s : s + 112 : stride]
            right = np.einsum("nhwc,nhwc->c", met, grad_output, dtype=np.float64)
            assert np.allclose(got[r, s, :, 0], right, rtol=0, atol=0.01)
