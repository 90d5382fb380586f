"""Threads, and what this installation is."""

import platform
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.backends import native
from cnnfast.ops import checks, options

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


def set_max_workspace(size: int | None) -> None:
    """Bound the memory of every plan made from now on, in all Python threads.

    Counted is what a plan holds and a run of it adds: the weights as packed (or transformed), the workspace, and what
    NCHW and integer arrays need on their way to the kernels. Arrays are not: x, y, and copies of strided ones. "auto"
    and "tune" leave out algorithms that could not run within it on one thread, image by image, so that the choice does
    not depend on the number of threads; a run takes as many threads as fit. A call without a plan (conv2d, a pool, a
    layer) makes one.

    Parameters
    ----------
    size : bytes; None sets no limit. The `max_workspace` of a plan may only lower it.

    Raises
    ------
    ValueError, TypeError : size is not an integer >= 0
    ValueError also of a plan, later, where no algorithm fits: it names the bytes that the least one needs

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> before = cnnfast.get_max_workspace()
    >>> cnnfast.set_max_workspace(100_000)
    >>> plan = cnnfast.plan_conv2d((8, 56, 56, 16), np.ones((3, 3, 16, 16), np.float32))
    >>> plan.explain().packed_size + plan.workspace_size <= 100_000
    True
    >>> cnnfast.set_max_workspace(before)
    """
    native.set_max_workspace(options.max_workspace(size, "size"))


def get_max_workspace() -> int | None:
    """The limit of `set_max_workspace`, else of CNNFAST_MAX_WORKSPACE.

    Returns
    -------
    Bytes, or None for no limit

    Examples
    --------
    >>> import cnnfast
    >>> cnnfast.get_max_workspace() is None
    True
    """
    size: int = native.get_max_workspace()
    return size or None


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


def get_cmake_dir() -> str:
    """Where CMake's `find_package(cnnfast)` looks: a CMAKE_PREFIX_PATH, which gives the target `cnnfast::cnnfast`.

    Returns
    -------
    An absolute path inside the installed package.

    Examples
    --------
    >>> import cnnfast, os
    >>> os.path.exists(os.path.join(cnnfast.get_cmake_dir(), "cnnfast", "cnnfastConfig.cmake"))
    True
    """
    return str(_package() / "lib" / "cmake")


def get_pkgconfig_dir() -> str:
    """Where pkg-config finds `cnnfast.pc`: a PKG_CONFIG_PATH.

    Returns
    -------
    An absolute path inside the installed package.

    Examples
    --------
    >>> import cnnfast, os
    >>> os.path.exists(os.path.join(cnnfast.get_pkgconfig_dir(), "cnnfast.pc"))
    True
    """
    return str(_package() / "lib" / "pkgconfig")


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
