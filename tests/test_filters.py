"""The named filters."""

import numpy as np
import pytest

import cnnfast
from cnnfast import datasets, filters


def test_edges_sum_to_nothing_and_the_others_to_one() -> None:
    for name, matrix in filters.FILTERS.items():
        edge = name == "laplacian" or name.split("_")[0] in ("vertical", "horizontal", "sobel", "scharr")
        assert matrix.shape == (3, 3)
        assert matrix.sum() == pytest.approx(0 if edge else 1)
        assert not matrix.flags.writeable


def test_the_lectures_edge() -> None:
    """A picture that is bright on the left and dark on the right: 30 where the edge is, 0 elsewhere."""
    picture = np.repeat(np.array([[10, 10, 10, 0, 0, 0]], np.float32), 6, axis=0).reshape(1, 6, 6, 1)
    edge = cnnfast.conv2d(picture, filters.bank(["vertical_edge"]))
    assert edge[0, ..., 0].tolist() == [[0, 30, 30, 0]] * 4
    assert not cnnfast.conv2d(picture, filters.bank(["horizontal_edge"])).any()


def test_weights() -> None:
    assert filters.bank(["sobel_x", "box"]).shape == (3, 3, 1, 2)
    assert filters.per_channel("box", 3, np.float64).dtype == np.float64
    np.testing.assert_array_equal(filters.bank(["sobel_x", "box"])[:, :, 0, 0], filters.FILTERS["sobel_x"])
    mine = filters.named("sharpen")
    mine[0, 0] = 7
    assert filters.FILTERS["sharpen"][0, 0] == 0


def test_a_blur_of_an_even_picture_changes_nothing() -> None:
    even = np.full((1, 8, 8, 3), 200, np.float32)
    for name in ("box", "gaussian", "weighted_box", "sharpen", "intense_sharpen"):
        weight = filters.per_channel(name, 3)
        same = cnnfast.conv2d(even, weight, groups=3, padding="same", padding_mode="replicate")
        np.testing.assert_allclose(same, even, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: filters.named("prewitt"), "name must be one of .* got 'prewitt'"),
        (lambda: filters.bank([]), "at least one filter"),
        (lambda: filters.per_channel("box", 0), "channels must be >= 1, got 0"),
    ],
)
def test_errors(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


def test_the_photograph() -> None:
    pytest.importorskip("PIL")
    picture = datasets.photograph()
    assert picture.shape == (320, 480, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 30


def test_the_photograph_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install"):
        datasets.photograph()
