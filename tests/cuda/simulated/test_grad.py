"""Gradients of maps and norms in the simulator, against the oracle."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends.cuda.arrays import host
from cnnfast.backends.cuda.grad import elementwise, norm
from cnnfast.backends.reference import grad

RNG = np.random.default_rng(3)
VALUES = np.array([-np.inf, -100, -3, -1.5, -0.0, 0.0, 0.5, 2, 6, 30, np.inf, np.nan])
NAMES = ["relu", "relu6", "leaky_relu", "elu", "selu", "sigmoid", "hardsigmoid", "tanh", "gelu", "silu", "hardswish",
         "mish", "softplus"]  # fmt: skip


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def close(y: Any, expected: Any) -> None:
    assert np.shape(y) == np.shape(expected)
    assert np.allclose(y, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", [*NAMES, "gelu_tanh"])
def test_activations_gradients_agree(name: str) -> None:
    x = np.concatenate([VALUES, RNG.normal(size=12)]).astype(np.float32)
    g = normal(x.size)
    close(
        elementwise.activation(host(g), host(x), activation=(name, 0.5)).owner,
        grad.activation(g, x, activation=(name, 0.5)),
    )


@pytest.mark.parametrize(
    ("x", "y"),
    [((3, 5, 8), (3, 5, 8)), ((4, 6, 8), (8,)), ((2, 6, 3), (6, 1)), ((2, 3), (1,)), ((1,), (7, 4)),
     ((2, 3, 4, 5), (2, 1, 4, 1))],
)  # fmt: skip
def test_sums_and_products_gradients_agree(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    a, b = normal(*x), normal(*y)
    g = normal(*np.broadcast_shapes(x, y))
    found = elementwise.multiply(host(g), host(a), host(b)), elementwise.add(host(g), host(a), host(b))
    for mine, expected in zip(found, (grad.multiply(g, a, b), grad.add(g, a, b)), strict=True):
        for made, right in zip(mine, expected, strict=True):
            close(made.owner, right)


def test_prelus_gradients_agree() -> None:
    g, x = normal(3, 4, 8), normal(3, 4, 8)
    for weight in (normal(1), normal(8)):
        found = elementwise.prelu(host(g), host(x), host(weight))
        for made, right in zip(found, grad.prelu(g, x, weight), strict=True):
            close(made.owner, right)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_a_biass_gradient_agrees(layout: str) -> None:
    g = normal(2, 5, 3, 8) if layout == "NHWC" else normal(2, 8, 5, 3)
    close(elementwise.bias(host(g), layout=layout).owner, grad.bias(g, layout=layout))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [None, "relu", "relu6"])
def test_batch_norms_gradient_agrees(layout: str, training: bool, name: str | None) -> None:
    shape = (2, 5, 3, 4) if layout == "NHWC" else (2, 4, 5, 3)
    g, x, mean, var, weight, bias = normal(*shape), normal(*shape), normal(4), normal(4) ** 2, normal(4), normal(4)
    for more in ((weight, bias), (None, None)):
        options: Any = {"eps": 0.1, "training": training, "layout": layout, "activation": (name, 0.0)}
        given = (None if each is None else host(each) for each in more)
        found = norm.batch_norm(host(g), host(x), host(mean), host(var), *given, **options)
        for made, right in zip(found, grad.batch_norm(g, x, mean, var, *more, **options), strict=True):
            close(made.owner, right)
