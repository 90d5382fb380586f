"""A way to run Python in a process of its own from the installed package."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """python(program, NAME=value, ...): the finished process, its environment changed, away from the source tree."""

    def run(program: str, seconds: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CNNFAST_", "OMP_"))}
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], env=inherited | environment, cwd=tmp_path,
            capture_output=True, text=True, timeout=seconds,
        )  # fmt: skip

    return run
