"""What the library reads when it is loaded: CNNFAST_ISA, CNNFAST_NUM_THREADS, OMP_NUM_THREADS, affinity; and what it
leaves alone: the floating-point environment."""

import ctypes
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native

THREADS = "import cnnfast; print(cnnfast.get_num_threads())"


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "2 2", "99999999999", "0x2", "\u0663"])
def test_bad_number_of_threads(value: str, python: Callable[..., Any]) -> None:
    done = python("import cnnfast", CNNFAST_NUM_THREADS=value)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: CNNFAST_NUM_THREADS must be an integer >= 1, got"), done.stderr


@pytest.mark.parametrize("value", ["mmx", "AVX2", "neon avx2", "sve"])
def test_bad_isa(value: str, python: Callable[..., Any]) -> None:
    done = python("import cnnfast", CNNFAST_ISA=value)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: CNNFAST_ISA must be one of "), done.stderr
    assert repr(value) in last
    assert all(isa in last for isa in native.isas())


@pytest.mark.parametrize("isa", native.isas())
def test_forced_isa(isa: str, python: Callable[..., Any]) -> None:
    program = """
        import numpy as np, cnnfast
        plan = cnnfast.plan_conv2d((1, 5, 5, 3), np.ones((3, 3, 3, 4), np.float32))
        print(plan.explain().isa, plan(np.ones((1, 5, 5, 3), np.float32)).max())
    """
    assert python(program, CNNFAST_ISA=isa).stdout == f"{isa} 27.0\n"


def test_isa_that_this_machine_lacks(python: Callable[..., Any]) -> None:
    lacking = {"baseline", "avx2", "avx512", "neon"} - set(native.isas())
    assert lacking
    for isa in lacking:
        assert "CNNFAST_ISA must be one of" in python("import cnnfast", CNNFAST_ISA=isa).stderr


def test_empty_variables_say_nothing(python: Callable[..., Any]) -> None:
    done = python("import cnnfast; print('imported')", CNNFAST_ISA="", CNNFAST_NUM_THREADS="", OMP_NUM_THREADS="")
    assert done.stdout == "imported\n", done.stderr


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"CNNFAST_NUM_THREADS": "5"}, 5),
        ({"CNNFAST_NUM_THREADS": "5", "OMP_NUM_THREADS": "3"}, 5),
    ],
)
def test_number_of_threads(environment: dict[str, str], threads: int, python: Callable[..., Any]) -> None:
    assert python(THREADS, **environment).stdout == f"{threads}\n"


def test_set_num_threads_is_above_the_environment(python: Callable[..., Any]) -> None:
    program = "import cnnfast; cnnfast.set_num_threads(4); print(cnnfast.get_num_threads())"
    assert python(program, CNNFAST_NUM_THREADS="5", OMP_NUM_THREADS="3").stdout == "4\n"


def test_default_is_at_most_the_affinity(python: Callable[..., Any]) -> None:
    assert 1 <= int(python(THREADS).stdout) <= len(os.sched_getaffinity(0))
    cpu = min(os.sched_getaffinity(0))
    assert python(f"import os; os.sched_setaffinity(0, [{cpu}]); {THREADS}").stdout == "1\n"


