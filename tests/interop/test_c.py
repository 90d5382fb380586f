"""C and C++ by CMake and by pkg-config, against the installed package; and the programs of docs/interop/c.md."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cnnfast

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "c"
PAGE = ROOT / "docs" / "interop" / "c.md"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SAYS = {"conv2d": "by hand", "network": "right"}


def tool(*names: str, get: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = next(filter(None, (shutil.which(name, path=path) for name in names)), None)
    if found is None:
        pytest.skip(f"needs {names[0]}: {get}")
    return found


def run(*words: object, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, env={**os.environ, **environment}, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def flags() -> list[str]:
    config = tool("pkg-config", "pkgconf", get="apt install pkg-config")
    where = cnnfast.get_pkgconfig_dir()
    assert run(config, "--modversion", "cnnfast", PKG_CONFIG_PATH=where).strip() == cnnfast.__version__
    return run(config, "--cflags", "--libs", "cnnfast", PKG_CONFIG_PATH=where).split()


def compiler(source: Path) -> list[str]:
    if source.suffix == ".c":
        return [tool("cc", "gcc", get="apt install gcc"), "-std=c11"]
    return [tool("c++", "g++", get="apt install g++"), "-std=c++17"]


@pytest.mark.parametrize("name", ["conv2d.c", "network.cc"])
def test_pkg_config_builds_the_examples(name: str, flags: list[str], tmp_path: Path) -> None:
    source, program = EXAMPLES / name, tmp_path / "program"
    run(*compiler(source), *STRICT, source, *flags, "-lm", "-o", program)
    assert SAYS[source.stem] in run(program)


def make_by_prefix_path(cmake: str, build: Path) -> None:
    run(cmake, "-S", EXAMPLES, "-B", build, f"-DCMAKE_PREFIX_PATH={cnnfast.get_cmake_dir()}")


def make_by_root(cmake: str, build: Path) -> None:
    """As a build by scikit-build-core finds it: the entry point cmake.root tells where."""
    from importlib.metadata import entry_points
    from importlib.resources import files

    (entry,) = entry_points(group="cmake.root", name="cnnfast")
    run(cmake, "-S", EXAMPLES, "-B", build, f"-Dcnnfast_ROOT={files(entry.value)}")


@pytest.mark.parametrize("configure", [make_by_prefix_path, make_by_root])
def test_cmake_builds_the_examples(configure: Callable[[str, Path], None], tmp_path: Path) -> None:
    cmake = tool("cmake", get="pip install cmake")
    compiler(EXAMPLES / "conv2d.c"), compiler(EXAMPLES / "network.cc")
    configure(cmake, tmp_path)
    run(cmake, "--build", tmp_path)
    for name, says in SAYS.items():
        assert says in run(tmp_path / name)


def test_cmake_refuses_another_version(tmp_path: Path) -> None:
    cmake = tool("cmake", get="pip install cmake")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(asks LANGUAGES NONE)\nfind_package(cnnfast 99 REQUIRED)\n"
    )
    done = subprocess.run(
        [cmake, "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={cnnfast.get_cmake_dir()}"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert cnnfast.__version__ in done.stderr


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_the_pages_programs_run(language: str, flags: list[str], tmp_path: Path) -> None:
    for block in re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        source, program = tmp_path / f"page.{'c' if language == 'c' else 'cc'}", tmp_path / "page"
        source.write_text(block)
        run(*compiler(source), *STRICT, source, *flags, "-lm", "-o", program)
        said = run(program)
        shown = re.search(r"^/[/*] prints: (.*?)( \*/)?$", block, re.MULTILINE)
        assert shown is not None
        assert said.splitlines() == [shown[1]]
