"""Every op of the table on a device: its function has the table's arguments, and gives the oracle's values."""

import inspect
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

import device_arrays

import cnnfast
import cnnfast.backends.reference.grad
from cnnfast.backends import reference
from cnnfast.ops.device import found, table
from cnnfast.ops.signatures import SIGNATURES
from cnnfast.verification import draw, judge
from cnnfast.verification.case import Case, in_layout, layouts
from cnnfast.verification.draw import SCHEDULE
from cnnfast.verification.expected_dense import expected_of
from cnnfast.verification.expected_device import on_device

OWN = [op for op in table.OPS if op not in table.COMPOSED]


def test_every_op_is_there_or_said_to_be_absent() -> None:
    assert sorted([*table.OPS, *table.ABSENT]) == sorted(SIGNATURES)
    assert sorted([*table.GRADIENTS, *table.ABSENT_GRADIENTS]) == sorted(cnnfast.grad.__all__)


@pytest.mark.parametrize("op", OWN)
def test_the_backends_function_has_the_tables_arguments(op: str) -> None:
    signature = SIGNATURES[op]
    parameters = inspect.signature(found.function(op)).parameters
    arrays = [name for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert arrays == [name.rstrip("?") for name in signature.inputs]
    assert all(name not in arrays and found.takes(found.function(op), name) for name in signature.lowered)


@pytest.mark.parametrize("op", table.GRADIENTS)
def test_the_gradients_functions_have_the_oracles_arguments(op: str) -> None:
    function = found.function(op, found.BACKWARD)
    wanted = inspect.signature(getattr(reference.grad, op)).parameters
    arrays = [name for name, each in wanted.items() if each.kind is each.POSITIONAL_OR_KEYWORD]
    parameters = inspect.signature(function).parameters
    assert [name for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD] == arrays
    assert all(found.takes(function, name) for name in wanted)


def cases(op: str, dtype: str = "float32") -> Iterator[Case]:
    """Small ones without NaN."""
    places = [i for i, each in enumerate(SCHEDULE) if each == (op, np.dtype(dtype))]
    for turn in range(400):
        for place in places:
            case = draw(8, turn * len(SCHEDULE) + place)
            sizes = [each.size for each in case.inputs.values() if each is not None]
            right = _right(case) if case.kind != "special" and max(sizes) <= 700 and min(sizes) else None
            if right is not None and 0 < right.value.size <= 500:
                yield case


@cache
def _expected(seed: int, index: int) -> Any:
    return expected_of(draw(seed, index))


def _right(case: Case) -> Any:
    return _expected(case.seed, case.index)


# batch_norm_train is not among what the oracle's cases are drawn of
@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize("op", [op for op in table.OPS if op != "batch_norm_train"])
def test_a_call_on_a_device_gives_what_the_oracle_does(op: str, turn: int) -> None:
    case = next(islice(cases(op), turn, None))
    layout = layouts(op)[-1 - turn % len(layouts(op))]
    arrays = {
        name: None if each is None else device_arrays.OnDevice(each) for name, each in in_layout(case, layout).items()
    }
    named = {"layout": layout} if "layout" in SIGNATURES[op].attributes else {}
    if op == "concatenate":
        arrays = {"arrays": [each for each in arrays.values() if each is not None]}
    result = getattr(cnnfast, op)(**arrays, **case.attributes, **named)
    y, *rest = (device_arrays.numpy_of(each) for each in (result if isinstance(result, tuple) else (result,)))
    right = on_device(case, _right(case))
    if layout.startswith("NC"):
        y, rest = np.moveaxis(y, 1, -1), [np.moveaxis(each, 1, -1) for each in rest]
    indices = rest[0] if right.indices is not None else None
    fault = judge.fault(np.ascontiguousarray(y), indices, right, fused=False, zero_sign=case.zero_sign)
    assert fault is None, f"{case}: {fault}"
