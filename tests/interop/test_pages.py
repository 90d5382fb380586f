"""The programs of docs/interop/ run: each page's blocks one after the other, where what the page needs is installed."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "interop").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text()
    needs = re.search(r"<!-- needs:(.*?)-->", text)
    for package in needs[1].split() if needs else ():
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the page's programs call it: pip install {package}")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, page.name, "exec"), names)
