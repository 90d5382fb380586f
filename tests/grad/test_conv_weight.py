"""Gradients with respect to convolutions' weights: finite differences of the ops, the oracle, torch, and bad calls."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
import cnnfast.backends.reference as oracle
import cnnfast.backends.reference.grad as oracle_grad
import cnnfast.grad

# (x NHWC, kernel, K, options)
CONV2D: list[Any] = [
    ((2, 5, 6, 3), (3, 3), 4, {}),
    ((2, 5, 6, 3), (3, 2), 4, {"padding": ((1, 1), (0, 2)), "stride": (2, 1)}),
    ((1, 7, 7, 2), (3, 3), 2, {"dilation": (2, 3), "padding": ((2, 2), (3, 3))}),
    ((2, 6, 5, 4), (3, 3), 6, {"groups": 2, "padding": ((1, 1), (1, 1))}),
    ((1, 5, 5, 2), (3, 3), 3, {"padding": ((1, 2), (2, 1)), "padding_mode": "reflect"}),
    ((1, 5, 5, 2), (3, 3), 3, {"padding": ((1, 1), (1, 1)), "padding_mode": "circular", "stride": (2, 2)}),
    ((3, 2, 2, 5), (1, 1), 3, {}),
    ((1, 3, 3, 1), (3, 3), 1, {"padding": ((4, 4), (4, 4))}),
]
LAYOUTS = ("NHWC", "NCHW")


def pair_of(op: str, x_shape: tuple[int, ...], weight_shape: tuple[int, ...], layout: str, options: dict[str, Any],
            rng: np.random.Generator) -> dict[str, Any]:  # fmt: skip
    """x, a weight and grad_output of an op, in the layout."""
    x, weight = rng.standard_normal(x_shape), rng.standard_normal(weight_shape)
    if layout == "NCHW":
        x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
        weight = np.ascontiguousarray(np.transpose(weight, (3, 2, 0, 1)))
    y = getattr(oracle, op)(x, weight, layout=layout, **options)
    return {"x": x, "weight": weight, "grad_output": rng.standard_normal(y.shape)}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CONV2D, ids=str)
def test_conv2d_by_finite_differences(case: Any, layout: str, assert_gradient: Any, rng: np.random.Generator) -> None:
    x_shape, kernel, K, options = case
    weight_shape = (*kernel, x_shape[3] // options.get("groups", 1), K)
    given = pair_of("conv2d", x_shape, weight_shape, layout, options, rng)
    for where in (cnnfast.grad, oracle_grad):
        gradient = where.conv2d_weight(given["grad_output"], given["x"], kernel_size=kernel, layout=layout, **options)
        assert_gradient(
            lambda x, weight: oracle.conv2d(x, weight, layout=layout, **options),
            {"x": given["x"], "weight": given["weight"]}, "weight", gradient, given["grad_output"],
        )  # fmt: skip


DEPTHWISE: list[Any] = [
    ((2, 5, 6, 3), (3, 3), 1, {"padding": ((1, 1), (1, 1))}),
    ((1, 7, 6, 2), (3, 2), 3, {"stride": (2, 1), "dilation": (1, 2)}),
    ((1, 5, 5, 2), (3, 3), 1, {"padding": ((1, 1), (1, 1)), "padding_mode": "replicate", "stride": (2, 2)}),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", DEPTHWISE, ids=str)
def test_depthwise_by_finite_differences(
    case: Any, layout: str, assert_gradient: Any, rng: np.random.Generator
) -> None:
    x_shape, kernel, multiplier, options = case
    C = x_shape[3]
    x, weight = rng.standard_normal(x_shape), rng.standard_normal((*kernel, C, multiplier))
    if layout == "NCHW":
        x, weight = np.moveaxis(x, -1, 1), rng.standard_normal((C * multiplier, 1, *kernel))
    grad_output = rng.standard_normal(oracle.depthwise_conv2d(x, weight, layout=layout, **options).shape)
    for where in (cnnfast.grad, oracle_grad):
        gradient = where.depthwise_conv2d_weight(grad_output, x, kernel_size=kernel, layout=layout, **options)
        assert_gradient(
            lambda x, weight: oracle.depthwise_conv2d(x, weight, layout=layout, **options),
            {"x": x, "weight": weight}, "weight", gradient, grad_output,
        )  # fmt: skip


TRANSPOSED: list[Any] = [
    ((2, 4, 3, 3), (2, 2), 4, {"stride": (2, 2)}),
    ((1, 4, 4, 4), (3, 3), 6, {"stride": (2, 3), "padding": ((1, 0), (1, 1)), "output_padding": (1, 2), "groups": 2}),
    ((1, 5, 4, 2), (3, 2), 3, {"dilation": (2, 1), "padding": ((1, 2), (0, 0))}),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_transposed_by_finite_differences(
    case: Any, layout: str, assert_gradient: Any, rng: np.random.Generator
) -> None:
    x_shape, kernel, K, options = case
    weight_shape = (*kernel, K // options.get("groups", 1), x_shape[3])
    given = pair_of("conv_transpose2d", x_shape, weight_shape, layout, options, rng)
    for where in (cnnfast.grad, oracle_grad):
        gradient = where.conv_transpose2d_weight(
            given["grad_output"], given["x"], kernel_size=kernel, layout=layout, **options
        )
        assert_gradient(
            lambda x, weight: oracle.conv_transpose2d(x, weight, layout=layout, **options),
            {"x": given["x"], "weight": given["weight"]}, "weight", gradient, given["grad_output"],
        )  # fmt: skip


@pytest.mark.parametrize("layout", ["NLC", "NCL"])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": (2, 1), "dilation": 2, "groups": 2}], ids=str)
def test_conv1d_by_finite_differences(
    options: dict[str, Any], layout: str, assert_gradient: Any, rng: np.random.Generator
) -> None:
    x, weight = rng.standard_normal((2, 9, 4)), rng.standard_normal((3, 4 // options.get("groups", 1), 6))
    if layout == "NCL":
        x, weight = np.moveaxis(x, -1, 1), np.transpose(weight, (2, 1, 0))
    grad_output = rng.standard_normal(oracle.conv1d(x, weight, layout=layout, **options).shape)
    for where in (cnnfast.grad, oracle_grad):
        gradient = where.conv1d_weight(grad_output, x, kernel_size=3, layout=layout, **options)
        assert_gradient(
            lambda x, weight: oracle.conv1d(x, weight, layout=layout, **options), {"x": x, "weight": weight}, "weight",
            gradient, grad_output,
        )  # fmt: skip


@pytest.mark.parametrize("layout", ["NDHWC", "NCDHW"])
@pytest.mark.parametrize(
    "options",
    [{}, {"stride": (2, 1, 2), "padding": ((1, 0), (1, 1), (0, 2)), "dilation": (1, 2, 1), "groups": 2},
     {"padding": ((1, 1), (1, 1), (1, 1)), "padding_mode": "replicate"}],
    ids=str,
)  # fmt: skip
def test_conv3d_by_finite_differences(
    options: dict[str, Any], layout: str, assert_gradient: Any, rng: np.random.Generator
) -> None:
    x, weight = rng.standard_normal((2, 4, 5, 4, 2)), rng.standard_normal((2, 3, 2, 2 // options.get("groups", 1), 4))
    if layout == "NCDHW":
        x, weight = np.moveaxis(x, -1, 1), np.transpose(weight, (4, 3, 0, 1, 2))
    grad_output = rng.standard_normal(oracle.conv3d(x, weight, layout=layout, **options).shape)
    for where in (cnnfast.grad, oracle_grad):
        gradient = where.conv3d_weight(grad_output, x, kernel_size=(2, 3, 2), layout=layout, **options)
        assert_gradient(
            lambda x, weight: oracle.conv3d(x, weight, layout=layout, **options), {"x": x, "weight": weight}, "weight",
            gradient, grad_output,
        )  # fmt: skip


def test_same_padding(rng: np.random.Generator) -> None:
    x, grad_output = rng.standard_normal((2, 7, 8, 3)), rng.standard_normal((2, 4, 4, 5))
    expected = oracle_grad.conv2d_weight(
        grad_output, x, kernel_size=(3, 3), stride=(2, 2), padding=((1, 1), (0, 1))
    )  # fmt: skip
    np.testing.assert_allclose(cnnfast.grad.conv2d_weight(grad_output, x, 3, stride=2, padding="same"), expected)
    wide = rng.standard_normal((2, 14, 16, 5))
    expected = oracle_grad.conv_transpose2d_weight(
        wide, x, kernel_size=(3, 3), stride=(2, 2), padding=((0, 1), (0, 1))
    )  # fmt: skip
    np.testing.assert_allclose(cnnfast.grad.conv_transpose2d_weight(wide, x, 3, stride=2, padding="same"), expected)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_beside_torch(torch: Any, dtype: str, groups: int, rng: np.random.Generator) -> None:
    x, weight = rng.standard_normal((3, 8, 9, 10)).astype(dtype), rng.standard_normal((12, 8 // groups, 3, 3))
    grad_output = rng.standard_normal((3, 12, 5, 5)).astype(dtype)
    expected = torch.ops.aten.convolution_backward(
        torch.from_numpy(grad_output), torch.from_numpy(x), torch.from_numpy(weight.astype(dtype)), [12], [2, 2],
        [1, 1], [1, 1], False, [0, 0], groups, [False, True, True],
    )  # fmt: skip
    keywords: dict[str, Any] = {"stride": 2, "padding": 1, "groups": groups, "layout": "NCHW"}
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    ours = cnnfast.grad.conv2d_weight(grad_output, x, 3, **keywords)
    np.testing.assert_allclose(ours, expected[1].numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        cnnfast.grad.bias(grad_output, layout="NCHW"), expected[2].numpy(), rtol=tolerance, atol=tolerance
    )


CALLS: dict[str, Callable[..., Any]] = {
    "conv2d_weight": lambda **more: cnnfast.grad.conv2d_weight(
        **{"grad_output": np.ones((2, 4, 4, 6)), "x": np.ones((2, 6, 6, 4)), "kernel_size": 3} | more
    ),
    "depthwise_conv2d_weight": lambda **more: cnnfast.grad.depthwise_conv2d_weight(
        **{"grad_output": np.ones((2, 4, 4, 8)), "x": np.ones((2, 6, 6, 4)), "kernel_size": 3} | more
    ),
    "conv_transpose2d_weight": lambda **more: cnnfast.grad.conv_transpose2d_weight(
        **{"grad_output": np.ones((2, 6, 6, 6)), "x": np.ones((2, 4, 4, 4)), "kernel_size": 3} | more
    ),
}
SHAPES = {
    "conv2d_weight": (3, 3, 4, 6),
    "depthwise_conv2d_weight": (3, 3, 4, 2),
    "conv_transpose2d_weight": (3, 3, 6, 4),
}
BAD: list[Any] = [
    ({"grad_output": np.ones((2, 3, 4, 8))}, ValueError, "grad_output must have the output's shape"),
    ({"grad_output": np.ones((1, 4, 4, 8))}, ValueError, "grad_output must have the output's shape"),
    ({"grad_output": np.ones((2, 4, 8))}, ValueError, "grad_output must have 4 dimensions"),
    ({"grad_output": np.ones((2, 4, 4, 0))}, ValueError, "grad_output must have no empty dimension"),
    ({"grad_output": np.ones((2, 4, 4, 8), int)}, TypeError, "grad_output must have a dtype"),
    ({"x": np.ones((2, 6, 6, 4), int)}, TypeError, "x must have a dtype"),
    ({"x": np.ones((2, 6, 0, 4))}, ValueError, "x must have no empty dimension"),
    ({"kernel_size": 0}, ValueError, "kernel_size must be >= 1, got 0"),
    ({"kernel_size": True}, TypeError, "kernel_size must be an integer"),
    ({"stride": 0}, ValueError, "stride must be >= 1, got 0"),
    ({"stride": 2**31}, ValueError, "stride must be <"),
    ({"dilation": -1}, ValueError, "dilation must be >= 1"),
    ({"padding": -1}, ValueError, "padding must be >= 0"),
    ({"layout": "NWHC"}, ValueError, "layout must be one of"),
    ({"out": [1]}, TypeError, "out must be a numpy.ndarray"),
    ({"out": np.ones((3, 3, 4, 1))}, ValueError, "out must have shape"),
]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("more", "error", "message"), BAD, ids=[f"{b[0]}"[:40] for b in BAD])
def test_bad_calls(name: str, more: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CALLS[name](**more)


def test_more_bad_calls() -> None:
    with pytest.raises(ValueError, match="kernel_size must fit the padded input"):
        CALLS["conv2d_weight"](kernel_size=7)
    with pytest.raises(ValueError, match="groups must divide C 4, got 3"):
        CALLS["conv2d_weight"](groups=3)
    with pytest.raises(ValueError, match="multiple of x's C"):
        CALLS["depthwise_conv2d_weight"](grad_output=np.ones((2, 4, 4, 6)))
    with pytest.raises(ValueError, match="output_padding must be < stride"):
        CALLS["conv_transpose2d_weight"](output_padding=1)
    with pytest.raises(ValueError, match="kernel_size must fit"):
        cnnfast.grad.conv3d_weight(np.ones((1, 1, 1, 1, 1)), np.ones((1, 2, 2, 2, 1)), 3)
    with pytest.raises(ValueError, match="grad_output must have the output's shape"):
        cnnfast.grad.conv3d_weight(np.ones((1, 2, 1, 1, 1)), np.ones((1, 2, 2, 2, 1)), 2)


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_written_on_an_error(name: str) -> None:
    out = np.full(SHAPES[name], 7.0)
    with pytest.raises(ValueError, match="grad_output"):
        CALLS[name](grad_output=np.ones((2, 9, 9, 8)), out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("name", CALLS)
def test_out_and_strides(name: str, rng: np.random.Generator) -> None:
    grad_shape = {"conv2d_weight": (2, 4, 4, 6), "depthwise_conv2d_weight": (2, 4, 4, 8)}.get(name, (2, 6, 6, 6))
    x_shape = (2, 4, 4, 4) if name == "conv_transpose2d_weight" else (2, 6, 6, 4)
    grad_output, x = rng.standard_normal(grad_shape), rng.standard_normal(x_shape)
    expected = CALLS[name](grad_output=grad_output, x=x)
    wide = np.full((*SHAPES[name][:3], SHAPES[name][3] * 2), 7.0)
    assert CALLS[name](grad_output=grad_output[::-1], x=x[::-1], out=wide[..., ::2]).base is wide
    np.testing.assert_allclose(wide[..., ::2], expected, rtol=1e-12)
    assert (wide[..., 1::2] == 7).all()
    x.flags.writeable = False
    np.testing.assert_array_equal(CALLS[name](grad_output=grad_output, x=x), expected)


@pytest.mark.parametrize("name", CALLS)
def test_out_may_not_overlap(name: str) -> None:
    shape = SHAPES[name]
    buffer = np.ones(2000)
    x = buffer[: 2 * 36 * 4].reshape(2, 6, 6, 4) if name != "conv_transpose2d_weight" else None
    more = {"x": x} if x is not None else {"grad_output": buffer[: 2 * 36 * 6].reshape(2, 6, 6, 6)}
    with pytest.raises(ValueError, match="out must not overlap"):
        CALLS[name](out=buffer[10 : 10 + int(np.prod(shape))].reshape(shape), **more)


@pytest.mark.parametrize("name", CALLS)
def test_no_images(name: str) -> None:
    channels = 8 if name == "depthwise_conv2d_weight" else 6
    sizes = (6, 4) if name == "conv_transpose2d_weight" else (4, 6)
    out = np.full(SHAPES[name], 7.0)
    CALLS[name](
        grad_output=np.ones((0, sizes[0], sizes[0], channels)), x=np.ones((0, sizes[1], sizes[1], 4)), out=out
    )
    assert (out == 0).all()


def test_grad_output_takes_the_dtype_of_x() -> None:
    gradient = cnnfast.grad.conv2d_weight(np.ones((1, 2, 2, 1)), np.ones((1, 2, 2, 1), np.float32), 1)
    assert gradient.dtype == np.float32


def test_windows_far_beyond_the_picture() -> None:
    """Strides and dilations near 2^31 over padding: no band of padding is made, and no size wraps."""
    x, grad_output = np.ones((1, 1, 4, 1), np.float32), np.ones((1, 1, 3, 1), np.float32)
    found = cnnfast.grad.conv2d_weight(grad_output, x, 2, dilation=(10**9, 1), padding=((10**9, 0), (0, 0)))
    assert found.ravel().tolist() == [0, 0, 3, 3]
    a, before = 1001, cnnfast.get_num_threads()
    x, grad_output = np.ones((40, 1, 1, 1), np.float32), np.ones((40, 1, 2, 64), np.float32)
    sides = (2**31 - 1, a), (0, 2**31 - a - 1)
    options: dict[str, Any] = {"stride": (1, 2**31 - a - 2), "dilation": (2**30 + 500, 1), "padding": sides}
    results = []
    try:
        for threads in (1, 2):
            cnnfast.set_num_threads(threads)
            results.append(cnnfast.grad.conv2d_weight(grad_output, x, (3, 2), **options))
    finally:
        cnnfast.set_num_threads(before)
    assert (results[0] == results[1]).all()


def test_out_may_not_lie_in_a_gradient_that_is_strided() -> None:
    buffer = np.arange(64, dtype=np.float32)
    strided = buffer[:32].reshape(1, 4, 2, 4)[..., ::2]
    with pytest.raises(ValueError, match="shares memory with grad_output"):
        cnnfast.grad.conv2d_weight(strided, np.ones((1, 4, 2, 2), np.float32), 1, out=buffer[:4].reshape(1, 1, 2, 2))
    with pytest.raises(ValueError, match="shares memory with grad_output"):
        cnnfast.grad.softmax(strided, np.ones(strided.shape, np.float32), out=buffer[:16].reshape(strided.shape))
    assert (buffer == np.arange(64)).all()


def test_a_gradient_of_another_dtype_is_cast(rng: np.random.Generator) -> None:
    x, grad_output = rng.random((2, 5, 5, 3), np.float32), rng.random((2, 3, 3, 4))
    found = cnnfast.grad.conv2d_weight(grad_output, x, 3)
    assert found.dtype == np.float32
    assert (found == cnnfast.grad.conv2d_weight(grad_output.astype(np.float32), x, 3)).all()


def test_a_bias_of_no_pictures() -> None:
    assert cnnfast.grad.bias(np.zeros((0, 3, 2, 2), np.float32), layout="NCHW").tolist() == [0, 0, 0]
