"""`cnnfast run lenet5`: the weights that come with the package, and pictures of digits."""

from pathlib import Path

import numpy as np
import pytest

from cnnfast import cli
from cnnfast.cli import digits as prepared
from cnnfast.datasets import digits
from cnnfast.models import LeNet5

Image = pytest.importorskip("PIL.Image", reason='pip install "cnnfast[cli]"')


def held_out() -> tuple[np.ndarray, np.ndarray]:
    """What the weights were not trained on: see examples/train_lenet5.py."""
    pytest.importorskip("sklearn", reason='pip install "cnnfast[datasets]"')
    return digits.load_data(seed=0)[1]


def test_the_accuracy_that_is_told() -> None:
    x, y = held_out()
    assert (LeNet5(weights="digits").predict(digits.as_pictures(x)).argmax(axis=1) == y).sum() == 356


@pytest.mark.parametrize("dark_on_light", [True, False])
def test_pictures_of_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str], dark_on_light: bool) -> None:
    x, y = held_out()
    right = 0
    for i in range(20):
        grey = np.kron(x[i], np.ones((12, 12))) * (255 / 16)
        grey = np.pad(grey, 20)
        Image.fromarray(np.uint8(255 - grey if dark_on_light else grey)).save(tmp_path / "digit.png")
        assert cli.main(["run", "lenet5", "--input", str(tmp_path / "digit.png")]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        right += next(int(row[0]) for row in rows if len(row) == 2 and row[0].isdecimal()) == y[i]
    assert right >= 16  # strokes are cut out anew, so not all are as they were


def test_a_digit_is_cut_out_and_centred(tmp_path: Path) -> None:
    grey = np.zeros((50, 40), np.uint8)
    grey[10:42, 8:16] = 255  # a stroke of 32 x 8 pixels: 8 x 2 squares
    Image.fromarray(grey).save(tmp_path / "one.png")
    wanted = np.zeros((8, 8))
    wanted[:, 3:5] = 16
    np.testing.assert_allclose(prepared.digit(tmp_path / "one.png"), wanted, atol=1e-9)


@pytest.mark.parametrize("form", ["16 bits", "transparent", "palette"])
def test_forms_of_pictures(tmp_path: Path, form: str) -> None:
    ink = np.zeros((50, 40), np.uint8)
    ink[10:42, 8:16] = 255
    if form == "16 bits":  # faint grey beside the stroke: of 16 bits' range, not beyond white
        image = Image.fromarray(np.where(ink, 60000, 4096).astype(np.uint16))
    elif form == "transparent":  # black ink on nothing
        image = Image.fromarray(np.dstack([np.zeros((50, 40, 3), np.uint8), ink]))
    else:
        image = Image.fromarray(255 - ink).convert("P")
        image.info["transparency"] = 255
    image.save(tmp_path / "one.png")
    wanted = np.zeros((8, 8))
    wanted[:, 3:5] = 16
    np.testing.assert_allclose(prepared.digit(tmp_path / "one.png"), wanted, atol=1e-9)


def test_what_is_no_digit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "black.png")
    for words, wanted in (
        (["--input", str(tmp_path / "black.png")], "must hold a digit"), ([], "needs pictures"),
        (["--profile"], "--input and --threads alone"),
    ):  # fmt: skip
        assert cli.main(["run", "lenet5", *words]) != 0
        assert wanted in capsys.readouterr().err


def test_names_of_weights() -> None:
    with pytest.raises(ValueError, match="weights must be"):
        LeNet5(weights="imagenet")
    with pytest.raises(ValueError, match="classes must be 10"):
        LeNet5(classes=5, weights="digits")
