"""Plans of problems too large for any test to run: no grid beyond a device's, no index or stride beyond its bits."""

from typing import Any

import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends.cuda import linear
from cnnfast.backends.cuda.arrays import DeviceArray, contiguous_strides
from cnnfast.backends.cuda.kernel import GRID
from cnnfast.backends.cuda.kernels import depthwise_gradient, neighbours, pool_gradient, pooled, resized, softmaxed
from cnnfast.backends.cuda.kernels.channel_sums import Sums
from cnnfast.backends.cuda.kernels.neighbours import Neighbours
from cnnfast.backends.cuda.kernels.pooled import Pool
from cnnfast.backends.cuda.kernels.resized import Resize
from cnnfast.backends.cuda.kernels.softmaxed import Softmax
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.table import TABLE

types = toolchain.types


def conv(
    N: int, H: int, C: int, K: int, R: int, dtype: str = "float32", groups: int = 1, first: bool = False,
    precision: str = "default",
) -> Conv:  # fmt: skip
    """A "same" convolution in NHWC, or in NCHW (`first`)."""
    pad, c = R // 2, C // groups
    x, y = (
        (H * H * each, H, 1, H * H) if first else contiguous_strides((N, H, H, each)) for each in (C, K)
    )  # fmt: skip
    return Conv(
        N, H, H, C, K, R, R, H, H, (1, 1), ((pad, pad), (pad, pad)), (1, 1), groups, dtype, precision, x,
        (c * R, c, 1, c * R * R), y, cc=(9, 0),
    )  # fmt: skip


LARGE = [
    conv(1, 1, 280000, 280000, 1, groups=70000),
    conv(1, 1, 70000 * 8, 70000 * 8, 1, "float16", groups=70000),
    conv(1, 4, 70000, 64, 3),
    conv(1, 4, 64, 70000, 3),
    conv(1, 4, 70000, 64, 3, "float16"),
    conv(1, 1, 1 << 22, 16, 1, "float16", first=True),
    conv(1, 2, 8, 1 << 22, 1, "float16", first=True),
    conv(1, 2, 1 << 21, 8, 3, "bfloat16"),
    conv(1 << 15, 28, 64, 64, 3),
    conv(1 << 15, 28, 8, 8, 3, "float16", first=True),
    conv(1, 3, 70000, 70000, 3, groups=70000),
]


@pytest.mark.parametrize("op", ["conv2d", "linear", "conv2d_input", "conv2d_weight", "depthwise_input",
                                "depthwise_weight", "bias"])  # fmt: skip
def test_no_grid_is_too_large(op: str) -> None:
    plans = 0
    for problem in LARGE:
        given: Any = problem
        if op == "bias":
            given = Sums(problem.N, problem.P, problem.Q, problem.K, problem.dtype, problem.y_strides)
        if op == "linear" and (problem.R, problem.groups) != (1, 1):
            continue
        if op.startswith("depthwise") and problem.groups != problem.C:
            continue
        for row in TABLE[op]:
            for tile in row.tiles(given) if row.takes(given) else ():
                plans += 1
                for step in row.plan(given, tile).steps:
                    sizes = zip(step.grid, GRID, strict=True)
                    assert all(size <= most for size, most in sizes), (row.name, tile, step.grid)
                    assert step.kernel.block[0] * step.kernel.block[1] * step.kernel.block[2] <= 1024
    assert plans


WALK = 1 << 32, 1 << 16, 1, 1 << 20


def pool(H: int, P: int, **more: Any) -> Pool:
    """Of one image and channel."""
    return Pool("avg", 1, H, 1, 1, P, 1, (2, 2), (1, 1), (0, 0), (1, 1), "float32", WALK, WALK, **more)


TOO_MANY: dict[str, tuple[str, Any]] = {
    "resized": ("outputs", lambda: resized.plan(
        Resize("nearest", 1, 1 << 15, 1 << 15, 1, 1 << 16, 1 << 16, "float32", WALK, WALK), None)),
    "softmaxed": ("lines", lambda: softmaxed.plan(Softmax(False, False, 1 << 20, 4, 1 << 12, "float32"), None)),
    "neighbours": ("elements", lambda: neighbours.plan(
        Neighbours(1 << 32, 1 << 16, 1, 5, 1.0, 1.0, 1.0, "float32"), None)),
    "gathered": ("pixels' channels", lambda: pool_gradient.ROWS[1].plan(pool(1 << 32, 1 << 32), None)),
    "powers": ("pixels' channels", lambda: pool_gradient.ROWS[0].plan(
        pool(1 << 32, 1 << 32)._replace(kind="lp"), None)),
    "depthwise": ("pixels' channels", lambda: depthwise_gradient.INPUT_ROWS[1].plan(
        conv(1 << 12, 1 << 10, 3, 3, 3, groups=3), None)),
    "adaptive": ("an adaptive pool's", lambda: pooled.plan(pool(1 << 17, 1 << 15, adaptive=True), None)),
    "adaptive gradient": ("an adaptive pool's", lambda: pool_gradient.ROWS[1].plan(
        pool(1 << 17, 1 << 15, adaptive=True), None)),
    "filters' rows": ("kernel_size must be at most 256", lambda: depthwise_gradient.weight_plan(
        conv(1, 4, 3, 3, 257, groups=3), None)),
}  # fmt: skip


@pytest.mark.parametrize("case", TOO_MANY)
def test_what_32_bits_do_not_count_is_refused(case: str) -> None:
    message, plan = TOO_MANY[case]
    with pytest.raises(ValueError, match=message):
        plan()


@pytest.mark.parametrize("op", ["conv2d", "conv2d_input"])
def test_strides_of_axes_of_size_1_fit(op: str) -> None:
    problem = conv(1, 4, 8, 8, 3)._replace(x_strides=(1 << 40, 32, 8, 1), y_strides=(1 << 40, 32, 8, 1))
    row = next(row for row in TABLE[op] if row.name == "direct")
    for step in row.plan(problem, row.tiles(problem)[0]).steps:
        kinds = step.kernel.parameters[-len(step.scalars) :]
        narrow = [each for each, kind in zip(step.scalars, kinds, strict=True) if kind == types.int32]
        assert narrow
        assert max(map(abs, narrow)) < 2**31


def test_rows_far_apart_fit() -> None:
    rows, close = (DeviceArray(None, (3, 4), (step, 1), "float32", 0, 0, 0, None) for step in (1 << 30, 4))
    problem = linear.problem_of(rows, close._replace(shape=(4, 4)), close, "default")
    assert problem.x_strides == (0, 0, 1 << 30, 1)


def test_copies_of_weights_have_their_own_names() -> None:
    problem = conv(1, 5, 6, 6, 3)._replace(stride=(2, 2), P=3, Q=3, weight_strides=(0, 0, 1, 6))
    (row,) = TABLE["conv2d_input"]
    plan = row.plan(problem, row.tiles(problem)[0])
    written = [step.arrays[1] for step in plan.steps if step.kernel.name.startswith("pack")]
    assert len(set(written)) == len(written) == 4
