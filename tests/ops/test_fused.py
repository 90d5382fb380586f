"""Fused plans: the bits of the steps, however rows are cut into bands; values against the oracle and torch."""

from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference

ROWS = ("bands", "in_turn")
Array = np.ndarray


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture(autouse=True)
def _threads() -> Any:
    before = native.get_num_threads()
    yield
    native.set_num_threads(before)


def block(rng: np.random.Generator, C: int, wide: int, K: int, R: int = 3) -> dict[str, Array]:
    shapes = {"expand_weight": (1, 1, C, wide), "expand_bias": (wide,), "depthwise_weight": (R, R, wide, 1),
              "depthwise_bias": (wide,), "project_weight": (1, 1, wide, K), "bias": (K,)}  # fmt: skip
    return {name: rng.standard_normal(shape).astype(np.float32) / shape[-2 if len(shape) == 4 else 0]
            for name, shape in shapes.items()}  # fmt: skip


def in_steps(x: Array, w: dict[str, Array], residual: Array | None = None, **depthwise: Any) -> Array:
    y = cnnfast.conv2d(x, w["expand_weight"], w["expand_bias"], activation="relu6")
    y = cnnfast.depthwise_conv2d(y, w["depthwise_weight"], w["depthwise_bias"], activation="relu6", **depthwise)
    return cnnfast.conv2d(y, w["project_weight"], w["bias"], residual=residual)


# A row of the wide image takes some 100 KB, so that a band is a few rows.
@pytest.mark.parametrize(
    "depthwise",
    [
        {"padding": 1}, {"padding": "same", "stride": 2}, {"padding": "valid"}, {"padding": 2, "dilation": 2},
        {"padding": ((3, 1), (0, 2)), "padding_mode": "reflect"}, {"padding": 2, "padding_mode": "replicate"},
        {"padding": 1, "padding_mode": "circular"}, {"padding": 5},
    ],
)  # fmt: skip
def test_an_inverted_residual_is_its_steps(rng: np.random.Generator, depthwise: dict[str, Any]) -> None:
    x, w = rng.standard_normal((2, 17, 190, 6)).astype(np.float32), block(rng, 6, 130, 5)
    right = in_steps(x, w, **depthwise)
    for row in ROWS:
        plan = cnnfast.plan_inverted_residual2d(x.shape, **w, **depthwise, algorithm=row)
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            assert np.array_equal(plan(x), right), (row, threads)
            assert np.array_equal(plan(x[1:]), right[1:]), (row, threads)


