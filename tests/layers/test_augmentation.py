"""Augmentation: what each layer does to a picture, that it does so in training alone, and that a seed repeats it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import Sequential
from cnnfast.layers import (
    Layer,
    RandomContrast,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)

Make = Callable[..., Layer]
EVERY: list[Make] = [
    lambda **how: RandomFlip(**how),
    lambda **how: RandomRotation(0.2, **how),
    lambda **how: RandomZoom(0.3, 0.2, **how),
    lambda **how: RandomTranslation(0.3, 0.2, **how),
    lambda **how: RandomCrop(8, 9, **how),
    lambda **how: RandomContrast(0.5, (-9, 9), **how),
]
KEPT = [EVERY[i] for i in (0, 1, 2, 3, 5)]


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((6, 12, 14, 3)).astype(np.float32)


def trained(layer: Any, x: np.ndarray) -> np.ndarray:
    y = layer(x, training=True)
    assert isinstance(y, np.ndarray)
    return y


@pytest.mark.parametrize("make", KEPT)
def test_nothing_happens_in_inference(make: Make, x: np.ndarray) -> None:
    layer = make(seed=1)
    assert np.array_equal(layer(x), x)
    assert np.array_equal(layer(x, training=False), x)
    assert np.array_equal(layer.forward(x)[0], x)
    model = Sequential([make(input_shape=x.shape[1:])])
    assert np.array_equal(model.predict(x), x)
    assert not np.array_equal(trained(layer, x), x)


@pytest.mark.parametrize("make", EVERY)
def test_a_seed_repeats_and_each_call_and_each_image_has_its_own_draw(make: Make, x: np.ndarray) -> None:
    same = np.repeat(x[:1], 6, axis=0)
    one, two = make(seed=5), make(seed=5)
    before = same.copy()
    first = trained(one, same)
    assert first.dtype == np.float32
    assert np.array_equal(same, before)
    assert np.array_equal(first, trained(two, same))
    assert len({image.tobytes() for image in first}) > 1
    second = trained(one, same)
    assert not np.array_equal(first, second)
    assert np.array_equal(second, trained(two, same))
    assert not np.array_equal(first, trained(make(seed=6), same))


@pytest.mark.parametrize("make", EVERY)
def test_a_configuration_says_all(make: Make, x: np.ndarray) -> None:
    layer = make(seed=5)
    again = type(layer).from_config(layer.get_config())
    assert np.array_equal(trained(layer, x), trained(again, x))


def test_without_a_seed_the_global_one_counts(x: np.ndarray) -> None:
    found = []
    for _ in range(2):
        cnnfast.set_random_seed(3)
        found.append(trained(RandomRotation(0.1), x))
    assert np.array_equal(*found)


@pytest.mark.parametrize("make", EVERY)
def test_forward_and_its_way_back(make: Make, rng: np.random.Generator) -> None:
    """Given the draw all of them are linear but for contrast's cut, which is far away: <y', g> = <x', grad_input>."""
    x, g = rng.standard_normal((3, 11, 12, 2)), None
    layer = make(seed=2)
    y, backprop = layer.forward(x, training=True)
    assert y.dtype == np.float64
    g = rng.standard_normal(y.shape)
    moved = rng.standard_normal(x.shape) * 1e-3
    again, _ = make(seed=2).forward(x + moved, training=True)
    np.testing.assert_allclose(((again - y) * g).sum(), (backprop(g) * moved).sum(), rtol=1e-5)
    assert backprop(g, inputs=False) is None


@pytest.mark.parametrize("make", EVERY)
def test_integers_and_empty_batches(make: Make, rng: np.random.Generator) -> None:
    pictures = rng.integers(0, 9, (2, 12, 14, 3)).astype(np.uint8)
    assert trained(make(seed=1), pictures).dtype == np.float32
    assert trained(make(seed=1), np.zeros((0, 12, 14, 3), np.float32)).shape[0] == 0


