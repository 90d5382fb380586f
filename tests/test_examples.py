"""The programs of examples/ run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
LEARNED = "history.png", "confusion.png", "learned_filters.png", "digit_maps.png"


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-P", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lenet5() -> None:
    pytest.importorskip("sklearn", reason='pip install "cnnfast[datasets]"')
    assert "Total params: 61,706" in run(str(EXAMPLES / "lenet5.py"))


def needs(*extras: str) -> None:
    modules = {"datasets": "sklearn", "plot": "matplotlib", "cli": "PIL"}
    for extra in extras:
        pytest.importorskip(modules[extra], reason=f'pip install "cnnfast[{extra}]"')


def test_lenet5_learns(tmp_path: Path) -> None:
    needs("datasets", "plot")
    words = "--splits", "1", "--epochs", "6", "--save", str(tmp_path / "w.npz"), "--pictures", str(tmp_path)
    said = run(str(EXAMPLES / "train_lenet5.py"), *words)
    assert float(said.split()[-1].rstrip("%")) > 95  # of six epochs; docs/learning.md has what sixty give
    assert {path.name for path in tmp_path.iterdir()} == {"w.npz", *LEARNED}


def test_what_is_learned_is_transferred() -> None:
    needs("datasets")
    first, second = run(str(EXAMPLES / "transfer_learning.py")).splitlines()
    assert float(first.split()[-1].rstrip("%")) > 97
    head, tuned = (float(word.rstrip("%")) for word in second.split() if word.endswith("%"))
    assert 60 < head < tuned  # guessing is right in 20%


@pytest.mark.parametrize(
    ("program", "picture"),
    [("augmentation", "augmentation.jpg"), ("edge_detection", "edges.png"), ("style_transfer", "style_transfer.jpg")],
)
def test_pictures_are_made(program: str, picture: str, tmp_path: Path) -> None:
    needs("datasets", "cli")
    run(str(EXAMPLES / f"{program}.py"), str(tmp_path))  # each has assertions of its own
    assert [path.name for path in tmp_path.iterdir()] == [picture]


def test_a_sliding_window_equals_its_crops() -> None:
    said = run(str(EXAMPLES / "sliding_window.py"))
    assert [line.split(":")[0] for line in said.splitlines()] == [
        "14x14x3 -> 1x1x4", "16x16x3 -> 2x2x4", "28x28x3 -> 8x8x4",
    ]  # fmt: skip


def test_the_page_of_learning_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("datasets")
    monkeypatch.chdir(tmp_path)
    page = (EXAMPLES.parent / "docs" / "learning.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(program, "docs/learning.md", "exec"), {})


def test_the_page_of_learning_shows_every_picture() -> None:
    page = (EXAMPLES.parent / "docs" / "learning.md").read_text()
    shown = {path.name for path in (EXAMPLES.parent / "docs" / "learning").iterdir()}
    assert shown == {*LEARNED, "augmentation.jpg", "edges.png", "style_transfer.jpg"}
    assert all(f"(learning/{name})" in page for name in shown)


def test_the_gallery_is_made_of_these(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='pip install "cnnfast[plot]"')
    pytest.importorskip("PIL", reason='pip install "cnnfast[cli]"')
    run(str(EXAMPLES / "gallery.py"), str(tmp_path))
    made, page = {path.name for path in tmp_path.iterdir()}, (EXAMPLES.parent / "docs" / "gallery.md").read_text()
    assert made == {path.name for path in (EXAMPLES.parent / "docs" / "gallery").iterdir()}
    assert all(f"(gallery/{name})" in page for name in made)
