"""The photograph goes through the filters, and what comes out is exact and has been written."""

from pathlib import Path

import numpy as np
import pytest

from cnnfast import filters
from cnnfast.bench import photograph

Image = pytest.importorskip("PIL.Image")


def test_the_pictures_are_written_and_right(tmp_path: Path) -> None:
    outcome = photograph.run(tmp_path / "pictures")
    assert outcome.note == ""
    assert outcome.bound_share is not None
    assert outcome.bound_share <= 1
    assert {"photograph", *photograph.EDGES, *photograph.COLOURS, "sobel_magnitude"} <= set(outcome.files)
    for name, path in outcome.files.items():
        with Image.open(path) as picture:
            assert picture.size == (480, 320)
            assert picture.mode == ("RGB" if name in ("photograph", *photograph.COLOURS) else "L")
            assert np.asarray(picture).std() > 1


def test_whole_number_filters_of_8_bit_pixels_are_exact() -> None:
    random = np.random.default_rng(1)
    grey = random.integers(0, 256, (1, 12, 15, 1)).astype(np.float32)
    colour = random.integers(0, 256, (1, 12, 15, 3)).astype(np.float32)
    results = photograph.filtered(grey, colour)
    sides = {"padding": ((1, 1), (1, 1)), "padding_mode": "replicate"}
    for name in ("edges", "sharpen", "intense_sharpen", "gaussian"):
        x = grey if name == "edges" else colour
        expected = photograph.reference.conv2d(x, **photograph.arguments(name), **sides)
        np.testing.assert_array_equal(results[name], expected)


def test_a_step_is_white_whatever_the_filter() -> None:
    step = np.zeros((1, 6, 6, 1), np.float32)
    step[:, :, 3:] = 64
    for name in ("vertical_edge", "sobel_x", "scharr_x"):
        edge = photograph.reference.conv2d(step, filters.bank([name]))
        assert np.abs(edge).max() * photograph.brightness(name) == pytest.approx(256)


def test_without_pillow_there_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    outcome = photograph.run(tmp_path)
    assert 'pip install "cnnfast[cli]"' in outcome.note
    assert outcome.files == {}