def test_the_residual_is_added(rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((1, 30, 160, 8)).astype(np.float32), block(rng, 8, 96, 8)
    right = in_steps(x, w, residual=x, padding=1)
    nchw = {name: np.ascontiguousarray(each.transpose(*((2, 3, 0, 1) if "depth" in name else (3, 2, 0, 1))))
            if each.ndim == 4 else each for name, each in w.items()}  # fmt: skip
    turned = np.ascontiguousarray(np.moveaxis(x, 3, 1))
    for row in ROWS:
        assert np.array_equal(cnnfast.inverted_residual2d(x, **w, residual=x, padding=1, algorithm=row), right)
        y = cnnfast.inverted_residual2d(turned, **nchw, residual=turned, padding=1, algorithm=row, layout="NCHW")
        assert np.array_equal(np.moveaxis(y, 1, 3), right)


@pytest.mark.parametrize("precision", ["strict", "default", "fast"])  # Winograd's tiles are strips of several rows
@pytest.mark.parametrize("pool", [(2, None, 0), (3, 2, 1), (3, 1, 1), ((3, 2), (1, 2), ((1, 0), (0, 1))), (2, 3, 0)])
def test_a_convolution_and_its_pool_are_the_two(rng: np.random.Generator, precision: str, pool: Any) -> None:
    x = rng.standard_normal((1, 37, 150, 20)).astype(np.float32)
    weight, bias = rng.standard_normal((3, 3, 20, 64)).astype(np.float32), rng.standard_normal(64).astype(np.float32)
    size, stride, padding = pool
    settings: dict[str, Any] = {"padding": 1, "activation": "relu", "precision": precision}
    y = cnnfast.plan_conv2d(x.shape, weight, bias, **settings)(x)
    right = cnnfast.max_pool2d(y, size, stride, padding=padding)
    for row in ROWS:
        plan = cnnfast.plan_conv2d_max_pool2d(
            x.shape, weight, bias, **settings, pool_size=size, pool_stride=stride, pool_padding=padding, algorithm=row
        )
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            assert np.array_equal(plan(x), right), (row, threads)


def test_convolutions_of_any_kind(rng: np.random.Generator) -> None:
    """The backend's chain is not of two patterns alone: Winograd reads Winograd, and each band keeps rows of both."""

    def stage(shape: Any, K: int, R: int = 3, S: int = 3, **settings: Any) -> Any:
        weight = rng.standard_normal((R, S, shape[3], K)).astype(np.float32)
        padding = (R // 2, R // 2, S // 2, S // 2)
        return native.plan_conv2d(shape, weight, None, dtype="float32", padding=padding, **settings)

    first = stage((1, 61, 200, 3), 32, algorithm="direct")
    second = stage(first.output_shape(1), 40, algorithm="winograd_f43")
    third = stage(second.output_shape(1), 24, algorithm="winograd_f23", activation="relu")
    fourth = stage(third.output_shape(1), 24, algorithm="winograd_f33s2", stride=(2, 2))
    fifth = stage(fourth.output_shape(1), 33, 7, 1, algorithm="winograd_f47")
    sixth = stage(fifth.output_shape(1), 20, algorithm="winograd_f23s2", stride=(2, 2))
    stages = first, second, third, fourth, fifth, sixth
    x = rng.standard_normal((1, 61, 200, 3)).astype(np.float32)
    values = [x]
    for plan in stages:
        values.append(np.empty(plan.output_shape(1), np.float32))
        assert plan.run(values[-2], None, values[-1])
    for row in ROWS:
        fused = native.plan_fused(x.shape, *stages, dtype="float32", algorithm=row)
        for threads in (1, 3):
            native.set_num_threads(threads)
            y = np.full_like(values[-1], np.nan)
            assert fused.run(x, None, y)
            assert np.array_equal(y, values[-1]), (row, threads)


@pytest.mark.parametrize("row", ROWS)
def test_values_are_the_oracles(rng: np.random.Generator, row: str) -> None:
    x, w = rng.standard_normal((1, 12, 11, 4)), {k: v.astype(np.float64) for k, v in block(rng, 4, 10, 4, R=5).items()}
    y = cnnfast.inverted_residual2d(x, **w, residual=x, algorithm=row)
    relu6 = ("relu6", 0.0)
    right = reference.inverted_residual2d(
        x, **w, residual=x, padding=((2, 2), (2, 2)), expand_activation=relu6, depthwise_activation=relu6
    )
    assert np.allclose(y, right, rtol=1e-12, atol=1e-12)
    weight = rng.standard_normal((7, 7, 4, 6))
    y = cnnfast.conv2d_max_pool2d(x, weight, stride=2, padding=3, pool_size=3, pool_stride=2, pool_padding=1,
                                  activation="relu", algorithm=row)  # fmt: skip
    right = reference.conv2d_max_pool2d(
        x, weight, stride=(2, 2), padding=((3, 3), (3, 3)), activation=("relu", 0.0), pool_size=(3, 3),
        pool_stride=(2, 2), pool_padding=((1, 1), (1, 1)),
    )  # fmt: skip
    assert np.allclose(y, right, rtol=1e-12, atol=1e-12)


def test_values_are_torchs(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    x, w = rng.standard_normal((2, 15, 14, 8)).astype(np.float32), block(rng, 8, 48, 8)
    t = {name: torch.from_numpy(each.transpose(2, 3, 0, 1) if "depth" in name else each.transpose(3, 2, 0, 1))
         if each.ndim == 4 else torch.from_numpy(each) for name, each in w.items()}  # fmt: skip
    given = torch.from_numpy(x.transpose(0, 3, 1, 2))
    y = F.relu6(F.conv2d(given, t["expand_weight"], t["expand_bias"]))
    y = F.relu6(F.conv2d(y, t["depthwise_weight"], t["depthwise_bias"], padding=1, groups=48))
    y = F.conv2d(y, t["project_weight"], t["bias"]) + given
    right = y.numpy().transpose(0, 2, 3, 1)
    assert np.allclose(cnnfast.inverted_residual2d(x, **w, residual=x, padding=1), right, atol=1e-5)
    stem = rng.standard_normal((7, 7, 8, 16)).astype(np.float32)
    y = F.relu(F.conv2d(given, torch.from_numpy(stem.transpose(3, 2, 0, 1)), stride=2, padding=3))
    right = F.max_pool2d(y, 3, 2, 1).numpy().transpose(0, 2, 3, 1)
    y = cnnfast.conv2d_max_pool2d(
        x, stem, stride=2, padding=3, activation="relu", pool_size=3, pool_stride=2, pool_padding=1
    )
    assert np.allclose(y, right, atol=1e-4)


def test_no_bands_where_a_kernel_has_no_rows(rng: np.random.Generator) -> None:
    """Fourier transforms and dilated Winograd tiles go by other units: in_turn is left, and named bands is refused."""
    x, weight = rng.standard_normal((1, 64, 64, 8)).astype(np.float32), np.ones((3, 3, 8, 8), np.float32)
    dilated = native.plan_conv2d(x.shape, weight, None, dtype="float32", dilation=(2, 2), algorithm="winograd_f43")
    pool = native.plan_pool2d(dilated.output_shape(1), dtype="float32", kernel_size=(2, 2), stride=(2, 2))
    assert native.plan_fused(x.shape, dilated, pool, dtype="float32").info()["algorithm"] == "in_turn"
    with pytest.raises(ValueError, match="not supported"):
        native.plan_fused(x.shape, dilated, pool, dtype="float32", algorithm="bands")
    adaptive = native.plan_pool2d(x.shape, dtype="float32", output_size=(5, 5))
    next_one = native.plan_conv2d((1, 5, 5, 8), weight, None, dtype="float32")
    assert native.plan_fused(x.shape, adaptive, next_one, dtype="float32").info()["algorithm"] == "in_turn"


def test_the_choice_is_the_problems(rng: np.random.Generator) -> None:
    """Wide images go by bands; maps of a few rows, which threads would share unevenly, do not."""
    chosen = {
        size: cnnfast.plan_inverted_residual2d((1, size, size, C), **block(rng, C, 6 * C, C)).explain()
        for size, C in ((56, 24), (7, 160))
    }
    assert chosen[56].algorithm == "bands"
    assert chosen[7].algorithm == "in_turn"
    assert chosen[56].op == "inverted_residual2d"
    assert chosen[56].flops == 2 * 56 * 56 * (24 * 144 + 9 * 144 + 144 * 24)


def test_a_pool_adds_no_residual() -> None:
    x = np.ones((1, 8, 8, 2), np.float32)
    plan = cnnfast.plan_conv2d_max_pool2d(x.shape, np.ones((1, 1, 2, 2), np.float32))
    with pytest.raises(ValueError, match="residual must be None for conv2d_max_pool2d"):
        plan(x, np.ones(plan.output_shape(), np.float32))