def test_flips(x: np.ndarray) -> None:
    for mode, axes in (("horizontal", (2,)), ("vertical", (1,)), ("horizontal_and_vertical", (1, 2))):
        y = trained(RandomFlip(mode, seed=4), np.concatenate([x] * 5))
        wanted = [x]
        for axis in axes:
            wanted += [np.flip(each, axis) for each in wanted]
        seen = set()
        for i, image in enumerate(y):
            which = [k for k, each in enumerate(wanted) if np.array_equal(image, each[i % len(x)])]
            assert len(which) == 1
            seen.add(which[0])
        assert seen == set(range(len(wanted)))
    one, two = RandomFlip(seed=4), RandomFlip(seed=4)
    assert np.array_equal(trained(two, trained(one, x)), x)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill_mode", ["reflect", "wrap", "constant", "nearest"])
def test_quarter_turns(rng: np.random.Generator, fill_mode: str, interpolation: str) -> None:
    for x in (rng.standard_normal((2, 9, 9, 3)), rng.standard_normal((2, 8, 8, 1))):
        for turns in (-1, 0, 1, 2):
            layer = RandomRotation((turns / 4, turns / 4), fill_mode, interpolation)
            np.testing.assert_allclose(trained(layer, x), np.rot90(x, turns, (1, 2)), atol=1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize(
    ("fill_mode", "padded"),
    [("reflect", "symmetric"), ("wrap", "wrap"), ("nearest", "edge"), ("constant", "constant")],
)
def test_translation_by_whole_pixels(x: np.ndarray, fill_mode: str, padded: Any, interpolation: str) -> None:
    more: dict[str, Any] = {"constant_values": 7.0} if padded == "constant" else {}
    wide = np.pad(x, ((0, 0), (12, 12), (14, 14), (0, 0)), padded, **more)
    for down, right in ((0, 0), (3, 0), (0, -5), (-12, 14), (2, 7)):
        layer = RandomTranslation(
            (down / 12, down / 12), (right / 14, right / 14), fill_mode, interpolation, fill_value=7.0
        )
        expected = wide[:, 12 - down : 24 - down, 14 - right : 28 - right]
        np.testing.assert_allclose(trained(layer, x), expected, atol=2e-5)


def test_translation_by_parts_of_pixels() -> None:
    x = np.array([0.0, 4.0, 8.0, 2.0]).reshape(1, 1, 4, 1)
    layer = RandomTranslation(0, (0.0625, 0.0625), "constant")
    assert trained(layer, x).ravel().tolist() == [0.0, 3.0, 7.0, 3.5]


def test_zoom(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 6, 6, 2))
    assert np.array_equal(trained(RandomZoom(0), x), x)
    y = trained(RandomZoom((1, 1), fill_mode="constant", interpolation="nearest"), np.ones((1, 6, 6, 1)))
    assert y.sum() == 9  # half as high and wide
    y = trained(RandomZoom((1, 1), (0, 0), fill_mode="constant", interpolation="nearest"), np.ones((1, 6, 6, 1)))
    assert y.sum() == 18
    y = trained(RandomZoom((-0.5, -0.5)), np.arange(6.0).reshape(1, 1, 6, 1))  # the middle three pixels
    np.testing.assert_allclose(y.ravel(), [1.25, 1.75, 2.25, 2.75, 3.25, 3.75], rtol=1e-6)
    cnnfast.set_random_seed(1)
    y = trained(RandomZoom(0.5), np.broadcast_to(np.arange(6.0), (4, 6, 6))[..., None] + 0.0)
    assert len(np.unique(y[:, 3, 1])) == 4


