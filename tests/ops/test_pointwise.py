"""Activations, add, multiply, concatenate: values against the oracle and torch, kinds of arrays, ISAs, bits."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference
from cnnfast.ops import options

FLOATS = [np.float32, np.float64]
# (function, keywords, ulp it may err: csrc/simd/activation.h)
ACTIVATIONS: list[tuple[str, dict[str, Any], float]] = [
    ("relu", {}, 0), ("relu6", {}, 0), ("leaky_relu", {}, 1), ("leaky_relu", {"negative_slope": -0.3}, 1),
    ("elu", {}, 4), ("elu", {"alpha": 0.3}, 4), ("selu", {}, 4), ("sigmoid", {}, 4), ("hardsigmoid", {}, 4),
    ("tanh", {}, 4), ("gelu", {}, 4), ("gelu", {"approximate": "tanh"}, 4), ("silu", {}, 4), ("hardswish", {}, 4),
    ("mish", {}, 4), ("softplus", {}, 4), ("softplus", {"beta": 2.0, "threshold": 10.0}, 4),
]  # fmt: skip
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 20.0, 20.001, -3.0, 3.0]


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    isa, threads = native.isa(), native.get_num_threads()
    yield
    native.set_isa(isa)
    native.set_num_threads(threads)


def values(rng: np.random.Generator, dtype: Any, count: int = 30_000) -> np.ndarray:
    return np.concatenate([rng.standard_normal(count) * 3, rng.standard_normal(999) * 9, SPECIAL]).astype(dtype)


def excess(name: str, y: np.ndarray, right: np.ndarray, x: np.ndarray, ulp: float) -> np.ndarray:
    """|y - right| over what is allowed: ulp of the right value, and what tails of an approximate argument multiply.
    The float64 oracle errs as much as the kernel."""
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(right).astype(y.dtype)).astype(np.float64)
        allowed = (ulp * unit + (right == 0) * unit) * (1 if y.dtype == np.float32 else 2)
        if name == "gelu":
            z = np.abs(x.astype(np.float64))
            allowed += unit * np.where(x < 0, 4 * np.minimum(1.6 * z + 0.0714 * z**3, 1e3), 0) * (ulp > 4)
            allowed += np.where(y.dtype == np.float64, 4 * z * z * unit, 0)
        if name == "softplus":
            allowed += unit * np.where(x < 0, 2 * np.abs(x), 0)
        error = np.abs(y.astype(np.float64) - right)
        wrong = ~((error <= allowed) | (y == right.astype(y.dtype)) | (np.isnan(y) & np.isnan(right)))
        return np.where(wrong, error / unit, 0)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "keywords", "ulp"), ACTIVATIONS)
def test_values(name: str, keywords: dict[str, Any], ulp: float, dtype: Any, isa: str, rng: Any) -> None:
    native.set_isa(isa)
    x = values(rng, dtype)
    y, right = getattr(cnnfast, name)(x, **keywords), getattr(reference, name)(x, **keywords)
    assert y.dtype == dtype
    wrong = excess(name, y, right, x, 5 if keywords.get("approximate") == "tanh" else ulp)
    at = int(wrong.argmax())
    assert wrong[at] == 0, f"{x[at]!r}: {y[at]!r}, oracle {right[at]!r}, {wrong[at]} ulp"


@pytest.mark.parametrize(("name", "keywords", "ulp"), ACTIVATIONS)
def test_torch_agrees(name: str, keywords: dict[str, Any], ulp: float, torch: Any, rng: Any) -> None:
    x = values(rng, np.float64)
    x = x[np.isfinite(x)]  # torch gives NaN at -inf where the limit is 0
    functional = torch.nn.functional
    call = torch.tanh if name == "tanh" else torch.sigmoid if name == "sigmoid" else getattr(functional, name)
    theirs = call(torch.from_numpy(x), **keywords).numpy()
    np.testing.assert_allclose(getattr(cnnfast, name)(x, **keywords), theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", options.ACTIVATIONS)
def test_an_activation_is_the_same_fused(name: str, rng: Any) -> None:
    """An op's `activation` and the function give the same bits."""
    x = values(rng, np.float32).reshape(1, 1, -1, 1)
    alone = cnnfast.gelu(x, "tanh") if name == "gelu_tanh" else getattr(cnnfast, name)(x)
    fused = cnnfast.add(x, np.float32(0), activation=name)
    assert np.array_equal(alone, fused, equal_nan=True)
    convolved = cnnfast.conv2d(x, np.ones((1, 1, 1, 1), np.float32), activation=name)
    assert np.array_equal(alone, convolved, equal_nan=True)


