"""What the wheel carries, used from outside the source tree."""

import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import cnnfast

ROOT = Path(__file__).parents[2]
INSTALLED = Path(cnnfast.__file__).parent


@pytest.mark.parametrize(
    "name", ["include/cnnfast.h", "libcnnfast.pxd", "py.typed", "backends/native/_native.pyi", "datasets/coffee.jpg"]
)
def test_the_wheel_carries(name: str) -> None:
    assert (INSTALLED / name).is_file()


def test_no_sources_are_installed() -> None:
    sources = {".pyx", ".pxi", ".c"}
    assert not [path for path in INSTALLED.rglob("*") if path.suffix in sources or path.name == "CMakeLists.txt"]


def test_it_is_small() -> None:
    """Compressed as a wheel is: under 5 MB."""
    files = [path for path in INSTALLED.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    size = sum(len(zlib.compress(path.read_bytes())) for path in files)
    assert size < 5e6, f"{size} bytes"


def test_the_c_example_runs(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler: apt install gcc")
    source, program, library = ROOT / "examples" / "c" / "conv2d.c", tmp_path / "conv2d", cnnfast.get_library()
    flags = ["-Wall", "-Wextra", "-Werror", f"-I{cnnfast.get_include()}"]
    subprocess.run([compiler, *flags, source, library, "-lm", "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, env={"LD_LIBRARY_PATH": str(Path(library).parent)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "by hand" in done.stdout


CYTHON = """
from cnnfast.libcnnfast cimport cnnfast_isa
print((<bytes>cnnfast_isa()).decode())
"""


def test_the_pxd_serves_cython(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler: apt install gcc")
    pytest.importorskip("Cython", reason="pip install cython")
    pytest.importorskip("setuptools", reason="pip install setuptools")
    (tmp_path / "ask.pyx").write_text(CYTHON)
    build = (
        "import cnnfast, os\nfrom setuptools import Extension, setup\nfrom Cython.Build import cythonize\n"
        "setup(script_args=['-q', 'build_ext', '--inplace'], ext_modules=cythonize([Extension('ask', ['ask.pyx'],"
        " include_dirs=[cnnfast.get_include()], extra_objects=[cnnfast.get_library()],"
        " runtime_library_dirs=[os.path.dirname(cnnfast.get_library())])], language_level=3))"
    )
    subprocess.run([sys.executable, "-P", "-c", build], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([sys.executable, "-c", "import ask"], cwd=tmp_path, capture_output=True, text=True)
    from cnnfast.backends import native

    assert done.stdout.split() == [native.isa()], done.stderr
