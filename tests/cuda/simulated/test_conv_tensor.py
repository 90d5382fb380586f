"""Convolutions on tensor cores, in the simulator through their instructions' twins, against the oracle."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

from cnnfast.backends import reference
from cnnfast.backends.cuda import conv
from cnnfast.backends.cuda.arrays import host

RNG = np.random.default_rng(8)
STEP = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-23}
"""Half a unit in the last place, of what is stored."""


def rounded(values: Any, dtype: str) -> Any:
    """The nearest values that dtype holds, as float32; tf32's for float32, so that its products are exact."""
    floats = np.asarray(values, np.float32)
    if dtype == "float16":
        return floats.astype(np.float16).astype(np.float32)
    cut = 16 if dtype == "bfloat16" else 13
    return (floats.view(np.uint32) + (1 << cut - 1) >> cut << cut).astype(np.uint32).view(np.float32)


def stored(values: Any, dtype: str) -> Any:
    """As the simulator's memory holds them."""
    if dtype == "float16":
        return values.astype(np.float16).view(np.uint16)
    return (values.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else values


def widened(array: Any, dtype: str) -> Any:
    if dtype == "float16":
        return array.view(np.float16).astype(np.float32)
    return (array.astype(np.uint32) << 16).view(np.float32) if dtype == "bfloat16" else array


def check(
    row: str, dtype: str, x: tuple[int, ...], w: tuple[int, ...], laid: str = "RSCK", *, residual: bool = False,
    **more: Any,
) -> None:  # fmt: skip
    """x in NHWC, w as R S C K, laid in memory in the order `laid`."""
    options: dict[str, Any] = {
        "stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1, "layout": "NHWC",
        "padding_mode": "zeros", "activation": (None, 0.0), **more,
    }  # fmt: skip
    a, b, c = (rounded(RNG.normal(size=size), dtype) for size in (x, w, w[3:]))
    expected = reference.conv2d(a, b, c, **options)
    order = tuple("RSCK".index(letter) for letter in laid)
    weight = np.ascontiguousarray(stored(b, dtype).transpose(order)).transpose(np.argsort(order))
    given = [host(stored(array, dtype), dtype) for array in (a, c)]
    added = rounded(RNG.normal(size=expected.shape), dtype)
    if residual:
        expected = reference.conv2d(a, b, c, added, **options)
    y = conv.conv2d(
        given[0], host(weight, dtype), given[1], host(stored(added, dtype), dtype) if residual else None, algorithm=row,
        precision="fast", **options,
    )  # fmt: skip
    found = widened(y.owner, dtype)
    places = w[0] * w[1] * w[2]
    # a half's result is rounded once; the sums before differ by float32's roundings, of terms of size 1
    bound = STEP[dtype] * abs(expected) * (dtype != "float32") + 2.0**-20 * places**0.5 * 4
    assert (abs(found - expected) <= bound).all(), (abs(found - expected) / bound).max()


CASES: list[tuple[Any, ...]] = [
    ("float16", (1, 5, 7, 16), (3, 3, 16, 8), "RSCK", {"padding": ((1, 1), (0, 2)), "activation": ("relu", 0.0)}),
    ("float16", (2, 4, 5, 8), (3, 2, 8, 72), "KRSC",
     {"stride": (2, 1), "dilation": (1, 2), "padding": ((1, 0), (1, 1))}),
    ("bfloat16", (1, 3, 3, 40), (1, 1, 40, 16), "KCRS", {"residual": True}),
    ("bfloat16", (1, 6, 4, 16), (2, 2, 8, 48), "RSCK", {"groups": 2, "residual": True, "activation": ("silu", 0.0)}),
    ("float32", (1, 5, 4, 12), (3, 3, 12, 8), "RSCK", {"padding": ((1, 1), (1, 1)), "residual": True}),
    ("float32", (1, 4, 4, 8), (2, 3, 4, 16), "KCRS", {"groups": 2, "padding": ((1, 1), (1, 1))}),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "x", "w", "laid", "more"), CASES)
def test_tensor_agrees_with_the_oracle(
    dtype: str, x: tuple[int, ...], w: tuple[int, ...], laid: str, more: dict[str, Any]
) -> None:
    check("tensor", dtype, x, w, laid, **more)


@pytest.mark.parametrize(("dtype", "x", "w", "laid", "more"), [CASES[i] for i in (0, 1, 3, 5)])
def test_wgmma_agrees_with_the_oracle(
    dtype: str, x: tuple[int, ...], w: tuple[int, ...], laid: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conv, "capability", lambda device: (9, 0))
    check("wgmma", dtype, x, w, laid, **more)
