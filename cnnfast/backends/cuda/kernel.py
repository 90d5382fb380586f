"""A kernel, from its Python function to a device's code; and a plan, the launches that make an op.

A problem is turned into a plan by looking at shapes alone: no device, no array. So the same plan runs on a device, in
the simulator, in a CUDA graph and in a test that only compiles it.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from functools import cache, wraps
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple, ParamSpec, cast

from cnnfast.backends.cuda.toolchain import SIMULATED, cuda, types

P = ParamSpec("P")


class Kernel(NamedTuple):
    """A kernel for one class of shapes.

    name: the function that made it and its arguments, the same in every process.
    function: in Numba's CUDA dialect; its parameters are the step's arrays, then its scalars.
    parameters: their Numba types.
    block: threads, (x, y, z).
    shared: bytes of dynamic shared memory.
    blocks: so many blocks a multiprocessor are to fit: it bounds the registers. 0: as many as come.
    needs: what its PTX must hold, so that a test sees a lost vector load.
    arch: "" or "a", for instructions of one architecture alone (wgmma: sm_90a).
    scalars: a NamedTuple, where the function takes its scalars as one; they are launched one by one all the same.
    """

    name: str
    function: Callable[..., None]
    parameters: tuple[Any, ...]
    block: tuple[int, int, int]
    shared: int = 0
    blocks: int = 0
    needs: tuple[str, ...] = ()
    arch: str = ""
    scalars: Any = None


class Step(NamedTuple):
    """A launch: the kernel's arrays by their names in the plan, and its scalars."""

    kernel: Kernel
    grid: tuple[int, int, int]
    arrays: tuple[str, ...]
    scalars: tuple[int | float, ...]


class Plan(NamedTuple):
    """An op on arrays of known shapes: steps in order, and the buffers between them (name -> (elements, dtype))."""

    steps: tuple[Step, ...]
    scratch: Mapping[str, tuple[int, str]] = {}


class Row(NamedTuple):
    """An algorithm of an op: a row of its table.

    takes: whether it computes this problem.
    plan: (problem, tile) -> Plan.
    tiles: the settings that `algorithm="tune"` tries; the first is the one that "auto" takes.
    pays: whether "auto" is to choose it; by its name it can be asked for wherever it takes.
    """

    name: str
    takes: Callable[[Any], bool]
    plan: Callable[[Any, Any], Plan]
    tiles: Callable[[Any], tuple[Any, ...]] = lambda problem: (None,)
    pays: Callable[[Any], bool] = lambda problem: True


GRID: Final = 2**31 - 1, 65535, 65535
"""Blocks along a grid's axes, at most."""


def kernel(make: Callable[P, Kernel]) -> Callable[P, Kernel]:
    """A function of plain values that makes a kernel: made once for each, and named after them."""

    @cache
    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Kernel:
        given = [*map(str, args), *(f"{name}={value}" for name, value in kwargs.items())]
        return make(*args, **kwargs)._replace(name=f"{make.__name__}({', '.join(given)})")

    return cast(Callable[P, Kernel], made)


def choose(rows: tuple[Row, ...], problem: Any, algorithm: str | None) -> Row:
    """The row named, or the first that takes the problem and pays: a table's last row does for every one."""
    for row in rows:
        if row.takes(problem) and (row.pays(problem) if algorithm is None else algorithm == row.name):
            return row
    names = ", ".join(row.name for row in rows if row.takes(problem))
    raise ValueError(f'algorithm "{algorithm}" does not take this problem on a CUDA device; these do: {names}')


def planned(rows: tuple[Row, ...], problem: Any, algorithm: str | None) -> Plan:
    """The plan of the row named, or of the first that takes the problem, with the tile that "auto" takes; "row:2" asks
    for the row's third tile, as `algorithm="tune"` does. ValueError: there is none."""
    name, _, number = (algorithm or "").partition(":")
    row = choose(rows, problem, name or None)
    tiles = row.tiles(problem)
    at = int(number or 0)
    if at >= len(tiles):
        raise ValueError(f'algorithm "{name}" has {len(tiles)} tiles for this problem, got number {at}')
    return row.plan(problem, tiles[at])