@pytest.mark.parametrize("fill_mode", ["reflect", "wrap", "constant", "nearest"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_scipy_agrees(rng: np.random.Generator, fill_mode: str, interpolation: str) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="a second opinion: pip install scipy")
    x = rng.standard_normal((1, 9, 7, 1))
    angle = 0.37
    y = trained(RandomRotation((angle, angle), fill_mode, interpolation, fill_value=0.5), x)[0, :, :, 0]
    turn = 2 * np.pi * angle
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    centre = np.array([4, 3])
    expected = ndimage.affine_transform(
        x[0, :, :, 0], matrix, centre - matrix @ centre, order=1 if interpolation == "bilinear" else 0,
        mode={"wrap": "grid-wrap", "constant": "grid-constant"}.get(fill_mode, fill_mode), cval=0.5,
    )  # fmt: skip
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_crops(x: np.ndarray) -> None:
    y = trained(RandomCrop(8, 9, seed=1), x)
    for image, whole in zip(y, x, strict=True):
        assert any(np.array_equal(image, whole[i : i + 8, j : j + 9]) for i in range(5) for j in range(6))
    assert np.array_equal(trained(RandomCrop(12, 14), x), x)
    assert np.array_equal(RandomCrop(12, 14)(x), x)
    assert np.array_equal(RandomCrop(12, 10)(x), x[:, :, 2:12])
    np.testing.assert_allclose(RandomCrop(6, 7)(x), x.reshape(6, 6, 2, 7, 2, 3).mean((2, 4)), atol=1e-6)
    assert trained(RandomCrop(20, 20), x).shape == (6, 20, 20, 3)
    model = Sequential([RandomCrop(6, 7, input_shape=(12, 14, 3))])
    assert np.array_equal(model.predict(x), RandomCrop(6, 7)(x))


def test_contrast(rng: np.random.Generator) -> None:
    x = rng.uniform(50, 200, (4, 5, 6, 3))
    y = trained(RandomContrast((0.9, 0.0), seed=2), x)
    np.testing.assert_allclose(y.mean((1, 2)), x.mean((1, 2)))
    ratio = y.std((1, 2)) / x.std((1, 2))
    assert ((ratio >= 0.1) & (ratio <= 1)).all()
    np.testing.assert_allclose(ratio, ratio[:, :1].repeat(3, 1))
    assert len(np.unique(ratio[:, 0].round(9))) == 4
    y = trained(RandomContrast((0, 9), seed=2), x)
    assert y.min() == 0
    assert y.max() == 255


BAD = [
    (lambda: RandomFlip("sideways"), ValueError, "mode must be one of"),
    (lambda: RandomFlip(seed=-1), ValueError, "seed must be >= 0"),
    (lambda: RandomFlip(data_format="channels_first"), ValueError, "data_format must be"),
    (lambda: RandomRotation("0.1"), TypeError, "factor must be a number"),
    (lambda: RandomRotation(-0.1), ValueError, "factor must be >= 0, or"),
    (lambda: RandomRotation((0.2, 0.1)), ValueError, "factor must be lower <= upper"),
    (lambda: RandomRotation((0.2, 0.1, 0.3)), ValueError, "factor must be a number or"),
    (lambda: RandomRotation(float("nan")), ValueError, "factor must be finite"),
    (lambda: RandomRotation(0.1, "mirror"), ValueError, "fill_mode must be one of"),
    (lambda: RandomRotation(0.1, interpolation="cubic"), ValueError, "interpolation must be one of"),
    (lambda: RandomRotation(0.1, fill_value="0"), TypeError, "fill_value must be a number"),
    (lambda: RandomZoom((-1.5, 0)), ValueError, "height_factor must be lower <= upper from -1"),
    (lambda: RandomTranslation(0.1, 1.5), ValueError, "width_factor must be lower <= upper from -1 to 1"),
    (lambda: RandomCrop(0, 3), ValueError, "height must be >= 1"),
    (lambda: RandomCrop(3, 2.5), TypeError, "width must be an integer"),
    (lambda: RandomContrast(1.5), ValueError, "factor must be from 0 to 1"),
    (lambda: RandomContrast((0.5, -0.1)), ValueError, "factor must be from 0 to 1"),
    (lambda: RandomContrast(0.5, (3, 1)), ValueError, "value_range must be lower <= upper"),
    (lambda: RandomFlip()(np.zeros((3, 4, 5))), ValueError, "must have 4 dimensions"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=range(len(BAD)))
def test_bad_arguments_are_refused_by_name(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
