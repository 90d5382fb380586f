"""Winograd's rows: values against the chain in float64, what they refuse, and how far they err."""

import math

import numpy as np
import pytest

import cnnfast
from cnnfast.bench.oracle import GROWTH
from cnnfast.verification.expected_winograd import ROWS, transforms

ANY_CHANNELS = [row for row in ROWS if row not in ("winograd_stem", "winograd_grouped")]
SIZES = {
    row: [(3, 3)] if stride == 2 else [(7, 1), (1, 7)] if r == 7 else [(r, r), (r, 1), (1, r)]
    for row, (_, r, stride) in ((row, ROWS[row]) for row in ANY_CHANNELS)
}
"""The kernels they take."""
EVERY_SIZE = [(row, size) for row, sizes in SIZES.items() for size in sizes]


@pytest.mark.parametrize("row", ROWS)
def test_the_matrices_convolve(row: str, rng: np.random.Generator) -> None:
    bt, g, at = transforms(*ROWS[row])
    d, taps = rng.standard_normal(bt.shape[1]), rng.standard_normal(g.shape[1])
    assert np.allclose(at @ ((g @ taps) * (bt @ d)), np.correlate(d, taps, "valid")[:: ROWS[row][2]], rtol=1e-12)


@pytest.mark.parametrize("row", ROWS)
def test_the_benchmark_knows_how_far_intermediates_grow(row: str) -> None:
    bt, g, at = map(np.abs, transforms(*ROWS[row]))
    one_axis = (at @ (g.sum(axis=1) * bt.sum(axis=1))).max() / g.shape[1]
    assert one_axis**2 <= GROWTH[row] <= 1.01 * one_axis**2


