"""Threads, and what this installation is."""

import platform
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.backends import native
from cnnfast.ops import checks

__version__: str = native.version()


def set_num_threads(n: int) -> None:
    """Use n threads in every run from now on, in all Python threads.

    Parameters
    ----------
    n : at least 1; more than the machine has cores is allowed and seldom helps

    Raises
    ------
    ValueError, TypeError : n is not an integer >= 1

    Examples
    --------
    >>> import cnnfast
    >>> before = cnnfast.get_num_threads()
    >>> cnnfast.set_num_threads(1)
    >>> cnnfast.get_num_threads()
    1
    >>> cnnfast.set_num_threads(before)
    """
    native.set_num_threads(checks.integer("n", n, minimum=1))


def get_num_threads() -> int:
    """How many threads a run uses.

    That is what `set_num_threads` said, else CNNFAST_NUM_THREADS, else OMP_NUM_THREADS, else the cores this process may
    use (its affinity and its container's quota).

    Returns
    -------
    At least 1; always 1 in a child made by fork.

    Examples
    --------
    >>> import cnnfast
    >>> cnnfast.get_num_threads() >= 1
    True
    """
    count: int = native.get_num_threads()
    return count


def config() -> dict[str, Any]:
    """What `show_config` prints, as data."""
    return {
        "cnnfast": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "isa": native.isa(),
        "isas": list(native.isas()),
        "threads": native.get_num_threads(),
    }


def show_config() -> None:
    """Print versions, the instruction set in use and those this machine has, and the number of threads.

    Examples
    --------
    >>> import cnnfast
    >>> cnnfast.show_config()  # doctest: +ELLIPSIS
    cnnfast  ...
    """
    for name, value in config().items():
        print(f"{name:<9}{', '.join(value) if isinstance(value, list) else value}")


def get_include() -> str:
    """The directory of `cnnfast.h`, for a C, C++ or Cython compiler.

    Returns
    -------
    An absolute path inside the installed package.

    Examples
    --------
    >>> import cnnfast, os
    >>> os.path.exists(os.path.join(cnnfast.get_include(), "cnnfast.h"))
    True
    """
    return str(_package() / "include")


def get_library() -> str:
    """The shared library `libcnnfast.so.0` to link, the one this package itself runs.

    Returns
    -------
    An absolute path inside the installed package.

    Examples
    --------
    >>> import cnnfast, os
    >>> os.path.exists(cnnfast.get_library())
    True
    """
    return str(_package() / "lib" / "libcnnfast.so.0")


@cache
def cpu_name() -> str:
    """The processor's own name, or the architecture where the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _package() -> Path:
    return Path(native.__file__).parents[2]
