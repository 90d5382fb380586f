"""The programs of examples/ run."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-P", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lenet5() -> None:
    pytest.importorskip("sklearn", reason='pip install "cnnfast[datasets]"')
    assert "Total params: 61,706" in run(str(EXAMPLES / "lenet5.py"))


def test_the_gallery_is_made_of_these(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='pip install "cnnfast[plot]"')
    pytest.importorskip("PIL", reason='pip install "cnnfast[cli]"')
    run(str(EXAMPLES / "gallery.py"), str(tmp_path))
    made, page = {path.name for path in tmp_path.iterdir()}, (EXAMPLES.parent / "docs" / "gallery.md").read_text()
    assert made == {path.name for path in (EXAMPLES.parent / "docs" / "gallery").iterdir()}
    assert all(f"(gallery/{name})" in page for name in made)