LEAST: Final = 8, 0
"""The compute capability that kernels are made for; the assembler makes their PTX any later device's own code."""
NEWEST: Final = 9, 0
"""That of kernels with an `arch`."""


def ptx(made: Kernel) -> str:
    """The kernel's PTX, its entry called "kernel". No device is needed."""
    bounds = (made.block[0] * made.block[1] * made.block[2], made.blocks) if made.blocks else None
    target = (*NEWEST, made.arch) if made.arch else LEAST
    parameters = made.parameters
    if made.scalars:
        arrays = len(parameters) - len(made.scalars._fields)
        parameters = *parameters[:arrays], types.NamedTuple(parameters[arrays:], made.scalars)
    signature = types.void(*parameters)
    text, _ = cuda.compile(
        made.function, signature, device=False, abi="numba", cc=target, output="ptx", launch_bounds=bounds
    )
    entry = re.search(r"\.entry\s+(\w+)", text)
    assert entry, f"{made.name} has no entry"
    return re.sub(rf"\b{entry[1]}\b", "kernel", text)


def cubin(made: Kernel, cc: tuple[int, int]) -> bytes:
    """The kernel's code for a compute capability, from the cache on disk where it has been made before."""
    kept = _kept(made, cc)
    try:
        if kept:
            return kept.read_bytes()
    except OSError:
        pass
    if cc < LEAST:
        raise RuntimeError(f"CUDA devices must have compute capability 8.0 or more, got {cc[0]}.{cc[1]}")
    from cuda.core import Program, ProgramOptions

    options = ProgramOptions(arch=f"sm_{cc[0]}{cc[1]}{made.arch}")
    code: bytes = Program(ptx(made), "ptx", options).compile("cubin").code
    try:
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            number, part = tempfile.mkstemp(".part", dir=kept.parent)  # processes in containers share their numbers
            with os.fdopen(number, "wb") as file:
                file.write(code)
            os.replace(part, kept)
    except OSError:
        pass  # a cache that cannot be written costs the next process a compilation
    return code


def forget(made: Kernel, cc: tuple[int, int]) -> bool:
    """Delete the kernel's code from the cache on disk; whether it was there."""
    kept = _kept(made, cc)
    try:
        if kept:
            kept.unlink()
    except OSError:
        return False
    return kept is not None


def _kept(made: Kernel, cc: tuple[int, int]) -> Path | None:
    try:
        where = folder()
    except RuntimeError:  # a user without a home
        return None
    return where / f"{hashlib.sha256(f'{made.name} {cc} {fingerprint()}'.encode()).hexdigest()[:32]}.cubin"


def folder() -> Path:
    """Where compiled kernels are kept: CNNFAST_CACHE_DIR, or the user's cache."""
    given = os.environ.get("CNNFAST_CACHE_DIR")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnnfast"
    return base / "cuda"


COMPILERS: Final = "numba-cuda", "numba", "llvmlite", "cuda-core", "nvidia-nvvm"
"""The distributions that make a kernel's code."""


@cache
def fingerprint() -> str:
    """Of this package's sources and of the compiler: a kernel of another is not this one."""
    from cuda.bindings import nvjitlink, nvvm

    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        found.update(path.read_bytes())
    found.update(f"{nvvm.version()} {nvjitlink.version()} {[_version(each) for each in COMPILERS]}".encode())
    return found.hexdigest()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # from conda, or the system
        return ""


def simulated(made: Kernel) -> Any:
    """The kernel as the simulator runs it."""
    assert SIMULATED
    if not made.scalars:
        return cuda.jit(made.function)
    arrays = len(made.parameters) - len(made.scalars._fields)
    return _Grouped(cuda.jit(made.function), arrays, made.scalars)


class _Grouped:
    """A simulated kernel that takes its scalars as one tuple."""

    def __init__(self, function: Any, arrays: int, scalars: Any) -> None:
        self.function, self.arrays, self.scalars = function, arrays, scalars

    def __getitem__(self, launch: Any) -> Any:
        def call(*args: Any) -> None:
            self.function[launch](*args[: self.arrays], self.scalars(*args[self.arrays :]))

        return call
