"""Maps in the simulator, against the oracle."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda import elementwise, norm
from cnnfast.backends.cuda.arrays import host

RNG = np.random.default_rng(3)
VALUES = np.array([-np.inf, -100, -3, -1.5, -0.0, 0.0, 0.5, 2, 6, 30, np.inf, np.nan])


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def close(y: Any, expected: Any) -> None:
    assert np.shape(y) == np.shape(expected)
    assert np.allclose(y, expected, rtol=1e-5, atol=1e-6, equal_nan=True)


NAMES = ["relu", "relu6", "leaky_relu", "elu", "selu", "sigmoid", "hardsigmoid", "tanh", "gelu", "silu", "hardswish",
         "mish", "softplus"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_activations_agree_also_at_the_ends(name: str) -> None:
    x = np.concatenate([VALUES, RNG.normal(size=11)]).astype(np.float32)
    close(getattr(elementwise, name)(host(x)).owner, getattr(reference, name)(x))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((3, 5, 8), (3, 5, 8)), ((5, 3), (5, 3)), ((4, 6, 8), (8,)), ((2, 6, 3), (6, 1)),
        ((2, 1, 4, 1, 3), (3, 1, 5, 1)),
        ((2, 3), (1,)), ((1,), (7, 4)), ((), ()),
    ],
)  # fmt: skip
def test_sums_and_products_broadcast(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    a, b = normal(*x), normal(*y)
    close(elementwise.add(host(np.array(a)), host(np.array(b)), activation=("relu", 0.0)).owner,
          reference.add(a, b, activation=("relu", 0.0)))  # fmt: skip
    close(elementwise.multiply(host(np.array(a)), host(np.array(b))).owner, reference.multiply(a, b))


def test_a_transposed_operand_is_read_by_its_strides() -> None:
    x, y = normal(4, 5, 6), normal(6, 5, 4).transpose(2, 1, 0)
    close(elementwise.add(host(x), host(y)).owner, x + y)
    last = normal(2, 4, 4, 8).transpose(0, 3, 1, 2)
    made = elementwise.relu(host(last)).owner
    assert made.strides == last.strides
    close(made, reference.relu(last))


@pytest.mark.parametrize("shape", [(3, 4, 5, 8), (2, 3, 3, 5), (70, 4, 4, 4)])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("given", [(True, True), (False, True), (True, False), (False, False)])
def test_batch_norm_agrees(shape: tuple[int, ...], layout: str, given: tuple[bool, bool]) -> None:
    if shape[0] == 70 and (given, layout) != ((True, True), "NHWC"):
        pytest.skip("several tiles of rows are seen once")
    x = normal(*shape) if layout == "NHWC" else np.ascontiguousarray(normal(*shape).transpose(0, 3, 1, 2))
    C = shape[-1]
    mean, var, weight, bias = normal(C), normal(C) ** 2, normal(C), normal(C)
    more = [each if use else None for each, use in zip((weight, bias), given, strict=True)]
    y = norm.batch_norm(
        host(x), host(mean), host(var), *(None if each is None else host(each) for each in more), layout=layout,
        eps=1e-3, activation=("relu", 0.0),
    ).owner  # fmt: skip
    close(y, reference.batch_norm(x, mean, var, *more, layout=layout, eps=1e-3, activation=("relu", 0.0)))


def test_prelu_agrees() -> None:
    x = normal(3, 4, 8)
    for weight in (normal(1), normal(8)):
        close(elementwise.prelu(host(x), host(weight)).owner, reference.prelu(x, weight))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes(dtype: str) -> None:
    x = np.arange(-16, 16, dtype=np.float32).reshape(2, 16)
    stored = {"float16": lambda v: v.astype(np.float16).view(np.uint16), "float64": lambda v: v.astype(np.float64),
              "bfloat16": lambda v: (v.view(np.uint32) >> 16).astype(np.uint16)}[dtype](x)  # fmt: skip
    y = elementwise.add(host(stored, dtype), host(stored, dtype), activation=("relu", 0.0)).owner
    found = {"float16": lambda v: v.view(np.float16), "float64": lambda v: v,
             "bfloat16": lambda v: (v.astype(np.uint32) << 16).view(np.float32)}[dtype](y)  # fmt: skip
    assert np.array_equal(found, np.maximum(2 * x, 0))