@pytest.mark.parametrize(("name", "keywords", "ulp"), ACTIVATIONS)
def test_same_bits(name: str, keywords: dict[str, Any], ulp: float, rng: Any) -> None:
    """Whatever the ISA (with FMA), the threads, the alignment, and the tail a number falls into."""
    x = values(rng, np.float32, 300_001)
    whole = getattr(cnnfast, name)(x, **keywords)
    for threads in (1, 3):
        native.set_num_threads(threads)
        assert np.array_equal(getattr(cnnfast, name)(x, **keywords), whole, equal_nan=True)
    for offset in range(1, 20):
        part = getattr(cnnfast, name)(x[offset : offset + 77], **keywords)
        assert np.array_equal(part, whole[offset : offset + 77], equal_nan=True)
    for isa in native.isas():
        if isa != "baseline":
            native.set_isa(isa)
            assert np.array_equal(getattr(cnnfast, name)(x, **keywords), whole, equal_nan=True), isa


def test_larger_than_the_caches(rng: Any) -> None:
    """Outputs that are stored past the caches, from an address that is no vector's."""
    x = rng.standard_normal(20_000_003, dtype=np.float32)
    memory = np.zeros(x.size + 9, np.float32)
    out = memory[5 : 5 + x.size]
    cnnfast.relu(x, out=out)
    assert np.array_equal(out, np.maximum(x, 0))
    assert not memory[:5].any()
    assert not memory[-4:].any()
    assert np.array_equal(cnnfast.add(x, out), x + out)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 0, 3), (1, 2, 3, 4, 5)])
def test_any_shape(shape: tuple[int, ...], rng: Any) -> None:
    x = np.asarray(rng.standard_normal(shape))
    assert np.array_equal(cnnfast.relu(x), np.maximum(x, 0))
    assert cnnfast.relu(x).shape == shape
    assert np.array_equal(cnnfast.add(x, x), x + x)
    if shape:
        slopes = rng.random(shape[-1])
        assert np.array_equal(cnnfast.prelu(x, slopes), np.where(x < 0, x * slopes, x))


def test_any_array(rng: Any) -> None:
    base = rng.standard_normal((6, 8, 10))
    for x in (base[::2, ::-1], base.T, np.broadcast_to(base[0, 0], (3, 10)), base.tolist(), memoryview(base)):
        right = np.maximum(np.asarray(x), 0)
        assert np.array_equal(cnnfast.relu(x), right)
        out = np.full((*right.shape[:-1], 2 * right.shape[-1]), 7.0)[..., ::2]
        assert cnnfast.relu(x, out=out) is out
        assert np.array_equal(out, right)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", [None, "relu", "gelu", ("leaky_relu", 0.5)])
@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3, 5), (2, 3, 5)), ((2, 3, 37), (37,)), ((37,), (2, 1)), ((2, 1, 4), (3, 1)), ((3, 5), ()), ((2, 0), (2, 0))],
)
def test_add_and_multiply(left: Any, right: Any, activation: Any, dtype: Any, rng: Any) -> None:
    x, y = rng.standard_normal(left).astype(dtype), np.asarray(rng.standard_normal(right), dtype)
    asked = options.activation("activation", activation)
    for ours, theirs in ((cnnfast.add, x + y), (cnnfast.multiply, x * y)):
        z = ours(x, y, activation=activation)
        assert z.dtype == dtype
        np.testing.assert_allclose(z, reference.activate(theirs.astype(np.float64), asked), rtol=1e-6)
        if activation is None:
            assert np.array_equal(z, theirs)
        out = np.empty(z.shape, dtype)
        assert ours(x, y, activation=activation, out=out) is out
        assert np.array_equal(out, z)


def test_mixed_floats_are_of_the_dtype_of_x() -> None:
    assert cnnfast.add(np.ones(3, np.float32), np.ones(3)).dtype == np.float32
    assert cnnfast.multiply(np.ones(3), np.ones((), np.float32)).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.int64])
@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
def test_concatenate(axis: int, dtype: Any, rng: Any) -> None:
    parts = [rng.integers(-9, 9, (2, 3, 4)).astype(dtype) for _ in range(3)]
    right = np.concatenate(parts, axis)
    y = cnnfast.concatenate(parts, axis)
    assert y.dtype == dtype
    assert np.array_equal(y, right)
    out = np.empty_like(right)
    assert cnnfast.concatenate(tuple(parts), axis, out=out) is out
    assert np.array_equal(out, right)
