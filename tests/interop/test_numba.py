"""cnnfast within @njit: the same bits as Python's own calls, the same refusals, without the interpreter."""

import gc
import itertools
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnfast

numba = pytest.importorskip("numba", reason='pip install "cnnfast[numba]"')
import cnnfast.interop.numba

njit = numba.njit


def draw(*shape: int, dtype: Any = np.float32, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@njit
def plain(x, weight):
    return cnnfast.conv2d(x, weight)


@njit
def full(x, weight, bias, residual, stride, padding, dilation, groups):
    return cnnfast.conv2d(
        x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, activation="gelu",
        residual=residual,
    )  # fmt: skip


@njit
def same_nchw(x, weight, out):
    return cnnfast.conv2d(x, weight, None, padding="same", layout="NCHW", precision="strict", out=out)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conv2d_has_pythons_bits(dtype: Any) -> None:
    x, weight = draw(2, 9, 8, 4, dtype=dtype), draw(3, 3, 4, 6, dtype=dtype, seed=1)
    np.testing.assert_array_equal(plain(x, weight), cnnfast.conv2d(x, weight), strict=True)
    weight = draw(3, 2, 2, 6, dtype=dtype, seed=2)
    bias = draw(6, dtype=dtype)
    for stride, padding, dilation in itertools.product((1, (2, 1)), (1, (1, 0), ((1, 0), (2, 1))), (1, (1, 2))):
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": 2}
        residual = draw(*cnnfast.conv2d(x, weight, **options).shape, dtype=dtype, seed=3)
        wanted = cnnfast.conv2d(x, weight, bias, activation="gelu", residual=residual, **options)
        for _ in range(2):  # the second from the plan that was kept
            got = full(x, weight, bias, residual, stride, padding, dilation, 2)
            np.testing.assert_array_equal(got, wanted, strict=True)


def test_weights_are_read_anew() -> None:
    x, weight = draw(1, 6, 6, 2), draw(3, 3, 2, 4)
    plain(x, weight)
    weight *= 2
    np.testing.assert_array_equal(plain(x, weight), cnnfast.conv2d(x, weight))


def test_layouts_strides_and_mixed_dtypes() -> None:
    x, weight = draw(2, 3, 7, 10)[..., ::2], draw(4, 3, 3, 3, dtype=np.float64)
    out = np.full((2, 4, 7, 5), np.nan, np.float32)
    wanted = cnnfast.conv2d(x, weight, padding="same", layout="NCHW", precision="strict")
    got = same_nchw(x, weight, out)
    np.testing.assert_array_equal(out, wanted)
    np.testing.assert_array_equal(got, wanted)
    assert plain(np.empty((0, 5, 5, 1), np.float32), draw(3, 3, 1, 2)).shape == (0, 3, 3, 2)


@njit
def maxima(x, window, stride, padding):
    return cnnfast.max_pool2d(x, window, stride, padding=padding, ceil_mode=True)


@njit
def maxima_of_window(x):
    return cnnfast.max_pool2d(x, 2, padding="same", layout="NCHW")


@njit
def means(x, window, padding):
    return cnnfast.avg_pool2d(x, window, padding=padding, count_include_pad=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pools_have_pythons_bits(dtype: Any) -> None:
    x = draw(2, 9, 8, 3, dtype=dtype)
    x[0, 3, 3, 0] = np.nan
    for window, stride, padding in ((2, 2, 0), ((3, 2), (2, 1), (1, 1)), (3, 1, ((0, 1), (1, 0)))):
        wanted = cnnfast.max_pool2d(x, window, stride, padding=padding, ceil_mode=True)
        np.testing.assert_array_equal(maxima(x, window, stride, padding), wanted, strict=True)
        wanted = cnnfast.avg_pool2d(x, window, padding=padding, count_include_pad=False)
        np.testing.assert_array_equal(means(x, window, padding), wanted, strict=True)
    np.testing.assert_array_equal(maxima_of_window(x), cnnfast.max_pool2d(x, 2, padding="same", layout="NCHW"))


@njit(nogil=True)
def run_plan(plan, x, residual, y):
    return plan(x, residual, y)


@njit
def run_plan_alone(plan, x):
    return plan(x)


@njit
def give_back(plan):
    return plan


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_plans(dtype: Any, layout: str) -> None:
    nhwc = layout == "NHWC"
    x = draw(*((3, 6, 7, 2) if nhwc else (3, 2, 6, 7)), dtype=dtype)
    weight = draw(*((3, 3, 2, 5) if nhwc else (5, 2, 3, 3)), dtype=dtype)
    plan = cnnfast.plan_conv2d(x.shape, weight, padding=1, layout=layout, activation="relu")
    wanted = plan(x)
    np.testing.assert_array_equal(run_plan_alone(plan, x), wanted, strict=True)
    residual, y = draw(*wanted.shape, dtype=dtype, seed=4), np.full_like(wanted, np.nan)
    run_plan(plan, x, residual, y)
    np.testing.assert_array_equal(y, plan(x, residual))
    for n in (0, 1, 2):
        np.testing.assert_array_equal(run_plan_alone(plan, x[:n]), wanted[:n])
    assert give_back(plan) is plan
    transposed = (
        cnnfast.plan_conv_transpose2d(x.shape, draw(*weight.shape[:2], 4, 2, dtype=dtype), stride=2) if nhwc else plan
    )
    np.testing.assert_array_equal(run_plan_alone(transposed, x), transposed(x))


def test_a_global_plan() -> None:
    x = draw(1, 5, 5, 1)
    plan = cnnfast.plan_conv2d(x.shape, draw(3, 3, 1, 1))

    @njit
    def call(x):
        return plan(x)

    wanted = plan(x)
    np.testing.assert_array_equal(call(x), wanted)
    plan = None
    gc.collect()
    np.testing.assert_array_equal(call(x), wanted)  # compiled code keeps its plan


@njit
def strided(x, weight, stride, groups):
    return cnnfast.conv2d(x, weight, stride=stride, groups=groups)


@njit
def into(x, weight, bias, out):
    return cnnfast.conv2d(x, weight, bias, out=out)


@njit
def padded_pool(x, window, padding):
    return cnnfast.max_pool2d(x, window, padding=padding)


X, W = draw(1, 5, 5, 2), draw(3, 3, 2, 4)
REFUSED: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "stride": (strided, (X, W, 0, 1), "stride must be >= 1, got 0"),
    "negative stride": (strided, (X, W, -3, 1), "stride must be >= 1, got -3"),
    "huge stride": (strided, (X, W, 2**40, 1), "out of its range"),
    "groups 0": (strided, (X, W, 1, 0), "groups must be >= 1"),
    "groups": (strided, (X, W, 1, 3), "groups must be >= 1 and divide C 2 and K 4, got 3"),
    "channels": (strided, (X, W[:, :, :1], 1, 1), "weight must have C/groups = 2 channels, got 1"),
    "kernel": (strided, (X[:, :2], W, 1, 1), "kernel is larger"),
    "bias": (into, (X, W, W[0, 0, 0, :3], np.empty((1, 3, 3, 4), np.float32)), r"bias must have shape \(4,\)"),
    "out": (into, (X, W, W[0, 0, 0], np.empty((1, 3, 4, 4), np.float32)), "out must have y's shape"),
    "window": (padded_pool, (X, 0, 0), "kernel_size must be >= 1, got 0"),
    "padding": (padded_pool, (X, 2, 2), "padding of a pool must be <= half of kernel_size"),
    "negative padding": (padded_pool, (X, 2, -1), "padding must be >= 0, got -1"),
    "plan": (run_plan_alone, (cnnfast.plan_conv2d(X.shape, W), X[:, :4]), "plan's shape, 5 along axis 1, got 4"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_values_are_refused(case: str) -> None:
    function, arguments, says = REFUSED[case]
    with pytest.raises(ValueError, match=says):
        function(*arguments)


def test_an_output_over_an_input_is_refused() -> None:
    memory = np.zeros(50, np.float32)
    x, out = memory.reshape(1, 5, 5, 2), memory[10:46].reshape(1, 3, 3, 4)
    with pytest.raises(ValueError, match="overlap"):
        into(x, W, W[0, 0, 0], out)
    assert not memory.any()
    assert into(x, W, W[0, 0, 0], np.empty((1, 3, 3, 4), np.float32)).any()


def test_what_cannot_be_compiled_says_why() -> None:
    for arguments, says in (
        ((X.astype(np.int32), W), "x must be an array of float32 or float64"),
        ((X[0], W), "4 dimensions"),
    ):
        with pytest.raises(numba.TypingError, match=says):
            plain(*arguments)

    @njit
    def by_name(x, weight, layout):
        return cnnfast.conv2d(x, weight, layout=layout)

    with pytest.raises(numba.TypingError, match="layout must be written out"):
        by_name(X, W, "NHWC")
    read_only = np.zeros((1, 3, 3, 4), np.float32)
    read_only.flags.writeable = False
    with pytest.raises(numba.TypingError, match="out must be a writable"):
        into(X, W, W[0, 0, 0], read_only)


@njit(parallel=True)
def in_parallel(plan, images, weight, y, z):
    for i in numba.prange(images.shape[0]):
        plan(images[i : i + 1], None, y[i : i + 1])
        z[i : i + 1] = cnnfast.conv2d(images[i : i + 1], weight)


def test_prange() -> None:
    images, weight = draw(64, 12, 12, 3), draw(3, 3, 3, 8)
    plan = cnnfast.plan_conv2d((1, 12, 12, 3), weight)
    y, z = np.zeros((64, 10, 10, 8), np.float32), np.zeros((64, 10, 10, 8), np.float32)
    for _ in range(20):
        in_parallel(plan, images, weight, y, z)
    np.testing.assert_array_equal(y, plan(images))
    np.testing.assert_array_equal(z, y)


def test_threads_at_one_problem_keep_their_weights_apart() -> None:
    """Plans of small problems wait between calls: none may be two threads' at once."""
    x = draw(1, 6, 6, 3)
    weights = [draw(3, 3, 3, 4, seed=i) for i in range(4)]
    wanted = [cnnfast.conv2d(x, weight) for weight in weights]
    wrong = []

    @njit(nogil=True)
    def often(x, weight, wanted, times):
        bad = 0
        for _ in range(times):
            bad += not (cnnfast.conv2d(x, weight) == wanted).all()
        return bad

    often(x, weights[0], wanted[0], 1)
    threads = [
        threading.Thread(target=lambda i=i: wrong.append(often(x, weights[i], wanted[i], 5000))) for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0] * 4


CACHED = """
import numpy as np, numba, cnnfast, cnnfast.interop.numba

@numba.njit(cache=True)
def call(plan, x, weight):
    return plan(x), cnnfast.conv2d(x, weight), cnnfast.max_pool2d(x, 2)

if __name__ == "__main__":
    x, weight = np.ones((1, 4, 4, 1), np.float32), np.ones((3, 3, 1, 1), np.float32)
    y, z, m = call(cnnfast.plan_conv2d(x.shape, weight), x, weight)
    assert (y == 9).all() and (z == 9).all() and (m == 1).all()
    print(sum(call.stats.cache_hits.values()))
"""


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    program = tmp_path / "cached.py"
    program.write_text(CACHED)
    return program


def test_numbas_cache_holds_no_addresses(cached: Path) -> None:
    hits = []
    for _ in range(2):  # the second process loads what the first compiled, at other addresses
        done = subprocess.run([sys.executable, "-P", cached], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        hits.append(done.stdout.strip())
    assert hits == ["0", "1"]


def test_copies_live_as_long_as_the_call() -> None:
    """Copies so large that their memory would be unmapped as soon as nothing mentions them."""
    wide, weight = draw(2, 64, 128, 40), draw(3, 3, 40, 24, dtype=np.float64, seed=1)
    bias, x = draw(24, dtype=np.float64), wide[:, :, ::2]
    residual = draw(2, 64, 64, 48)[..., ::2]
    expected = cnnfast.conv2d(np.ascontiguousarray(x), weight, bias, padding=1, residual=residual, activation="gelu")
    for _ in range(5):
        got = full(x, weight, bias, residual, 1, 1, 1, 1)
        np.testing.assert_array_equal(got, expected)


@njit
def pooled(x, kernel_size, stride):
    return cnnfast.max_pool2d(x, kernel_size, stride)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64])
def test_integers_of_any_width(kind: Any) -> None:
    x, weight, bias = draw(1, 9, 9, 4), draw(3, 3, 2, 4, seed=1), draw(4, seed=2)
    residual = np.zeros((1, 4, 4, 4), np.float32)
    wanted = cnnfast.conv2d(x, weight, bias, stride=2, padding=1, dilation=2, groups=2, activation="gelu")
    got = full(x, weight, bias, residual, kind(2), kind(1), (kind(2), kind(2)), kind(2))
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(pooled(x, (kind(2), kind(3)), kind(2)), cnnfast.max_pool2d(x, (2, 3), 2))


def test_out_may_not_lie_between_what_is_read() -> None:
    memory = draw(1, 8, 8, 4)
    out = memory.reshape(-1)[64:80].reshape(1, 1, 8, 2)  # among x's channels, of which x is every second
    with pytest.raises(ValueError, match="out may not overlap an input"):
        same_nchw(memory[..., ::2], draw(1, 8, 1, 1), out)
