"""The convolutions' edges: what arguments mean, every kind of array, `out`. Values at large are verify's business."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference
from cnnfast.ops import shapes


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-9, 9, (2, 7, 6, 4)).astype(np.float32)


@pytest.fixture
def weight(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-9, 9, (3, 2, 4, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("padding", "sides"),
    [
        (1, ((1, 1), (1, 1))), ((2, 1), ((2, 2), (1, 1))), (((1, 0), (0, 2)), ((1, 0), (0, 2))),
        ("valid", ((0, 0), (0, 0))), ([[1, 0], [0, 2]], ((1, 0), (0, 2))), (np.int64(1), ((1, 1), (1, 1))),
        ((np.uint8(9), 7), ((9, 9), (7, 7))),
    ],
)  # fmt: skip
def test_padding_forms(x: np.ndarray, weight: np.ndarray, padding: Any, sides: Any) -> None:
    assert np.array_equal(cnnfast.conv2d(x, weight, padding=padding), reference.conv2d(x, weight, padding=sides))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), ((3, 1), 2)])
def test_same(x: np.ndarray, weight: np.ndarray, stride: Any, dilation: int, mode: str) -> None:
    step = stride if isinstance(stride, tuple) else (stride, stride)
    sides = tuple(shapes.same_padding(x.shape[1 + i], weight.shape[i], step[i], dilation) for i in range(2))
    options: dict[str, Any] = {"padding_mode": mode}
    y = cnnfast.conv2d(x, weight, padding="same", stride=stride, dilation=dilation, **options)
    assert y.shape == (2, -(7 // -step[0]), -(6 // -step[1]), 6)
    expected = reference.conv2d(x, weight, padding=sides, stride=step, dilation=(dilation,) * 2, **options)
    assert np.array_equal(y, expected)


def test_conv_transpose_same_grows_by_the_stride(x: np.ndarray, rng: np.random.Generator) -> None:
    weight = rng.integers(-9, 9, (3, 1, 5, 4)).astype(np.float32)
    y = cnnfast.conv_transpose2d(x, weight, stride=(2, 3), padding="same")
    assert y.shape == (2, 14, 18, 5)
    expected = reference.conv_transpose2d(x, weight, stride=(2, 3), padding=((0, 1), (0, 0)), output_padding=(0, 2))
    assert np.array_equal(y, expected)


def test_activation_slope(x: np.ndarray, weight: np.ndarray) -> None:
    default = cnnfast.conv2d(x, weight, activation="leaky_relu")
    assert np.array_equal(default, cnnfast.conv2d(x, weight, activation=("leaky_relu", 0.01)))
    y = cnnfast.conv2d(x, weight, activation=("leaky_relu", 0.5))
    assert np.array_equal(y, reference.conv2d(x, weight, activation=("leaky_relu", 0.5)))


def test_weights_are_cast_to_the_dtype_of_x(x: np.ndarray, weight: np.ndarray) -> None:
    expected = cnnfast.conv2d(x, weight, np.ones(6, np.float32), residual=np.ones((2, 5, 5, 6), np.float32))
    y = cnnfast.conv2d(x, weight.astype(np.float64), np.ones(6), residual=np.ones((2, 5, 5, 6)))
    assert y.dtype == np.float32
    assert np.array_equal(y, expected)
    wide = cnnfast.conv2d(x.astype(np.float64), weight, np.ones(6, np.float32), residual=np.ones(y.shape, np.float32))
    assert wide.dtype == np.float64
    assert np.array_equal(wide, expected)
    small = x.astype(np.int8)
    for kind in (np.int8, np.int16, np.uint32, np.int64):
        positive = np.abs(weight)
        assert np.array_equal(
            cnnfast.conv2d(small, positive.astype(kind)), reference.conv2d(small, positive.astype(int))
        )


def unaligned(array: np.ndarray) -> np.ndarray:
    raw = np.empty(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


def read_only(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


class OnlyDlpack:
    """An array of another library, which speaks DLPack and nothing else."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class OnlyArray:
    """An array of another library, which speaks `__array__` and nothing else."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


def list_of(array: np.ndarray) -> Any:
    return array.tolist()


SAME_VALUES: dict[str, Callable[[np.ndarray], Any]] = {
    "strided": lambda a: np.repeat(a, 2, axis=2)[:, :, ::2],
    "reversed": lambda a: np.ascontiguousarray(a[:, ::-1, :, ::-1])[:, ::-1, :, ::-1],
    "transposed": lambda a: np.ascontiguousarray(a.transpose(3, 2, 1, 0)).transpose(3, 2, 1, 0),
    "fortran": np.asfortranarray,
    "unaligned": unaligned,
    "read-only": read_only,
    "subclass": lambda a: a.copy().view(type("Subclass", (np.ndarray,), {})),
    "list": list_of,
    "memoryview": memoryview,
    "dlpack": OnlyDlpack,
    "array": OnlyArray,
}


@pytest.mark.parametrize("make", SAME_VALUES.values(), ids=SAME_VALUES)
def test_every_kind_of_array_works(x: np.ndarray, weight: np.ndarray, make: Callable[[np.ndarray], Any]) -> None:
    bias, residual = np.arange(6, dtype=np.float32), np.ones((2, 5, 5, 6), np.float32)
    expected = cnnfast.conv2d(x, weight, bias, residual=residual)
    before = x.copy(), weight.copy()
    y = cnnfast.conv2d(make(x) if make is not list_of else x, make(weight), bias, residual=make(residual))
    assert np.array_equal(y, expected)
    assert np.array_equal(before[0], x)
    assert np.array_equal(before[1], weight)
    plan = cnnfast.plan_conv2d(x.shape, weight, bias)
    if make is not list_of:  # whose numbers are float64
        assert np.array_equal(plan(make(x), make(residual)), expected)


def test_expanded_input(weight: np.ndarray) -> None:
    """Stride 0: one pixel seen everywhere."""
    x = np.broadcast_to(np.float32(2), (1, 5, 5, 4))
    assert np.array_equal(cnnfast.conv2d(x, weight), cnnfast.conv2d(np.full((1, 5, 5, 4), 2, np.float32), weight))


def test_torch_tensors(x: np.ndarray, weight: np.ndarray, torch: Any) -> None:
    expected = cnnfast.conv2d(x, weight)
    assert np.array_equal(cnnfast.conv2d(torch.from_numpy(x), torch.from_numpy(weight)), expected)
    nchw = torch.from_numpy(x.transpose(0, 3, 1, 2))  # torch's channels_last
    y = cnnfast.conv2d(nchw, weight.transpose(3, 2, 0, 1), layout="NCHW")
    assert np.array_equal(np.moveaxis(np.asarray(y), 1, 3), expected)
    out = np.empty_like(expected)
    assert cnnfast.plan_conv2d(x.shape, weight)(torch.from_numpy(x), out=out) is out
    assert np.array_equal(out, expected)


def test_out_of_any_stride(x: np.ndarray, weight: np.ndarray) -> None:
    expected = cnnfast.conv2d(x, weight)
    plan = cnnfast.plan_conv2d(x.shape, weight)
    for out in (
        np.full_like(expected, np.nan), np.full((2, 5, 5, 12), np.nan, np.float32)[..., 3:9], unaligned(expected * 0),
        np.full((6, 5, 5, 2), np.nan, np.float32).transpose(3, 2, 1, 0), np.full_like(expected, np.nan)[::-1],
    ):  # fmt: skip
        assert cnnfast.conv2d(x, weight, out=out) is out
        assert np.array_equal(out, expected)
        out[...] = np.nan
        assert plan(x, out=out) is out
        assert np.array_equal(out, expected)


def test_out_beside_x_in_one_buffer(weight: np.ndarray, x: np.ndarray) -> None:
    """Concatenation in place: x and out are channels of the same array, and share no byte."""
    expected = cnnfast.conv2d(x, weight, padding="same")
    both = np.zeros((2, 7, 6, 10), np.float32)
    both[..., :4] = x
    cnnfast.conv2d(both[..., :4], weight, padding="same", out=both[..., 4:])
    assert np.array_equal(both[..., 4:], expected)
    assert np.array_equal(both[..., :4], x)


def test_empty_batch(x: np.ndarray, weight: np.ndarray) -> None:
    assert cnnfast.conv2d(x[:0], weight).shape == (0, 5, 5, 6)
    out = np.empty((0, 5, 5, 6), np.float32)
    assert cnnfast.conv2d(x[:0], weight, out=out) is out
    assert cnnfast.plan_conv2d((0, 7, 6, 4), weight)(x[:0]).shape == (0, 5, 5, 6)
    assert np.array_equal(cnnfast.plan_conv2d((0, 7, 6, 4), weight)(x), cnnfast.conv2d(x, weight))
    assert cnnfast.conv2d(np.zeros((0, 7, 6, 4), np.int8), weight.astype(np.int8)).shape == (0, 5, 5, 6)
    assert cnnfast.conv_transpose2d(x[:0], np.ones((2, 2, 3, 4))).shape == (0, 8, 7, 3)


def test_padding_beyond_the_kernel(x: np.ndarray, weight: np.ndarray) -> None:
    y = cnnfast.conv2d(x, weight, padding=((40, 0), (0, 50)))
    assert np.array_equal(y, reference.conv2d(x, weight, padding=((40, 0), (0, 50))))


def test_zero_padding_times_an_infinite_weight_is_nan(x: np.ndarray) -> None:
    """As np.pad and the oracle say: padding is 0.0, and 0 * inf is NaN."""
    weight = np.full((3, 3, 4, 1), np.inf, np.float32)
    y = cnnfast.conv2d(np.abs(x) + 1, weight, padding=1)
    assert np.array_equal(np.isnan(y), np.isnan(reference.conv2d(np.abs(x) + 1, weight, padding=((1, 1), (1, 1)))))
    assert np.isnan(y[:, 0]).all()
    assert np.isposinf(y[:, 1:-1, 1:-1]).all()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_integers_at_their_limits(dtype: str) -> None:
    info = np.iinfo(dtype)
    for value in (info.min, info.max, 0):
        x = np.full((1, 1, 1, 1), value, dtype)
        if value > -(2**63):
            one = np.ones((1, 1, 1, 1), np.int8)
            assert cnnfast.conv2d(x, one).item() == value
            assert cnnfast.depthwise_conv2d(x, one, activation="relu").item() == max(0, value)


def test_overflow_is_judged_by_what_x_holds() -> None:
    """One call looks at x; a plan must hold for every x of the dtype."""
    x, weight = np.full((1, 1, 1, 1), 3, np.int8), np.full((1, 1, 1, 1), 2**28, np.int64)
    assert cnnfast.conv2d(x, weight).item() == 3 * 2**28
    with pytest.raises(ValueError, match=r"weight must keep every sum within int32.* 128"):
        cnnfast.plan_conv2d(x.shape, weight, dtype="int8")
    with pytest.raises(ValueError, match="weight must keep every sum within int32"):
        cnnfast.conv2d(x + 5, weight)
    with pytest.raises(ValueError, match="weight must keep every sum within int32"):
        cnnfast.conv2d(np.full_like(x, -8), weight)
    one, limit = np.ones((1, 1, 1, 1), np.int8), np.full((1, 1, 1, 1), 2**31 - 2)
    assert cnnfast.conv2d(one, limit, np.array([1])).item() == 2**31 - 1
    with pytest.raises(ValueError, match="and bias 2"):
        cnnfast.conv2d(one, limit, np.array([-2]))
    largest = np.full((1, 1, 1, 2), 2**62, np.int64)
    with pytest.raises(ValueError, match=r"within int64.*beyond 9223372036854775807"):
        cnnfast.conv2d(largest, np.ones((1, 1, 2, 1), np.int64))
    with pytest.raises(ValueError, match="within int64"):  # |-2**63| is its own negative in int64
        cnnfast.conv2d(np.ones((1, 1, 1, 1), np.int64), np.full((1, 1, 1, 1), -(2**63)))


def test_precision_from_the_environment(x: np.ndarray, weight: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNFAST_PRECISION", "strict")
    assert cnnfast.conv2d(x, weight).shape == (2, 5, 5, 6)
    monkeypatch.setenv("CNNFAST_PRECISION", "sloppy")
    assert cnnfast.conv2d(x, weight, precision="fast").shape == (2, 5, 5, 6)
    with pytest.raises(ValueError, match=r"CNNFAST_PRECISION must be one of .* got .sloppy"):
        cnnfast.conv2d(x, weight)


def test_more_than_2_to_the_31_elements() -> None:
    """Four corners of an image whose pixels no 32-bit index counts; untouched zeros take no memory."""
    try:
        x = np.zeros((1, 2**16, 2**15 + 1, 1), np.float32)
    except MemoryError:
        pytest.skip("needs 8.6 GB of address space")
    x[0, 0, 0, 0], x[0, -1, 0, 0], x[0, -1, -1, 0] = 5, 3, 9
    stride, one = (2**16 - 1, 2**15), np.ones((1, 1, 1, 1), np.float32)
    for algorithm in ("direct", "im2col", "plain"):
        assert cnnfast.conv2d(x, one, stride=stride, algorithm=algorithm).ravel().tolist() == [5, 0, 3, 9]
    y, index = cnnfast.max_pool2d(x, 1, stride, return_indices=True)
    assert y.ravel().tolist() == [5, 0, 3, 9]
    assert index.ravel().tolist() == [0, 2**15, (2**16 - 1) * (2**15 + 1), x.size - 1]
    nchw = x.reshape(1, 1, 2**16, 2**15 + 1)
    assert cnnfast.conv2d(nchw, one, stride=stride, layout="NCHW").ravel().tolist() == [5, 0, 3, 9]


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("past_line", [0, 4])
@pytest.mark.parametrize(("dtype", "channels"), [("float32", 256), ("float32", 264), ("float64", 384)])
@pytest.mark.parametrize(("kernel", "stride", "mode"), [(3, 1, "zeros"), (3, 2, "reflect"), (5, 1, "zeros")])
def test_depthwise_of_many_channels(
    rng: np.random.Generator, isa: str, past_line: int, dtype: str, channels: int, kernel: int, stride: int, mode: str
) -> None:
    """Pixels a multiple of 1 KB apart collide in a cache and are copied closer together; others are read in place."""
    raw = np.zeros(9 * 10 * channels + 32, dtype)
    start = -raw.ctypes.data % 64 // raw.itemsize + past_line
    x = raw[start : start + 9 * 10 * channels].reshape(1, 9, 10, channels)
    x[:] = rng.integers(-8, 8, x.shape)
    weight = rng.integers(-8, 8, (kernel, kernel, channels, 1)).astype(dtype)
    given: dict[str, Any] = {"stride": stride, "padding": 1, "padding_mode": mode}
    expected = reference.depthwise_conv2d(
        x, weight, stride=(stride, stride), padding=((1, 1), (1, 1)), padding_mode=mode
    )  # fmt: skip
    try:
        native.set_isa(isa)
        assert np.array_equal(cnnfast.depthwise_conv2d(x, weight, **given), expected)
    finally:
        native.set_isa(None)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding"),
    [
        ((9, 67), (3, 3), 2, 1, ((1, 1), (1, 1))), ((8, 33), (7, 7), 1, 1, ((3, 3), (3, 3))),
        ((3, 90), (5, 3), 1, 2, ((4, 4), (2, 1))), ((12, 40), (2, 2), 1, 1, ((0, 1), (1, 0))),
        ((5, 36), (3, 40), 1, 1, ((2, 0), (39, 39))), ((4, 70), (3, 5), (3, 2), 1, ((2, 2), (7, 0))),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_padding_around_long_rows(
    rng: np.random.Generator, isa: str, dtype: str, size: tuple[int, int], kernel: tuple[int, int], stride: Any,
    dilation: int, padding: Any, mode: str,
) -> None:  # fmt: skip
    """Outputs beyond the border read the image where it lies, the border's a copy; between two images of NaN."""
    if any(max(sides) > n for sides, n in zip(padding, size, strict=True)):
        mode = "zeros"
    x = np.full((3, *size, 6), np.nan, dtype)
    x[1] = rng.standard_normal((*size, 6))
    weight = rng.standard_normal((*kernel, 3, 10)).astype(dtype)
    given: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": padding, "groups": 2}
    given |= {"padding_mode": mode, "activation": "silu"}
    try:
        native.set_isa(isa)
        y = cnnfast.conv2d(x, weight, algorithm="direct", **given)[1]
        assert np.array_equal(y, cnnfast.conv2d(x[1:2], weight, algorithm="plain", **given)[0])
        assert not np.isnan(y).any()
    finally:
        native.set_isa(None)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_filters_over_one_channel(rng: np.random.Generator, isa: str, activation: str | None, dtype: str) -> None:
    """Neighbouring pixels share what they read, three taps at a time; a long activation comes after some rows."""
    try:
        native.set_isa(isa)
        for filters, taps in {1: (3, 1), 3: (1, 2), 4: (2, 3), 6: (5, 5), 7: (1, 7), 8: (3, 4), 9: (3, 3)}.items():
            x = rng.standard_normal((2, 61, 20 + filters, 1)).astype(dtype)
            weight = rng.standard_normal((*taps, 1, filters)).astype(dtype)
            given: dict[str, Any] = {"bias": weight[0, 0, 0], "activation": activation}
            y = cnnfast.conv2d(x, weight, algorithm="direct", **given)
            assert np.array_equal(y, cnnfast.conv2d(x, weight, algorithm="plain", **given)), (filters, taps)
            expected = reference.conv2d(x, weight, weight[0, 0, 0], activation=(activation, 0.0))
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    finally:
        native.set_isa(None)
