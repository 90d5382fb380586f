"""The house stays a house: what imports what, what an import costs, that everything public is typed and explained."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import cnnfast
import cnnfast.backends.reference
import cnnfast.backends.reference.grad
import cnnfast.datasets
import cnnfast.graph
import cnnfast.layers
import cnnfast.models
import cnnfast.network_plan
import cnnfast.ops
import cnnfast.ops.device
import cnnfast.ops.grad
import cnnfast.plot
import cnnfast.saving
import cnnfast.summary
import cnnfast.training
import cnnfast.weights
from cnnfast.ops.plan import Plan

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / "cnnfast"
C = ROOT / "csrc"

# A module imports only from its own floor or a lower one. "" is cnnfast/__init__.py, the public names.
FLOORS = {
    "backends": 0, "ops": 1, "grad": 2, "graph": 2, "layers": 3, "network_plan": 4, "summary": 4,
    "training": 4, "stored": 4, "model": 4, "saving": 4, "sequential": 4, "weights": 4,
    "models": 5, "onnx": 5, "callbacks": 5, "losses": 5, "metrics": 5, "optimizers": 5, "regularizers": 5,
    "filters": 6, "datasets": 6, "plot": 6, "": 6, "verification": 6,
    "interop": 7, "bench": 7, "cli": 8, "__main__": 9,
}  # fmt: skip
C_FLOORS = {"include": 0, "core": 1, "simd": 1, "kernels": 2, "plan": 3, "program": 4, "ffi": 5}


def sources(folder: Path, *suffixes: str) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix in suffixes)
    assert found, f"no {suffixes} in {folder}: is this the source tree?"
    return found


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Full names of the cnnfast modules (or their names) that a file imports, wherever in it."""
    here = module_of(path).split(".")
    package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def floor_of(name: str) -> int:
    """`import cnnfast` and `from cnnfast import conv2d` both mean the public names."""
    part = [*name.split("."), ""][1]
    if part not in FLOORS and part in cnnfast.__all__:
        part = ""
    assert part in FLOORS, f"{name}: say in FLOORS on which floor cnnfast.{part} stands"
    return FLOORS[part]


@pytest.mark.parametrize("path", sources(PYTHON, ".py"), ids=module_of)
def test_imports_go_down(path: Path) -> None:
    mine = floor_of(module_of(path))
    ours = [name for name in imported(path) if name.split(".")[0] == "cnnfast"]
    assert not [name for name in ours if floor_of(name) > mine]


LAYERS = sources(PYTHON / "layers", ".py")


@pytest.mark.parametrize("path", LAYERS, ids=module_of)
def test_layers_know_ops_and_the_graph_and_no_backend(path: Path) -> None:
    ours = [name for name in imported(path) if name.split(".")[0] == "cnnfast"]
    allowed = ("cnnfast.layers.", "cnnfast.ops.", "cnnfast.graph.", "cnnfast.grad")
    assert all(name.startswith(allowed) for name in ours), ours
    outside = {name.split(".")[0] for name in imported(path)} - {"cnnfast", *sys.stdlib_module_names}
    assert outside <= {"numpy"}


@pytest.mark.parametrize("path", [*LAYERS, *sources(PYTHON / "models", ".py")], ids=module_of)
def test_layers_and_models_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250


def test_backends_do_not_know_each_other() -> None:
    for path in sources(PYTHON / "backends", ".py", ".pyx", ".pxi"):
        if path.suffix != ".py":
            names = re.findall(r"^\s*(?:from|c?import)\s+(cnnfast\S*)", path.read_text(), re.MULTILINE)
        else:
            names = [name for name in imported(path) if name.startswith("cnnfast")]
        backend = path.relative_to(PYTHON).parts[1]
        allowed = (f"cnnfast.backends.{backend}", "cnnfast.libcnnfast")
        assert all(name.startswith(allowed) for name in names), f"{path.name}: {names}"


def test_the_oracle_is_numpy_alone() -> None:
    for path in sources(PYTHON / "backends" / "reference", ".py"):
        outside = {name.split(".")[0] for name in imported(path)} - {"cnnfast", *sys.stdlib_module_names}
        assert outside <= {"numpy"}


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", sources(C, ".c", ".h", ".inc"), ids=lambda path: str(path.relative_to(C)))
def test_includes_go_down(path: Path) -> None:
    floor = C_FLOORS[path.relative_to(C).parts[0]]
    for name in includes(path):
        for found in C.rglob(Path(name).name):
            if str(found).endswith(f"/{name}"):
                assert C_FLOORS[found.relative_to(C).parts[0]] <= floor, name


