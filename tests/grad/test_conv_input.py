"""Gradients of convolutions with respect to their input: finite differences, the oracle, torch, and bad calls."""

import itertools
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference
from cnnfast.backends.reference import grad as oracle

TURN = (3, 2, 0, 1)
"""(R, S, in, out) to (out, in, R, S)."""


def first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def numbers(rng: Any, *shape: int) -> np.ndarray:
    """Integers, whose products' sums are exact."""
    return rng.integers(-4, 5, shape).astype(np.float64)


def lowered(keywords: dict[str, Any], axes: int = 2) -> dict[str, Any]:
    """A case's keywords as the oracle takes them."""

    def each(value: Any) -> Any:
        return value if isinstance(value, tuple) else (value,) * axes

    more = dict(keywords)
    for name in {"stride", "dilation", "output_padding"} & set(more):
        more[name] = each(more[name])
    if "padding" in more:
        sides = each(more["padding"])
        more["padding"] = tuple(value if isinstance(value, tuple) else (value, value) for value in sides)
    return more


# H, W, C, K, R, S and the keywords
CONV2D: list[Any] = [
    ((5, 6, 3, 4, 3, 2), {}),
    ((6, 5, 4, 3, 3, 3), {"padding": 1}),
    ((7, 6, 2, 3, 3, 3), {"stride": 2, "padding": 1}),
    ((8, 7, 2, 2, 3, 3), {"stride": (3, 2), "padding": ((1, 0), (2, 1))}),
    ((8, 9, 2, 2, 2, 3), {"stride": 3, "dilation": (2, 1)}),
    ((7, 8, 3, 2, 3, 2), {"dilation": 2, "padding": ((2, 1), (1, 3))}),
    ((6, 6, 4, 6, 3, 3), {"groups": 2, "padding": 1}),
    ((7, 6, 4, 6, 3, 3), {"groups": 2, "padding": 1, "stride": 2}),
    ((4, 5, 3, 2, 1, 1), {}),
    ((5, 5, 3, 2, 1, 1), {"stride": 2}),
    ((9, 9, 3, 4, 7, 7), {"stride": 2, "padding": 3}),
    ((3, 3, 2, 3, 3, 3), {"padding": 4}),
    ((5, 4, 2, 3, 3, 3), {"padding": 2, "padding_mode": "reflect"}),
    ((5, 4, 2, 3, 3, 3), {"padding": ((1, 2), (3, 0)), "padding_mode": "replicate", "stride": 2}),
    ((5, 4, 2, 3, 3, 3), {"padding": (5, 4), "padding_mode": "circular", "dilation": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("sizes", "keywords"), CONV2D, ids=str)
def test_conv2d(sizes: tuple[int, ...], keywords: dict[str, Any], rng: Any, assert_gradient: Any) -> None:
    H, W, C, K, R, S = sizes
    more = lowered(keywords)
    x, weight = numbers(rng, 2, H, W, C), numbers(rng, R, S, C // keywords.get("groups", 1), K)
    grad_output = numbers(rng, *reference.conv2d(x, weight, **more).shape)
    right = oracle.conv2d_input(grad_output, weight, input_shape=x.shape, **more)
    assert_gradient(
        lambda x, weight: reference.conv2d(x, weight, **more), {"x": x, "weight": weight}, "x", right, grad_output
    )
    for dtype in (np.float64, np.float32):
        got = cnnfast.grad.conv2d_input(grad_output.astype(dtype), weight, x.shape, precision="strict", **keywords)
        assert got.dtype == dtype
        assert got.flags.c_contiguous
        assert np.array_equal(got, right)
    out = np.empty(first(right).shape)
    turned = np.transpose(weight, TURN)
    got = cnnfast.grad.conv2d_input(
        first(grad_output), turned, out.shape, layout="NCHW", precision="strict", out=out, **keywords
    )
    assert got is out
    assert np.array_equal(out, first(right))
    right = oracle.conv2d_input(first(grad_output), turned, input_shape=out.shape, layout="NCHW", **more)
    assert np.array_equal(right, out)


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize(
    "keywords",
    [{}, {"padding": 1}, {"stride": 2, "padding": 1}, {"stride": (1, 2), "dilation": 2, "padding": (2, 3)},
     {"stride": 2, "padding": ((0, 1), (1, 0)), "padding_mode": "reflect"}, {"stride": 3}],
    ids=str,
)  # fmt: skip
def test_depthwise_conv2d(multiplier: int, keywords: dict[str, Any], rng: Any, assert_gradient: Any) -> None:
    more = lowered(keywords)
    x, weight = numbers(rng, 2, 7, 6, 3), numbers(rng, 3, 3, 3, multiplier)
    grad_output = numbers(rng, *reference.depthwise_conv2d(x, weight, **more).shape)
    right = oracle.depthwise_conv2d_input(grad_output, weight, input_shape=x.shape, **more)
    assert_gradient(
        lambda x, weight: reference.depthwise_conv2d(x, weight, **more),
        {"x": x, "weight": weight}, "x", right, grad_output,
    )  # fmt: skip
    assert np.array_equal(cnnfast.grad.depthwise_conv2d_input(grad_output, weight, x.shape, **keywords), right)
    turned = np.ascontiguousarray(np.transpose(weight.reshape(3, 3, 1, 3 * multiplier), TURN))
    shape = first(x).shape
    got = cnnfast.grad.depthwise_conv2d_input(first(grad_output), turned, shape, layout="NCHW", **keywords)
    assert np.array_equal(got, first(right))


@pytest.mark.parametrize(
    "padding", [0, 1, ((0, 1), (0, 1)), ((1, 0), (2, 1)), ((2, 2), (0, 3)), ((3, 1), (3, 3))], ids=str
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_depthwise_by_squares(dtype: Any, padding: Any, rng: Any, isa: str) -> None:
    """3x3 at stride 2 of any few pixels: the squares inside, and rows and columns at each border."""
    more = lowered({"stride": 2, "padding": padding})
    for H, W in itertools.product((1, 2, 3, 4, 5, 8, 17), (1, 2, 3, 4, 9, 10, 19)):
        (top, bottom), (left, right) = more["padding"]
        if H + top + bottom < 3 or W + left + right < 3:
            continue
        x, weight = numbers(rng, 2, H, W, 19).astype(dtype), numbers(rng, 3, 3, 19, 1).astype(dtype)
        grad_output = numbers(rng, *reference.depthwise_conv2d(x, weight, **more).shape).astype(dtype)
        expected = oracle.depthwise_conv2d_input(grad_output, weight, input_shape=x.shape, **more)
        got = cnnfast.grad.depthwise_conv2d_input(grad_output, weight, x.shape, stride=2, padding=padding)
        assert np.array_equal(got, expected), (H, W)


@pytest.mark.parametrize(
    "keywords",
    [{}, {"stride": 2}, {"stride": (2, 3), "padding": 1, "output_padding": (1, 2)}, {"padding": 1}, {"groups": 2},
     {"stride": 2, "padding": ((1, 0), (0, 1)), "dilation": 2, "groups": 2}],
    ids=str,
)  # fmt: skip
def test_conv_transpose2d(keywords: dict[str, Any], rng: Any, assert_gradient: Any) -> None:
    more = lowered(keywords)
    x, weight = numbers(rng, 2, 4, 3, 4), numbers(rng, 3, 3, 6 // keywords.get("groups", 1), 4)
    grad_output = numbers(rng, *reference.conv_transpose2d(x, weight, **more).shape)
    right = oracle.conv_transpose2d_input(grad_output, weight, **more)
    assert_gradient(
        lambda x, weight: reference.conv_transpose2d(x, weight, **more),
        {"x": x, "weight": weight}, "x", right, grad_output,
    )  # fmt: skip
    function = cnnfast.grad.conv_transpose2d_input
    assert np.array_equal(function(grad_output, weight, precision="strict", **keywords), right)
    got = function(first(grad_output), np.transpose(weight, TURN), layout="NCHW", precision="strict", **keywords)
    assert np.array_equal(got, first(right))


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_conv_transpose2d_same(kernel: int, rng: Any) -> None:
    x, weight = numbers(rng, 1, 3, 4, 2), numbers(rng, kernel, kernel, 3, 2)
    grad_output = numbers(rng, *cnnfast.conv_transpose2d(x, weight, stride=2, padding="same").shape)
    got = cnnfast.grad.conv_transpose2d_input(grad_output, weight, stride=2, padding="same", precision="strict")
    spare = max(kernel - 2, 0)
    sides = (spare // 2, spare - spare // 2)
    more = {"stride": (2, 2), "padding": (sides, sides), "output_padding": (max(2 - kernel, 0),) * 2}
    assert np.array_equal(got, oracle.conv_transpose2d_input(grad_output, weight, **more))


@pytest.mark.parametrize(
    "keywords",
    [{}, {"stride": 2, "padding": 1}, {"padding": (2, 0), "dilation": 2}, {"groups": 2, "padding": 3},
     {"padding": (1, 2), "padding_mode": "reflect", "stride": 2}],
    ids=str,
)  # fmt: skip
def test_conv1d(keywords: dict[str, Any], rng: Any, assert_gradient: Any) -> None:
    more = dict(keywords)
    if isinstance(more.get("padding"), int):
        more["padding"] = (more["padding"],) * 2
    x, weight = numbers(rng, 2, 8, 4), numbers(rng, 3, 4 // keywords.get("groups", 1), 6)
    grad_output = numbers(rng, *reference.conv1d(x, weight, **more).shape)
    right = oracle.conv1d_input(grad_output, weight, input_shape=x.shape, **more)
    assert_gradient(
        lambda x, weight: reference.conv1d(x, weight, **more), {"x": x, "weight": weight}, "x", right, grad_output
    )
    got = cnnfast.grad.conv1d_input(grad_output, weight, x.shape, precision="strict", **keywords)
    assert np.array_equal(got, right)
    out = np.empty(first(x).shape)
    turned = np.transpose(weight, (2, 1, 0))
    cnnfast.grad.conv1d_input(
        first(grad_output), turned, out.shape, layout="NCL", precision="strict", out=out, **keywords
    )
    assert np.array_equal(out, first(right))


@pytest.mark.parametrize(
    "keywords",
    [{}, {"stride": 2, "padding": 1}, {"stride": (1, 2, 1), "dilation": (2, 1, 1), "padding": (2, 0, 1), "groups": 2},
     {"padding": (2, 1, 1), "padding_mode": "replicate"}],
    ids=str,
)  # fmt: skip
def test_conv3d(keywords: dict[str, Any], rng: Any, assert_gradient: Any) -> None:
    more = lowered(keywords, 3)
    x, weight = numbers(rng, 1, 5, 4, 3, 2), numbers(rng, 3, 2, 2, 2 // keywords.get("groups", 1), 4)
    grad_output = numbers(rng, *reference.conv3d(x, weight, **more).shape)
    right = oracle.conv3d_input(grad_output, weight, input_shape=x.shape, **more)
    assert_gradient(
        lambda x, weight: reference.conv3d(x, weight, **more), {"x": x, "weight": weight}, "x", right, grad_output
    )
    got = cnnfast.grad.conv3d_input(grad_output, weight, x.shape, precision="strict", **keywords)
    assert np.array_equal(got, right)
    turned = np.transpose(weight, (4, 3, 0, 1, 2))
    got = cnnfast.grad.conv3d_input(
        first(grad_output), turned, first(x).shape, layout="NCDHW", precision="strict", **keywords
    )
    assert np.array_equal(got, first(right))


# Large enough that every kernel's fast path is met: N, H, W, C, K, R and the keywords
LARGE: list[Any] = [
    ((2, 30, 31, 24, 40, 3), {"padding": 1}), ((2, 17, 19, 40, 24, 3), {"padding": 1, "stride": 2}),
    ((1, 33, 30, 3, 64, 7), {"padding": 3, "stride": 2}), ((1, 14, 14, 64, 64, 1), {}),
    ((1, 15, 14, 64, 32, 1), {"stride": 2}), ((2, 20, 21, 64, 64, 3), {"padding": 1, "groups": 16}),
    ((2, 20, 21, 64, 64, 3), {"padding": 1, "groups": 16, "stride": 2}),
    ((2, 22, 23, 48, 48, 3), {"padding": 1, "groups": 48}),
    ((2, 23, 22, 48, 48, 3), {"padding": 1, "groups": 48, "stride": 2}),
    ((2, 22, 23, 48, 48, 5), {"padding": 2, "groups": 48, "stride": 2}),
    ((1, 20, 20, 16, 6, 5), {}), ((1, 24, 24, 16, 16, 3), {"padding": 2, "dilation": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("sizes", "keywords"), LARGE, ids=str)
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_large_ones_agree_with_the_oracle(layout: str, sizes: Any, keywords: Any, rng: Any, isa: str) -> None:
    N, H, W, C, K, R = sizes
    shape = (N, H, W, C) if layout == "NHWC" else (N, C, H, W)
    weight = rng.standard_normal((R, R, C // keywords.get("groups", 1), K), np.float32)
    if layout == "NCHW":
        weight = np.ascontiguousarray(np.transpose(weight, TURN))
    y = cnnfast.conv2d(np.zeros(shape, np.float32), weight, layout=layout, **keywords)
    grad_output = rng.standard_normal(y.shape, np.float32)
    right = oracle.conv2d_input(grad_output, weight, input_shape=shape, layout=layout, **lowered(keywords))
    got = cnnfast.grad.conv2d_input(grad_output, weight, shape, layout=layout, **keywords)
    assert np.abs(got - right).max() < 3e-6 * np.abs(right).max()


@pytest.mark.parametrize(("sizes", "keywords"), LARGE, ids=str)
def test_threads_change_no_bit(sizes: Any, keywords: Any, rng: Any) -> None:
    N, H, W, C, K, R = sizes
    weight = rng.standard_normal((R, R, C // keywords.get("groups", 1), K), np.float32)
    shape = (N, H, W, C)
    grad_output = rng.standard_normal(cnnfast.conv2d(np.zeros(shape, np.float32), weight, **keywords).shape, np.float32)
    before, results = cnnfast.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            cnnfast.set_num_threads(threads)
            results.append(cnnfast.grad.conv2d_input(grad_output, weight, shape, **keywords))
    finally:
        cnnfast.set_num_threads(before)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


@pytest.mark.parametrize(("sizes", "keywords"), LARGE, ids=str)
def test_torch_agrees(sizes: Any, keywords: Any, rng: Any, torch: Any) -> None:
    N, H, W, C, K, R = sizes
    weight = rng.standard_normal((K, C // keywords.get("groups", 1), R, R), np.float32)
    x = torch.zeros((N, C, H, W), requires_grad=True)
    y = torch.nn.functional.conv2d(x, torch.from_numpy(weight), **keywords)
    grad_output = rng.standard_normal(tuple(y.shape), np.float32)
    y.backward(torch.from_numpy(grad_output))
    got = cnnfast.grad.conv2d_input(grad_output, weight, (N, C, H, W), layout="NCHW", **keywords)
    assert np.abs(got - x.grad.numpy()).max() < 6e-6 * np.abs(got).max()


@pytest.mark.parametrize(("C", "groups"), [(64, 1), (64, 16)])
def test_outputs_of_padding_alone_are_not_read(C: int, groups: int, rng: Any) -> None:
    weight = rng.standard_normal((3, 3, C // groups, C), np.float32)
    right = rng.standard_normal((1, 29, 29, C), np.float32)  # of 21 x 21, padded by 5: the outer 3 see no pixel
    grad_output = np.full_like(right, np.nan)
    grad_output[:, 3:26, 3:26] = right[:, 3:26, 3:26]
    given = weight, (1, 21, 21, C)
    found = [cnnfast.grad.conv2d_input(g, *given, padding=5, groups=groups) for g in (right, grad_output)]
    assert np.array_equal(*found)


def test_an_empty_batch_has_an_empty_gradient() -> None:
    weight = np.ones((3, 3, 2, 4), np.float32)
    grad = cnnfast.grad.conv2d_input(np.ones((0, 3, 4, 4), np.float32), weight, (0, 5, 6, 2))
    assert grad.shape == (0, 5, 6, 2)
    volume = cnnfast.grad.conv3d_input(np.ones((0, 2, 3, 4, 4), np.float32), weight[np.newaxis], (0, 2, 5, 6, 2))
    assert volume.shape == (0, 2, 5, 6, 2)


def test_padding_same_and_strided_arrays(rng: Any) -> None:
    weight, grad_output = numbers(rng, 3, 3, 2, 4), numbers(rng, 1, 4, 4, 8)[..., ::2]
    right = oracle.conv2d_input(grad_output, weight, input_shape=(1, 8, 7, 2), stride=(2, 2), padding=((0, 1), (1, 1)))
    out = np.full((1, 8, 7, 4), np.nan)
    got = cnnfast.grad.conv2d_input(grad_output, weight, [1, 8, 7, 2], stride=2, padding="same", out=out[..., 1:3])
    assert np.array_equal(got, right)
    assert np.isnan(out[..., 0]).all()
    assert np.isnan(out[..., 3]).all()


F = np.float32
GOOD: dict[str, Any] = {
    "grad_output": np.ones((1, 3, 5, 6), F), "weight": np.ones((3, 2, 4, 6), F), "input_shape": (1, 5, 6, 4)
}  # fmt: skip
BAD: list[Any] = [
    ({"grad_output": np.ones((1, 3, 4, 6), F)}, ValueError, "grad_output must have the output's shape"),
    ({"grad_output": np.ones((2, 3, 5, 6), F)}, ValueError, "grad_output must have the output's shape"),
    ({"grad_output": np.ones((0, 3, 5, 6), F)}, ValueError, "grad_output must have the output's shape"),
    ({"grad_output": np.ones((1, 0, 5, 6), F)}, ValueError, "grad_output must have no empty dimension"),
    ({"grad_output": np.ones((3, 5, 6), F)}, ValueError, "grad_output must have 4 dimensions"),
    ({"grad_output": np.ones((1, 3, 5, 6), int)}, TypeError, "grad_output must have a dtype"),
    ({"grad_output": None}, TypeError, "grad_output"),
    ({"weight": np.ones((3, 2, 3, 6), F)}, ValueError, "weight must have C/groups = 4"),
    ({"weight": np.ones((3, 2, 4, 6), int)}, TypeError, "weight must be floating"),
    ({"weight": np.ones((3, 2, 4), F)}, ValueError, "weight must have 4 dimensions"),
    ({"weight": np.ones((6, 2, 4, 6), F)}, ValueError, "weight must fit"),
    ({"input_shape": (1, 5, 6)}, ValueError, "input_shape must be"),
    ({"input_shape": 5}, TypeError, "input_shape must be"),
    ({"input_shape": (1, 5, 0, 4)}, ValueError, "input_shape must have no empty"),
    ({"input_shape": (1, 5.0, 6, 4)}, TypeError, "input_shape must be an integer"),
    ({"input_shape": (1, 5, -6, 4)}, ValueError, "input_shape must be >= 0"),
    ({"input_shape": (1, 5, 7, 4)}, ValueError, "grad_output must have the output's shape"),
    ({"stride": 0}, ValueError, "stride must be >= 1"),
    ({"stride": 2}, ValueError, "grad_output must have the output's shape"),
    ({"dilation": True}, TypeError, "dilation must be an integer"),
    ({"padding": -1}, ValueError, "padding must be >= 0"),
    ({"padding": "full"}, ValueError, "padding must be"),
    ({"groups": 4}, ValueError, "groups must divide"),
    ({"groups": 0}, ValueError, "groups must be >= 1"),
    ({"layout": "HWC"}, ValueError, "layout must be"),
    ({"padding_mode": "wrap"}, ValueError, "padding_mode must be"),
    ({"precision": "low"}, ValueError, "precision must be"),
    ({"out": np.ones((1, 5, 6, 4))}, TypeError, "out must have dtype"),
    ({"out": np.ones((1, 5, 6, 5), F)}, ValueError, "out must have shape"),
    ({"out": [1]}, TypeError, "out must be a numpy.ndarray"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "error", "message"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_calls(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    out = np.full((1, 5, 6, 4), np.nan, F)
    with pytest.raises(error, match=message):
        cnnfast.grad.conv2d_input(**{"out": out, **GOOD, **changed})
    assert np.isnan(out).all()


def test_out_may_not_overlap_an_input() -> None:
    memory = np.ones(1000, F)
    gradient, out = memory[:90].reshape(1, 3, 5, 6), memory[80:200].reshape(1, 5, 6, 4)
    with pytest.raises(ValueError, match="shares memory with grad_output"):
        cnnfast.grad.conv2d_input(gradient, GOOD["weight"], GOOD["input_shape"], out=out)
    for mode in ("zeros", "reflect"):
        weight, out = memory[:144].reshape(3, 2, 4, 6), memory[100:220].reshape(1, 5, 6, 4)
        with pytest.raises(ValueError, match="shares memory with weight"):
            cnnfast.grad.conv2d_input(
                np.ones((1, 5, 7, 6), F), weight, (1, 5, 6, 4), padding=1, padding_mode=mode, out=out
            )


def test_bad_calls_of_the_others() -> None:
    ones = np.ones
    with pytest.raises(ValueError, match=r"weight must be \(R, S, C, multiplier\)"):
        cnnfast.grad.depthwise_conv2d_input(ones((1, 3, 3, 4)), ones((3, 3, 3, 1)), (1, 5, 5, 4))
    with pytest.raises(ValueError, match="grad_output must have the output's shape"):
        cnnfast.grad.depthwise_conv2d_input(ones((1, 3, 3, 8)), ones((3, 3, 4, 1)), (1, 5, 5, 4))
    with pytest.raises(ValueError, match="grad_output must have the shape of an output"):
        cnnfast.grad.conv_transpose2d_input(ones((1, 6, 5, 4)), ones((3, 3, 4, 2)), stride=2)
    with pytest.raises(ValueError, match="grad_output must have the shape of an output"):
        cnnfast.grad.conv_transpose2d_input(ones((1, 2, 5, 4)), ones((3, 3, 4, 2)), stride=2)
    with pytest.raises(ValueError, match="grad_output must have the shape of an output"):
        cnnfast.grad.conv_transpose2d_input(ones((1, 5, 5, 3)), ones((3, 3, 4, 2)), stride=2)
    with pytest.raises(ValueError, match="grad_output must have 3 dimensions"):
        cnnfast.grad.conv1d_input(ones((1, 6, 5, 4)), ones((3, 3, 4)), (1, 8, 3))
    with pytest.raises(ValueError, match="grad_output must have the output's shape"):
        cnnfast.grad.conv1d_input(ones((1, 6, 5)), ones((3, 3, 4)), (1, 8, 3))
    with pytest.raises(ValueError, match="grad_output must have the output's shape"):
        cnnfast.grad.conv3d_input(ones((1, 2, 6, 5, 4)), ones((3, 3, 3, 3, 4)), (1, 5, 8, 8, 3))
    with pytest.raises(ValueError, match="input_shape must be"):
        cnnfast.grad.conv3d_input(ones((1, 2, 6, 5, 4)), ones((3, 3, 3, 3, 4)), (1, 5, 8, 8))


# Few channels, edges, dilation, windows wider than the image: what the rows of conv2d_grad_input may trip over
ROWS: list[Any] = [
    ((2, 13, 12, 3, 40, 7), {"padding": 3, "stride": 2}), ((1, 9, 10, 5, 7, 5), {"padding": 4, "stride": (1, 3)}),
    ((2, 11, 12, 2, 6, 3), {"padding": 2, "stride": 2, "dilation": 2}), ((3, 10, 9, 6, 16, 5), {}),
    ((1, 3, 2, 3, 4, 7), {"padding": 5}), ((2, 9, 10, 3, 5, 2), {"stride": 3}),
    ((1, 20, 19, 2, 3, 16), {"padding": 7}), ((2, 31, 27, 3, 8, 11), {"padding": 4, "stride": 4}),
    ((1, 21, 18, 3, 4, (17, 3)), {"padding": 1}), ((2, 12, 9, 20, 20, 3), {"padding": 1, "stride": 2, "groups": 20}),
    ((1, 13, 14, 35, 35, 5), {"padding": (2, 1), "stride": (1, 2), "groups": 35}),
    ((1, 15, 16, 17, 17, 3), {"padding": 3, "stride": 3, "dilation": 2, "groups": 17}),
    ((1, 40, 41, 16, 16, 3), {"padding": 0, "stride": 2, "groups": 16}),
    ((1, 9, 9, 8, 8, 2), {"stride": 3, "groups": 8}), ((2, 14, 14, 8, 12, 3), {"padding": 1, "groups": 4}),
]  # fmt: skip


@pytest.mark.parametrize(("sizes", "keywords"), ROWS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_row_that_takes_a_problem(dtype: Any, sizes: Any, keywords: Any, rng: Any, isa: str) -> None:
    """Exact on small integers; with a residual; into channels of wider pixels."""
    N, H, W, C, K, window = sizes
    more = lowered(keywords)
    R, S = window if isinstance(window, tuple) else (window, window)
    weight = numbers(rng, R, S, C // keywords.get("groups", 1), K)
    grad_output = numbers(rng, *reference.conv2d(np.zeros((N, H, W, C)), weight, **more).shape)
    right = oracle.conv2d_input(grad_output, weight, input_shape=(N, H, W, C), **more)
    told = {**more, "padding": sum(more.get("padding", ((0, 0), (0, 0))), ())}
    tables = "conv2d", "conv_transpose2d", "conv2d_grad_input"
    tried = set()
    for row in dict.fromkeys(row for table in tables for row in native.algorithms(table)):
        if row.startswith("winograd") or row == "fft":  # not exact
            continue
        try:
            plan = native.plan_conv2d_grad_input(
                (N, H, W, C), weight.astype(dtype), dtype=np.dtype(dtype).name, algorithm=row, **told
            )
        except ValueError:
            continue
        tried.add(row)
        out = np.full((N, H, W, C), np.nan, dtype)
        assert plan.run(grad_output.astype(dtype), None, out)
        assert np.array_equal(out, right), row
        wide = np.full((N, H, W, C + 3), np.nan, dtype)
        residual = numbers(rng, N, H, W, C).astype(dtype)
        assert plan.run(grad_output.astype(dtype), residual, wide[..., 2 : 2 + C])
        assert np.array_equal(wide[..., 2 : 2 + C], right + residual), row
        assert np.isnan(wide[..., :2]).all()
        assert np.isnan(wide[..., -1]).all()
    assert len(tried) >= 2
