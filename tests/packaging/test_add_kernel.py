"""CONTRIBUTING.md's own example, added to a copy of the sources: one file, one row, and the algorithm is there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CHECK = """
import sys, numpy as np, cnnfast
from cnnfast.backends import native, reference

names = native.algorithms("conv2d")
assert names == tuple(sys.argv[1].split()), names
rng = np.random.default_rng(0)
x, w = rng.standard_normal((2, 9, 10, 5)), rng.standard_normal((3, 3, 5, 32))
exact = reference.conv2d(x, w, stride=(2, 1), padding=((1, 0), (2, 1)), activation=("relu", 0.0))
options = dict(stride=(2, 1), padding=((1, 0), (2, 1)), activation="relu")
np.testing.assert_allclose(cnnfast.conv2d(x, w, algorithm="nested", **options), exact, rtol=1e-12, atol=1e-12)
x, w = x.astype(np.float32), w.astype(np.float32)
for isa in native.isas():
    native.set_isa(isa)
    bits = [cnnfast.conv2d(x, w, algorithm=name, **options).tobytes() for name in ("nested", "direct", "im2col")]
    assert bits[0] == bits[1] == bits[2], isa
plan = cnnfast.plan_conv2d(x.shape, w, algorithm="nested", **options)
assert "nested" in str(plan.explain())
try:
    cnnfast.conv2d(x, w[..., :3], algorithm="nested")
except ValueError as error:
    assert "nested" in str(error)
else:
    raise AssertionError("it does not accept 3 output channels")
"""


def code_blocks() -> list[str]:
    return re.findall(r"```c\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)


def test_one_file_and_one_row_make_a_kernel(tmp_path: Path) -> None:
    cmake = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if cmake is None:
        pytest.skip("needs cmake: pip install cmake")
    source, row = code_blocks()
    for name in ("CMakeLists.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    kernels = tmp_path / "csrc" / "kernels" / "conv2d"
    (kernels / "nested.c").write_text(source)
    table = (kernels / "table.inc").read_text()
    (kernels / "table.inc").write_text(table.replace("KERNEL(plain,", row + "KERNEL(plain,"))

    build = tmp_path / "build"
    quick = ["-DCMAKE_BUILD_TYPE=Quick", "-DCMAKE_C_FLAGS_QUICK=-O1 -DNDEBUG"]  # -O3 takes longer; the bits are alike
    configure = [cmake, "-S", tmp_path, "-B", build, "-DCNNFAST_PYTHON=OFF", *quick]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([cmake, "--build", build, "--parallel", "2"], check=True, stdout=subprocess.DEVNULL)
    # The same SONAME: the installed extension modules take this library instead of their own.
    library = build / "csrc" / "libcnnfast.so.0"
    rows = re.sub(r"\bplain\b", "nested plain", " ".join(re.findall(r"^KERNEL\((\w+)", table, re.MULTILINE)))
    checked = subprocess.run(
        [sys.executable, "-P", "-c", CHECK, rows],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
