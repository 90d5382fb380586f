"""Gradients of upsample2d, pad2d and concatenate: against finite differences, and against torch's."""

import doctest
from functools import partial
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import grad
from cnnfast.backends import reference
from cnnfast.backends.reference import grad as oracle
from cnnfast.ops.grad import resize

MODES = [("nearest", False), ("bilinear", False), ("bilinear", True)]


def images(rng: np.random.Generator, layout: str) -> np.ndarray:
    return rng.standard_normal((2, 4, 5, 3) if layout == "NHWC" else (2, 3, 4, 5))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("scale", [(1, 1), (2, 2), (3, 1), (1, 4), (2, 3)])
@pytest.mark.parametrize(("mode", "corners"), MODES)
def test_upsample(
    rng: np.random.Generator, layout: str, scale: tuple[int, int], mode: str, corners: bool, assert_gradient: Any
) -> None:
    x = images(rng, layout)
    how: dict[str, Any] = {"scale_factor": scale, "mode": mode, "align_corners": corners, "layout": layout}
    g = rng.standard_normal(cnnfast.upsample2d(x, **how).shape)
    op = partial(reference.upsample2d, **how)
    assert_gradient(op, {"x": x}, "x", grad.upsample2d(g, x.shape, **how), g)
    assert_gradient(op, {"x": x}, "x", oracle.upsample2d(g, input_shape=x.shape, **how), g)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("C", [1, 3, 16, 19, 40])
@pytest.mark.parametrize(("mode", "corners"), MODES)
def test_upsample_tails_and_both_types(
    rng: np.random.Generator, C: int, mode: str, corners: bool, dtype: type
) -> None:
    how: dict[str, Any] = {"scale_factor": (2, 3), "mode": mode, "align_corners": corners}
    g = rng.standard_normal((2, 10, 21, C)).astype(dtype)
    found = grad.upsample2d(g, (2, 5, 7, C), **how)
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype is np.float32 else 1e-13
    expected = oracle.upsample2d(g, input_shape=(2, 5, 7, C), **how)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 2), (3, 0)), ((3, 3), (4, 4)), ((0, 3), (2, 1))])
def test_pad(rng: np.random.Generator, layout: str, mode: str, padding: Any, assert_gradient: Any) -> None:
    x = images(rng, layout)
    how: dict[str, Any] = {"padding": padding, "mode": mode, "layout": layout}
    g = rng.standard_normal(cnnfast.pad2d(x, **how).shape)
    before = g.copy()
    op = partial(reference.pad2d, **how)
    assert_gradient(op, {"x": x}, "x", grad.pad2d(g, **how), g)
    assert_gradient(op, {"x": x}, "x", oracle.pad2d(g, **how), g)
    assert np.array_equal(g, before)


@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_concatenate(rng: np.random.Generator, axis: int, assert_gradient: Any) -> None:
    parts = [rng.standard_normal(tuple(2 + i if d == axis % 4 else 3 for d in range(4))) for i in range(3)]
    g = rng.standard_normal(cnnfast.concatenate(parts, axis).shape)
    found = grad.concatenate(g, [part.shape[axis] for part in parts], axis)
    expected = oracle.concatenate(g, [part.shape[axis] for part in parts], axis=axis)
    for i, part in enumerate(parts):
        def op(x: np.ndarray, i: int = i) -> np.ndarray:
            return reference.concatenate([*parts[:i], x, *parts[i + 1 :]], axis=axis)

        assert_gradient(op, {"x": part}, "x", found[i], g)
        assert np.array_equal(found[i], expected[i])
        assert np.shares_memory(found[i], g)


def test_empty_batches_and_out(rng: np.random.Generator) -> None:
    assert grad.upsample2d(np.zeros((0, 4, 4, 3)), (0, 2, 2, 3)).shape == (0, 2, 2, 3)
    assert grad.pad2d(np.zeros((0, 4, 4, 3)), 1, "reflect").shape == (0, 2, 2, 3)
    g = rng.standard_normal((1, 4, 4, 3))
    out = np.full((1, 2, 2, 6), 7.0)[..., :3]
    assert grad.upsample2d(g, (1, 2, 2, 3), out=out) is out
    assert np.array_equal(out, grad.upsample2d(g, (1, 2, 2, 3)))
    assert np.array_equal(grad.pad2d(g, 1, out=out), g[:, 1:3, 1:3])


G = np.ones((1, 4, 4, 3))
BAD = [
    (lambda: grad.upsample2d(G, (1, 4, 4, 3)), ValueError, r"grad_output must have the output's shape \(1, 8, 8, 3\)"),
    (lambda: grad.upsample2d(G, (1, 2, 2, 3), 0), ValueError, "scale_factor must be >= 1"),
    (lambda: grad.upsample2d(G, (1, 2, 2, 3), 2, "cubic"), ValueError, "mode must be one of"),
    (lambda: grad.upsample2d(G, (1, 2, 2, 3), align_corners=True), ValueError, "align_corners must be False"),
    (lambda: grad.pad2d(G, 2), ValueError, "padding must leave a pixel"),
    (lambda: grad.pad2d(G, -1), ValueError, "padding must be >= 0"),
    (lambda: grad.pad2d(G, "same"), ValueError, "padding must be"),
    (lambda: grad.pad2d(G, ((1, 1), (1, 1)), "mirror"), ValueError, "mode must be one of"),
    (lambda: grad.pad2d(np.ones((1, 5, 5, 3)), ((2, 2), (0, 0)), "reflect"), ValueError, "padding must be <= 0"),
    (lambda: grad.concatenate(G, (1, 1)), ValueError, "sizes must be 3 together"),
    (lambda: grad.concatenate(G, ()), ValueError, "sizes must be 3 together"),
    (lambda: grad.concatenate(G, (4, -1)), ValueError, "sizes must be >= 0"),
    (lambda: grad.concatenate(G, 3), TypeError, "sizes must be a sequence"),
    (lambda: grad.concatenate(G, (3,), 4), ValueError, "axis"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=range(len(BAD)))
def test_bad_arguments_are_refused_by_name(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_torch_agrees(rng: np.random.Generator, torch: Any) -> None:
    x = rng.standard_normal((2, 3, 5, 6))
    for mode, corners in MODES:
        t = torch.tensor(x, requires_grad=True)
        align = {} if mode == "nearest" else {"align_corners": corners}
        y = torch.nn.functional.interpolate(t, scale_factor=(2, 3), mode=mode, **align)
        g = rng.standard_normal(tuple(y.shape))
        y.backward(torch.tensor(g))
        found = grad.upsample2d(g, x.shape, (2, 3), mode, align_corners=corners, layout="NCHW")
        np.testing.assert_allclose(found, t.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_examples_run() -> None:
    assert doctest.testmod(resize).failed == 0