@pytest.mark.parametrize(("row", "size"), EVERY_SIZE)
def test_a_delta_copies_the_image(row: str, size: tuple[int, int], rng: np.random.Generator) -> None:
    """A kernel of one 1 at its centre, for every size of image from one pixel to three tiles."""
    (R, S), stride = size, ROWS[row][2]
    weight = np.zeros((R, S, 3, 3), np.float32)
    weight[R // 2, S // 2] = np.eye(3)
    for height in range(1, 20):
        x = rng.standard_normal((2, height, 20 - height, 3), dtype=np.float32)
        settings = {"padding": (R // 2, S // 2), "stride": stride, "algorithm": row, "precision": "fast"}
        assert np.abs(cnnfast.conv2d(x, weight, **settings) - x[:, ::stride, ::stride]).max() < 2e-5


@pytest.mark.parametrize("dilation", [(1, 1), (2, 2), (3, 1), (12, 7)])
@pytest.mark.parametrize(("row", "size"), [each for each in EVERY_SIZE if ROWS[each[0]][2] == 1])
def test_dilation_is_interleaved_images(
    row: str, size: tuple[int, int], dilation: tuple[int, int], rng: np.random.Generator
) -> None:
    x = rng.standard_normal((2, 31, 33, 5))
    weight, residual = rng.standard_normal((*size, 5, 9)), rng.standard_normal((2, 31, 33, 9))
    settings = {"padding": "same", "dilation": dilation, "residual": residual, "activation": "tanh"}
    y = cnnfast.conv2d(x, weight, algorithm=row, precision="fast", **settings)
    assert np.abs(y - cnnfast.conv2d(x, weight, algorithm="direct", **settings)).max() < 1e-12


@pytest.mark.parametrize("row", [row for row in ANY_CHANNELS if ROWS[row][2] == 2])
def test_stride_two_reads_to_its_last_row(row: str, rng: np.random.Generator) -> None:
    """Whatever rows and columns are left over beside the tiles' outputs, in x or in the padding."""
    bias, weight = rng.standard_normal(82), rng.standard_normal((3, 3, 10, 41))
    w = np.concatenate([weight, -weight], axis=3)
    for height in range(6, 14):
        x = rng.standard_normal((2, height, 21 - height, 20))
        for padding in ("same", 0, ((1, 0), (0, 1)), ((3, 4), (5, 2))):
            settings = {"padding": padding, "stride": 2, "groups": 2, "bias": bias, "activation": "relu"}
            y, right = (cnnfast.conv2d(x, w, algorithm=each, **settings) for each in (row, "direct"))
            assert np.abs(y - right).max() < 1e-12
    with pytest.raises(ValueError, match="does not take this problem"):
        cnnfast.conv2d(x, w, stride=2, dilation=2, padding=2, groups=2, algorithm=row)


@pytest.mark.parametrize("channels", [64, 512])
@pytest.mark.parametrize(("row", "size"), [(row, sizes[0]) for row, sizes in SIZES.items()])
def test_error_beside_direct(row: str, size: tuple[int, int], channels: int, rng: np.random.Generator) -> None:
    """Root mean square, on normal data."""
    allowed = 10.0 if row == "winograd_f63" else 2.5
    stride = ROWS[row][2]
    x = rng.standard_normal((1, 24, 24, channels), dtype=np.float32)
    weight = rng.standard_normal((*size, channels, 8), dtype=np.float32)
    right = cnnfast.conv2d(x.astype(np.float64), weight.astype(np.float64), stride=stride, algorithm="direct")
    errors = {
        each: np.sqrt(
            np.mean((cnnfast.conv2d(x, weight, stride=stride, algorithm=each, precision="fast") - right) ** 2)
        )
        for each in (row, "direct")
    }
    assert errors[row] <= allowed * errors["direct"]


def test_precision_decides_who_may() -> None:
    weight = np.ones((3, 3, 64, 64), np.float32)

    def rows(precision: str) -> set[str]:
        candidates = cnnfast.plan_conv2d((1, 56, 56, 64), weight, precision=precision).explain().candidates
        return {each.algorithm for each in candidates if each.accepts}

    assert rows("fast") - rows("default") == {"winograd_f63"}
    assert rows("default") - rows("strict") == {"winograd_f23", "winograd_f43"}
    assert cnnfast.plan_conv2d((1, 56, 56, 64), weight, padding=1).explain().algorithm == "winograd_f43"
    with pytest.raises(ValueError, match=r'"winograd_f63" does not take this problem'):
        cnnfast.plan_conv2d((1, 56, 56, 64), weight, algorithm="winograd_f63")


@pytest.mark.parametrize(
    ("row", "size"),
    [("winograd_f43", (3, 3)), ("winograd_f23", (3, 3)), ("winograd_f63", (3, 3)), ("winograd_f25", (5, 5)),
     ("winograd_f43", (3, 1)), ("winograd_f43", (1, 3)), ("winograd_f47", (1, 7))],
)  # fmt: skip
def test_it_says_how_little_it_multiplies(row: str, size: tuple[int, int]) -> None:
    """m + r - 1 products along an axis of each tile; one less where the tile lacks its last output."""
    plan = cnnfast.plan_conv2d((3, 17, 14, 10), np.ones((*size, 5, 6), np.float32), groups=2, precision="fast")
    told = {each.algorithm: each.flops for each in plan.explain().candidates if each.accepts}
    (p, q), m = plan.output_shape()[1:3], ROWS[row][0]

    def products(outputs: int, taps: int) -> int:
        each = 13 if taps == 7 else m + taps - 1
        return outputs if taps == 1 else math.ceil(outputs / m) * each - (outputs % m > 0)

    assert told[row] == 3 * 2 * products(p, size[0]) * products(q, size[1]) * 5 * 6
    assert told["direct"] == plan.explain().flops == 3 * 2 * p * q * math.prod(size) * 5 * 6


@pytest.mark.parametrize(("row", "products"), [("winograd_f33s2", 2 * 7 + 5), ("winograd_f23s2", 3 * 5 + 3)])
def test_stride_two_multiplies_for_the_outputs_there_are(row: str, products: int) -> None:
    """Seven outputs: two tiles of three or three of two, and one whose last output, of two products, is not there."""
    plan = cnnfast.plan_conv2d((1, 14, 14, 512), np.ones((3, 3, 512, 64), np.float32), padding=1, stride=2)
    told = {each.algorithm: each.flops for each in plan.explain().candidates if each.accepts}
    assert told[row] == 2 * products**2 * 512 * 64


@pytest.mark.parametrize(
    ("side", "batch", "row"),
    [(7, 1, "winograd_f23"), (13, 1, "winograd_f23"), (13, 8, "winograd_f43"), (26, 1, "winograd_f43")],
)
def test_weights_that_no_cache_keeps_count(side: int, batch: int, row: str) -> None:
    """512 to 1024 channels: 76 MB of weights for F(4x4) and 34 for F(2x2), worth it where many pixels use them."""
    weight = np.ones((3, 3, 512, 1024), np.float32)
    assert cnnfast.plan_conv2d((batch, side, side, 512), weight, padding=1).explain().algorithm == row


@pytest.mark.parametrize("row", ["winograd_f23", "winograd_f43"])
def test_many_weights_in_blocks_of_many_tiles(row: str, rng: np.random.Generator) -> None:
    """Of more than 24 MB, with more tiles than a block has."""
    x, weight = rng.standard_normal((1, 31, 33, 512)), rng.standard_normal((3, 3, 512, 740)) / 50
    y = cnnfast.conv2d(x, weight, padding=1, algorithm=row)
    assert np.abs(y - cnnfast.conv2d(x, weight, padding=1, algorithm="direct")).max() < 1e-12


def test_packing_counts_in_a_single_call() -> None:
    """A deep layer on a small map: a call would spend most of its time on the weights' transform, a plan does not."""
    x, weight = np.ones((1, 7, 7, 512), np.float32), np.ones((3, 3, 512, 512), np.float32)
    direct = cnnfast.conv2d(x, weight, padding=1, algorithm="direct")
    assert np.array_equal(cnnfast.conv2d(x, weight, padding=1), direct)
    assert cnnfast.plan_conv2d(x.shape, weight, padding=1).explain().algorithm.startswith("winograd")


def test_nan_stays_within_its_tile() -> None:
    x = np.zeros((1, 16, 16, 1), np.float32)
    x[0, 7, 7] = np.nan
    y = cnnfast.conv2d(x, np.ones((3, 3, 1, 1), np.float32), padding=1, algorithm="winograd_f43")[0, :, :, 0]
    spread = np.zeros((16, 16), bool)
    spread[4:12, 4:12] = True  # row 7 is read by the tiles of rows 4..7 and 8..11
    assert np.isnan(y[6:9, 6:9]).all()
    assert not np.isnan(y[~spread]).any()


@pytest.mark.parametrize(("inner", "outer"), [(2, 2), (3, 5), (4, 4), (5, 3), (8, 8), (2, 1), (12, 12), (9, 16)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_groups_in_a_vector(inner: int, outer: int, dtype: type, rng: np.random.Generator) -> None:
    """Several groups a vector, or one that takes several; 1 to 25 tiles an image: four in a row, of two rows, fewer."""
    groups = 7
    weight = rng.standard_normal((3, 3, inner, groups * outer)).astype(dtype)
    for size, dilation in ((3, 1), (8, 1), (11, 1), (18, 1), (17, 2)):
        x = rng.standard_normal((2, size, size, groups * inner)).astype(dtype)
        settings = {"padding": dilation, "dilation": dilation, "groups": groups, "activation": "relu"}
        y = cnnfast.conv2d(x, weight, algorithm="winograd_grouped", **settings)
        right = cnnfast.conv2d(x.astype(np.float64), weight.astype(np.float64), algorithm="direct", **settings)
        assert np.abs(y - right).max() < (1e-4 if dtype is np.float32 else 1e-12)


def test_a_group_keeps_its_nan() -> None:
    x, weight = np.ones((1, 8, 8, 16), np.float32), np.ones((3, 3, 4, 16), np.float32)
    x[0, 4, 4, 5] = np.nan
    y = cnnfast.conv2d(x, weight, padding=1, groups=4, algorithm="winograd_grouped")
    assert np.isnan(y[0, 4, 4, 4:8]).all()
    assert not np.isnan(y[..., :4]).any()
    assert not np.isnan(y[..., 8:]).any()
