"""The example that cimports cnnfast.libcnnfast, built by setuptools and run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "cython"

CHECK = """
import numpy as np
from moving_average import moving_average
line, out = np.arange(10.0) ** 2, np.full(8, np.nan)
moving_average(line, 3, out)
np.testing.assert_allclose(out, np.convolve(line, np.ones(3) / 3, "valid"), rtol=1e-15)
try:
    moving_average(line, 3, out[1:])
except ValueError as error:
    assert "8 numbers, got 7" in str(error)
else:
    raise AssertionError("it took an output that is too short")
"""


def test_the_example_is_built_and_runs(tmp_path: Path) -> None:
    pytest.importorskip("Cython", reason="pip install cython")
    pytest.importorskip("setuptools", reason="pip install setuptools")
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("needs a C compiler: apt install gcc")
    for path in EXAMPLE.iterdir():
        if path.suffix in (".pyx", ".py"):
            shutil.copy(path, tmp_path)
    words = ["-W", "ignore", "setup.py", "-q", "build_ext", "--inplace"]
    built = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    ran = subprocess.run([sys.executable, "-c", CHECK], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
