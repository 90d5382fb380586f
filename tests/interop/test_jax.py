"""cnnfast under JAX: jax.lax's values and gradients, under jit, vmap and grad; handlers refuse what does not fit."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import cnnfast

jax = pytest.importorskip("jax", reason='pip install "cnnfast[jax]"')
import jax.numpy as jnp
from jax.test_util import check_grads

import cnnfast.interop.jax as cj


def draw(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(got: Any, wanted: Any, bound: float = 2e-6) -> None:
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape
    assert got.dtype == wanted.dtype
    assert np.abs(got - wanted).max(initial=0) <= bound * np.abs(wanted).max(initial=0)


GEOMETRY: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)},
    {"groups": 2, "padding": 1},
    {"groups": 4, "stride": 2},
]


def lax_conv(x: Any, weight: Any, bias: Any, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
             layout: str = "NHWC") -> Any:  # fmt: skip
    pair = lambda value: value if isinstance(value, tuple) else (value, value)  # noqa: E731
    sides = [pair(side) for side in pair(padding)]
    words = (layout, "HWIO" if layout == "NHWC" else "OIHW", layout)
    y = jax.lax.conv_general_dilated(
        x, weight, pair(stride), sides, rhs_dilation=pair(dilation), dimension_numbers=words,
        feature_group_count=groups, precision="highest",
    )  # fmt: skip
    return y + (bias if layout == "NHWC" else bias[:, None, None])


def inputs(options: dict[str, Any], layout: str, dtype: Any = np.float32) -> tuple[Any, Any, Any]:
    inner = 4 // options.get("groups", 1)
    shapes = ((2, 7, 8, 4), (3, 2, inner, 8)) if layout == "NHWC" else ((2, 4, 7, 8), (8, inner, 3, 2))
    return draw(*shapes[0], dtype=dtype), draw(*shapes[1], seed=1, dtype=dtype), draw(8, seed=2, dtype=dtype)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("options", GEOMETRY, ids=str)
def test_conv2d_and_its_gradients(options: dict[str, Any], layout: str) -> None:
    x, weight, bias = inputs(options, layout)
    ours = partial(cj.conv2d, layout=layout, **options)
    theirs = partial(lax_conv, layout=layout, **options)
    y = jax.jit(ours)(x, weight, bias)
    np.testing.assert_array_equal(y, cnnfast.conv2d(x, weight, bias, layout=layout, **options), strict=True)
    close(y, theirs(x, weight, bias))

    def loss(f: Any) -> Any:
        return lambda *arrays: (f(*arrays) ** 2).sum()

    for got, wanted in zip(
        jax.jit(jax.grad(loss(ours), (0, 1, 2)))(x, weight, bias), jax.grad(loss(theirs), (0, 1, 2))(x, weight, bias),
        strict=True,
    ):  # fmt: skip
        close(got, wanted)


@pytest.mark.parametrize("axes", [(0, None, None), (None, 0, None), (0, 0, None), (1, 0, 0), (None, None, 0)])
def test_vmap(axes: tuple[Any, ...]) -> None:
    arrays = [
        np.stack([array, 2 * array + 1, -array], axis) if axis is not None else array
        for array, axis in zip(inputs(GEOMETRY[3], "NHWC"), axes, strict=True)
    ]
    ours, theirs = (partial(f, **GEOMETRY[3]) for f in (cj.conv2d, lax_conv))
    close(jax.vmap(ours, axes)(*arrays), jax.vmap(theirs, axes)(*arrays))
    for argument in range(3):
        grads = [
            jax.vmap(jax.grad(lambda *a, f=f: (f(*a) ** 2).sum(), argument), axes)(*arrays) for f in (ours, theirs)
        ]
        close(*grads)
        summed = [
            jax.grad(lambda *a, f=f: (jax.vmap(f, axes)(*a) ** 2).sum(), argument)(*arrays) for f in (ours, theirs)
        ]
        close(*summed)


def test_nested_vmap() -> None:
    x, weight, bias = inputs({}, "NHWC")
    xs, weights = np.stack([x, x + 1, x + 2]), np.stack([weight, -weight])
    got, wanted = (
        jax.vmap(jax.vmap(f, (None, 0, None)), (0, None, None))(xs, weights, bias) for f in (cj.conv2d, lax_conv)
    )
    assert got.shape[:2] == (3, 2)
    close(got, wanted)
    close(*(jax.vmap(jax.vmap(f, (0, None, None)), (None, 0, None))(xs, weights, bias) for f in (cj.conv2d, lax_conv)))


def test_second_derivatives() -> None:
    x, weight, bias = inputs(GEOMETRY[2], "NHWC")
    found = []
    for f in (partial(cj.conv2d, **GEOMETRY[2]), partial(lax_conv, **GEOMETRY[2])):

        def inner(x: Any, weight: Any, f: Any = f) -> Any:
            gx, gw = jax.grad(lambda x, w: (f(x, w, bias) ** 3).sum(), (0, 1))(x, weight)
            return (gx**2).sum() + (gw**2).sum()

        found.append(jax.grad(inner, (0, 1))(x, weight))
    for got, wanted in zip(*found, strict=True):
        close(got, wanted, 1e-5)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_activations(activation: str) -> None:
    x, weight, bias = inputs({}, "NHWC")
    act = {"relu": jax.nn.relu, "relu6": jax.nn.relu6}[activation]
    ours = lambda *a: (cj.conv2d(*a, activation=activation) ** 2).sum()  # noqa: E731
    theirs = lambda *a: (act(lax_conv(*a)) ** 2).sum()  # noqa: E731
    for got, wanted in zip(
        jax.grad(ours, (0, 1, 2))(x, weight, bias), jax.grad(theirs, (0, 1, 2))(x, weight, bias), strict=True
    ):
        close(got, wanted)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(mode: str) -> None:
    x, weight, bias = inputs({}, "NHWC")
    got = cj.conv2d(x, weight, bias, padding=((1, 2), (0, 1)), padding_mode=mode)
    close(got, cnnfast.conv2d(x, weight, bias, padding=((1, 2), (0, 1)), padding_mode=mode))
    grad = jax.grad(lambda x: (cj.conv2d(x, weight, padding=1, padding_mode=mode) ** 2).sum())(x)
    y = cnnfast.conv2d(x, weight, padding=1, padding_mode=mode)
    close(grad, cnnfast.grad.conv2d_input(2 * y, weight, x.shape, padding=1, padding_mode=mode))


def reduced(x: Any, window: Any, stride: Any, sides: Any, average: bool) -> Any:
    window, stride, sides = (1, *window, 1), (1, *stride, 1), ((0, 0), *sides, (0, 0))
    if not average:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, stride, sides)
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, stride, sides) / (window[1] * window[2])


POOLS = [((2, 2), (2, 2), ((0, 0), (0, 0))), ((3, 2), (2, 1), ((1, 1), (1, 0))), ((3, 3), (1, 1), ((0, 1), (1, 1)))]


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("window", POOLS, ids=str)
def test_pools(window: Any, average: bool) -> None:
    kernel, stride, sides = window
    x = draw(2, 8, 6, 3)
    pool = cj.avg_pool2d if average else cj.max_pool2d
    ours = lambda x: pool(x, kernel, stride, padding=sides)  # noqa: E731
    theirs = lambda x: reduced(x, kernel, stride, sides, average)  # noqa: E731
    loss = lambda f: lambda x: (f(x) ** 2).sum()  # noqa: E731
    close(jax.jit(ours)(x), theirs(x))
    close(jax.jit(jax.grad(loss(ours)))(x), jax.grad(loss(theirs))(x))
    xs = np.stack([x, -x, 2 * x])
    close(jax.vmap(ours)(xs), jax.vmap(theirs)(xs))
    close(jax.vmap(jax.grad(loss(ours)))(xs), jax.vmap(jax.grad(loss(theirs)))(xs))
    close(jax.jacrev(ours)(x[:1]), jax.jacrev(theirs)(x[:1]))  # gradients are mapped, indices are not
    nchw = jnp.transpose(x, (0, 3, 1, 2))
    got = pool(nchw, kernel, stride, padding=sides, layout="NCHW")
    close(jnp.transpose(got, (0, 2, 3, 1)), ours(x))
    grad = jax.grad(lambda x: (pool(x, kernel, stride, padding=sides, layout="NCHW") ** 2).sum())(nchw)
    close(jnp.transpose(grad, (0, 2, 3, 1)), jax.grad(loss(theirs))(x))
    if average:
        twice = lambda f: jax.grad(lambda x: (jax.grad(lambda x: (f(x) ** 3).sum())(x) ** 2).sum())  # noqa: E731
        close(twice(ours)(x), twice(theirs)(x), 1e-5)


@pytest.fixture
def x64() -> Iterator[None]:
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.mark.usefixtures("x64")
def test_float64() -> None:
    x, weight, bias = inputs({}, "NHWC", np.float64)
    y = cj.conv2d(x, weight.astype(np.float32), bias)
    assert y.dtype == np.float64
    close(y, cnnfast.conv2d(x, weight.astype(np.float32), bias), 0)
    check_grads(lambda *a: cj.conv2d(*a, stride=2, padding=1), (x, weight, bias), order=2, modes=["rev"])
    check_grads(lambda x: cj.max_pool2d(x, 3, 2, padding=1), (x,), order=1, modes=["rev"])
    check_grads(lambda x: cj.avg_pool2d(x, 3, 2, padding=1), (x,), order=2, modes=["rev"])


def test_no_images() -> None:
    weight = draw(3, 3, 2, 4)
    assert cj.conv2d(jnp.ones((0, 5, 5, 2)), weight).shape == (0, 3, 3, 4)
    grad = jax.grad(lambda w: cj.conv2d(jnp.ones((0, 5, 5, 2)), w).sum())(weight)
    np.testing.assert_array_equal(grad, np.zeros_like(weight))
    assert jax.vmap(lambda x: cj.conv2d(x, weight))(jnp.ones((0, 1, 5, 5, 2))).shape == (0, 1, 3, 3, 4)
    assert jax.vmap(lambda x: cj.max_pool2d(x, 2))(jnp.ones((0, 1, 4, 4, 2))).shape == (0, 1, 2, 2, 2)


def test_what_does_not_fit_is_refused() -> None:
    x, weight, _ = inputs({}, "NHWC")
    for words, says in (
        ({"stride": 0}, "stride must be >= 1, got 0"),
        ({"groups": 3}, "groups must divide C 4, got 3"),
        ({"bias": np.ones(7, np.float32)}, r"bias must have shape \(8,\)"),
        ({"activation": "gelu"}, "activation must be None"),
        ({"padding": -1}, "padding must be >= 0, got -1"),
    ):
        with pytest.raises(ValueError, match=says):
            cj.conv2d(x, weight, **words)
    with pytest.raises(TypeError, match="x must be float32 or float64, got int32"):
        cj.conv2d(x.astype(np.int32), weight)
    with pytest.raises(TypeError, match="bfloat16"):
        cj.max_pool2d(jnp.ones((1, 4, 4, 1), jnp.bfloat16), 2)
    with pytest.raises(ValueError, match="4 dimensions"):
        cj.avg_pool2d(x[0], 2)
    with pytest.raises(ValueError, match="padding of a pool"):
        cj.max_pool2d(x, 2, padding=2)


CONV = [0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0]
CALLS: dict[str, tuple[str, tuple[Any, ...], tuple[int, ...], list[int], str]] = {
    "shape of y": ("conv2d", ((1, 5, 5, 2), (3, 3, 2, 4)), (1, 3, 4, 4), CONV, "output's shape"),
    "channels": ("conv2d", ((1, 5, 5, 2), (3, 3, 3, 4)), (1, 3, 3, 4), CONV, "C/groups"),
    "bias": ("conv2d", ((1, 5, 5, 2), (3, 3, 2, 4), (3,)), (1, 3, 3, 4), CONV, "bias"),
    "axes": ("conv2d", ((5, 5, 2), (3, 3, 2, 4)), (1, 3, 3, 4), CONV, "axes"),
    "a weight of fewer axes": ("conv2d", ((1, 5, 5, 2), (3, 2, 4)), (1, 3, 3, 4), CONV, "axes"),
    "one argument": ("conv2d", ((1, 5, 5, 2),), (1, 3, 3, 4), CONV, "number of arguments"),
    "numbers": ("conv2d", ((1, 5, 5, 2), (3, 3, 2, 4)), (1, 3, 3, 4), CONV[:-1], "problem"),
    "stride": ("conv2d", ((1, 5, 5, 2), (3, 3, 2, 4)), (1, 3, 3, 4), [0, 0, *CONV[2:]], "parameter"),
    "layout": ("conv2d", ((1, 5, 5, 2), (3, 3, 2, 4)), (1, 3, 3, 4), [7, *CONV[1:]], "layout"),
    "groups 0": ("conv2d", ((1, 5, 5, 2), (3, 3, 2, 4)), (1, 3, 3, 4), [*CONV[:9], 0, 0, 0], "parameter"),
    "mapped axes": ("conv2d", ((2, 1, 5, 5, 2), (3, 3, 3, 2, 4)), (2, 1, 3, 3, 4), CONV, "mapped"),
    "pool": ("pool2d", ((1, 4, 4, 1),), (1, 4, 4, 1), [0, 0, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 1], "output's shape"),
    "no indices": ("pool2d_grad", ((1, 2, 2, 1),), (1, 4, 4, 1), [0, 0, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 1], "indices"),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_handlers_trust_nobody(case: str) -> None:
    """Called without our functions, as anybody may: an error, never memory that is not theirs."""
    name, shapes, result, numbers, says = CALLS[case]
    call = jax.ffi.ffi_call(f"cnnfast_{name}", jax.ShapeDtypeStruct(result, np.float32))
    with pytest.raises(Exception, match=says):
        call(*(jnp.ones(shape) for shape in shapes), problem=np.array(numbers, np.int64)).block_until_ready()


def test_indices_out_of_range_are_refused() -> None:
    call = jax.ffi.ffi_call("cnnfast_pool2d_grad", jax.ShapeDtypeStruct((1, 4, 4, 1), np.float32))
    numbers = np.array([0, 0, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 1], np.int64)
    indices = jnp.full((1, 2, 2, 1, 2), 1000, jnp.int32)
    with pytest.raises(Exception, match="parameter"):
        call(jnp.ones((1, 2, 2, 1)), indices, problem=numbers).block_until_ready()
