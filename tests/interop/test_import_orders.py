"""Programs that bring threads of their own, imported before cnnfast and after, and children made in every way.

Each cell is a process with a time limit: both libraries do parallel work, a child made while their threads live must
give the parent's bits, and both go on. `--run-slow` runs all cells ten times: about half an hour.
"""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PROGRAM = """
import importlib
import multiprocessing
import os

import numpy as np

package, order, method, threads = os.environ["CELL"].split()
names = [package, "cnnfast"]
for name in names if order == "before" else names[::-1]:
    importlib.import_module(name)
import cnnfast


def other():
    \"\"\"Parallel work of the other library: a number that it always gives.\"\"\"
    if package == "torch":
        import torch
        torch.set_num_threads(int(threads))
        return float(torch.nn.functional.conv2d(torch.ones(2, 16, 40, 40), torch.ones(32, 16, 3, 3))[0, 0, 0, 0])
    if package == "sklearn.cluster":
        from sklearn.cluster import KMeans
        return float(KMeans(2, n_init=1, random_state=0).fit(np.repeat([[0.0], [1.0]], 3000, axis=0)).inertia_)
    if package == "jax":
        import jax
        return float(jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((400, 400))))
    import numba

    @numba.njit(parallel=True)
    def count():
        total = 0.0
        for i in numba.prange(100000):
            total += 1.0
        return total

    return count()


RIGHT = {"torch": 144.0, "sklearn.cluster": 0.0, "jax": 400.0**3, "numba": 100000.0}


def convolve():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 56, 56, 32), np.float32), rng.standard_normal((3, 3, 32, 32), np.float32)
    ones = cnnfast.conv2d(np.ones_like(x), np.ones_like(w), precision="strict")
    assert (ones == 288).all()
    return cnnfast.conv2d(x, w).tobytes()


def child(pipe):
    found = convolve()
    if method != "fork":  # a forked child of a program that has run OpenMP may call no other OpenMP program
        assert other() == RIGHT[package]
        assert convolve() == found
    pipe.send_bytes(found)


if __name__ == "__main__":
    assert cnnfast.get_num_threads() == int(threads)
    right = convolve()
    assert other() == RIGHT[package]
    assert convolve() == right
    context = multiprocessing.get_context(method)
    for _ in range(2):
        ours, theirs = context.Pipe()
        process = context.Process(target=child, args=(theirs,))
        process.start()
        theirs.close()
        assert ours.recv_bytes() == right
        process.join()
        assert process.exitcode == 0
        assert convolve() == right
        assert other() == RIGHT[package]
    print("done")
"""


class Cell(NamedTuple):
    package: str
    order: str
    method: str
    threads: int


PACKAGES = {"torch": "torch==2.13.0", "sklearn.cluster": "scikit-learn", "numba": "numba", "jax": "jax"}
CELLS = [
    Cell(*each)
    for each in itertools.product(PACKAGES, ("before", "after"), ("fork", "forkserver", "spawn"), (1, 2, 4))
]
LIKELY = [
    Cell("torch", "before", "fork", 2), Cell("torch", "after", "fork", 4), Cell("sklearn.cluster", "before", "fork", 2),
    Cell("numba", "after", "fork", 2), Cell("jax", "after", "fork", 2), Cell("torch", "after", "forkserver", 2),
    Cell("numba", "before", "spawn", 4),
]  # fmt: skip
"""Where a child could inherit threads that are not there, and one of each other way."""


def run(cell: Cell, folder: Path) -> None:
    name = cell.package.partition(".")[0]
    pytest.importorskip(name, reason=f"threads to live with: pip install {PACKAGES[cell.package]}")
    program = folder / "program.py"  # a spawned child imports it
    program.write_text(PROGRAM)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CNNFAST_", "OMP_"))}
    count = str(cell.threads)
    told = {"CNNFAST_NUM_THREADS": count, "OMP_NUM_THREADS": count, "NUMBA_NUM_THREADS": count}
    done = subprocess.run(
        [sys.executable, str(program)], env=inherited | told | {"CELL": " ".join(map(str, cell))}, cwd=folder,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "done\n", done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("cell", LIKELY, ids=lambda cell: "-".join(map(str, cell)))
def test_likely_culprits(cell: Cell, tmp_path: Path) -> None:
    run(cell, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(map(str, cell)))
def test_every_order(cell: Cell, tmp_path: Path) -> None:
    for _ in range(10):
        run(cell, tmp_path)