FOPEN = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* A control group's files as the environment says them. */
FILE *fopen(const char *path, const char *mode) {
    static const char *const files[][2] = {{"/sys/fs/cgroup/cpu.max", "CPU_MAX"},
                                           {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "CFS_QUOTA"},
                                           {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "CFS_PERIOD"}};
    for (int i = 0; i < 3; i++)
        if (!strcmp(path, files[i][0])) {
            char *text = getenv(files[i][1]);
            return text ? fmemopen(text, strlen(text), "r") : NULL;
        }
    return ((FILE * (*)(const char *, const char *))dlsym(RTLD_NEXT, "fopen"))(path, mode);
}
"""


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that, loaded first, stands between the engine and the machine's control groups."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a control group of its own is made in C: no compiler is here")
    folder = tmp_path_factory.mktemp("group")
    (folder / "group.c").write_text(FOPEN)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "group.so", folder / "group.c", "-ldl"], check=True)
    return str(folder / "group.so")


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"CPU_MAX": "100000 100000"}, 1),
        ({"CPU_MAX": "199999 100000"}, 1),
        ({"CPU_MAX": "20000 100000"}, 1),
        ({"CPU_MAX": "200000 100000"}, 2),
        ({"CPU_MAX": "max 100000"}, None),
        ({"CPU_MAX": "nonsense"}, None),
        ({"CFS_QUOTA": "100000", "CFS_PERIOD": "100000"}, 1),
        ({"CFS_QUOTA": "-1", "CFS_PERIOD": "100000"}, None),
        ({}, None),
    ],
)
def test_default_is_at_most_the_quota(
    files: dict[str, str], cpus: int | None, group: str, python: Callable[..., Any]
) -> None:
    """floor(quota / period) of the control group, of either version, at least 1."""
    here = len(os.sched_getaffinity(0))
    expected = here if cpus is None else min(cpus, here)
    assert python(THREADS, LD_PRELOAD=group, **files).stdout == f"{expected}\n"
    assert python(THREADS, LD_PRELOAD=group, CNNFAST_NUM_THREADS="7", **files).stdout == "7\n"


def test_unknown_precision(python: Callable[..., Any]) -> None:
    program = """
        import numpy as np, cnnfast
        cnnfast.conv2d(np.ones((1, 3, 3, 1)), np.ones((1, 1, 1, 1)))
    """
    assert "CNNFAST_PRECISION must be one of" in python(program, CNNFAST_PRECISION="double").stderr
    assert python(program, CNNFAST_PRECISION="strict").returncode == 0


def _mxcsr() -> int:
    """The SSE control bits (rounding, flush-to-zero, denormals-are-zero, masks), without the sticky flags."""
    state = ctypes.create_string_buffer(64)
    ctypes.CDLL("libm.so.6").fegetenv(state)
    return int.from_bytes(state.raw[28:32], "little") & ~0x3F


@pytest.fixture
def settings() -> Iterator[None]:
    """The instruction set and the number of threads are the test's own."""
    isa, threads = native.isa(), native.get_num_threads()
    yield
    native.set_isa(isa)
    native.set_num_threads(threads)


@pytest.mark.usefixtures("settings")
def test_floating_point_environment_is_left_alone() -> None:
    tiny = np.full(1000, 1e-40, np.float32)
    before = _mxcsr() if platform.machine() == "x86_64" else 0
    for isa in native.isas():
        native.set_isa(isa)
        weight = np.full((3, 3, 8, 8), 1e-20, np.float32)
        cnnfast.conv2d(np.full((1, 30, 30, 8), 1e-20, np.float32), weight, activation="sigmoid")
        cnnfast.avg_pool2d(np.full((1, 30, 30, 8), 1e-40, np.float32), 3)
        assert (tiny * np.float32(0.5) > 0).all()
        if platform.machine() == "x86_64":
            assert _mxcsr() == before


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.usefixtures("settings")
def test_denormals_are_kept(isa: str, threads: int) -> None:
    """1e-25 * 1e-15 is a denormal: in every thread and on every path it is no zero."""
    native.set_isa(isa)
    cnnfast.set_num_threads(threads)
    x, w = np.full((4, 40, 40, 16), 1e-25, np.float32), np.full((1, 1, 16, 40), 1e-15, np.float32)
    for algorithm in ("direct", "im2col", "plain"):
        y = cnnfast.conv2d(x, w, algorithm=algorithm)
        assert (np.abs(y - np.float32(1.6e-39)) < 1e-43).all()
    deep = np.full((2, 40, 40, 33), 1e-42, np.float32)
    for pooled in (cnnfast.avg_pool2d(deep, 2), cnnfast.max_pool2d(deep, 2), cnnfast.min_pool2d(deep, 2)):
        assert (pooled == deep[0, 0, 0, 0]).all()