def test_kernels_know_no_threads_no_memory_and_no_python() -> None:
    for path in sources(C / "kernels", ".c", ".h"):
        assert not {"omp.h", "pthread.h", "parallel.h", "Python.h", "stdlib.h"} & set(includes(path)), path
        assert not re.search(r"\b(malloc|calloc|realloc|aligned_alloc|free)\s*\(", path.read_text()), path
        assert "#pragma omp" not in path.read_text(), path


def test_one_file_knows_openmp() -> None:
    assert [path.name for path in sources(C, ".c", ".h") if "omp.h" in includes(path)] == ["parallel.c"]


def run(*lines: str) -> str:
    """What a fresh interpreter prints; -P keeps the unbuilt source tree out of its path."""
    done = subprocess.run([sys.executable, "-P", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_brings_numpy_and_nothing_else() -> None:
    names = run(
        "import sys, numpy; before = set(sys.modules)", "import cnnfast, cnnfast.models, cnnfast.filters, cnnfast.plot",
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})",
    ).split()  # fmt: skip
    # the editable install's own finder, and modules of the standard library, are not ours
    outside = {name for name in names if name not in sys.stdlib_module_names and not name.startswith("_")}
    assert outside - {"numpy", "cython_runtime"} == {"cnnfast"}


def test_networks_are_imported_when_they_are_used() -> None:
    assert run("import sys, cnnfast", "print([name for name in sys.modules if 'cnnfast.layers' in name])") == "[]"
    assert run("import cnnfast", "print(cnnfast.models.LeNet5().count_params())") == "61706"


PUBLIC = [name for name in cnnfast.__all__ if isinstance(getattr(cnnfast, name), FunctionType)]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_are_typed_and_explained(name: str) -> None:
    function = getattr(cnnfast, name)
    signature, text = inspect.signature(function), inspect.getdoc(function) or ""
    untyped = [each.name for each in signature.parameters.values() if each.annotation is each.empty]
    assert not untyped
    assert signature.return_annotation is not signature.empty
    assert ">>>" in text.partition("Examples\n--------")[2], "an example that runs"
    if signature.parameters:
        described = text.partition("Parameters\n----------")[2].partition("\nRaises\n------")[0]
        assert text.count("Raises\n------") == 1
        missing = [each for each in signature.parameters if not re.search(rf"\b{each}\b", described)]
        assert not missing or "the others : see" in described, missing
    if signature.return_annotation is not None:
        assert "Returns\n-------" in text


def modules() -> list[ModuleType]:
    packages = (
        cnnfast.ops, cnnfast.ops.device, cnnfast.ops.grad, cnnfast.backends.reference, cnnfast.backends.reference.grad,
        cnnfast.datasets, cnnfast.graph, cnnfast.layers, cnnfast.models, cnnfast.plot, cnnfast.saving, cnnfast.training,
        cnnfast.weights,
    )  # fmt: skip
    within = [
        importlib.import_module(found.name)
        for package in packages
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    ]
    alone = (
        "cnnfast.layers",
        "cnnfast.model",
        "cnnfast.sequential",
        "cnnfast.network_plan",
        "cnnfast.saving",
        "cnnfast.summary",
        "cnnfast.weights",
    )
    return [*within, *(importlib.import_module(name) for name in alone)]


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_shared_functions_are_explained(module: ModuleType) -> None:
    assert module.__doc__
    mine: list[Any] = [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]
    for each in mine:
        if isinstance(each, FunctionType | type) and not each.__name__.startswith("_"):
            assert each.__doc__, each


@pytest.mark.parametrize("module", [cnnfast, *modules()], ids=lambda module: module.__name__)
def test_examples_run(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("plan", [Plan, cnnfast.network_plan.NetworkPlan])
def test_plans_are_explained(plan: Any) -> None:
    for name, method in inspect.getmembers(plan, inspect.isfunction):
        if not name.startswith("_"):
            assert method.__doc__, name
    assert ">>>" in (plan.__call__.__doc__ or "")


@pytest.mark.parametrize("network", [cnnfast.Sequential, cnnfast.Model])
def test_networks_are_explained(network: Any) -> None:
    assert ">>>" in (network.__doc__ or "")
    for name, method in inspect.getmembers(network, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.getdoc(method), name
