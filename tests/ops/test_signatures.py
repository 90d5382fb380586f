"""The one table against what users call and what the backends have."""

import inspect
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference
from cnnfast.ops.signatures import CONTROLS, REQUIRED, SIGNATURES, Signature

ROWS = [pytest.param(row, id=name) for name, row in SIGNATURES.items()]
CONVOLUTIONS = ("conv2d", "separable_conv2d", "conv_transpose2d", "fused")
PLANNED = [row for row in ROWS if row.values[0].table in CONVOLUTIONS and row.values[0].name.endswith("2d")]
EVERY_DTYPE = [np.dtype(code).name for code in "?bBhHiIlLefdFD"]


def names(row: Signature) -> list[str]:
    return [name.rstrip("?") for name in row.inputs]


@pytest.mark.parametrize("row", ROWS)
def test_public_function(row: Signature) -> None:
    """The same names and defaults, and nothing more but the controls and `out`."""
    found = inspect.signature(getattr(cnnfast, row.name)).parameters
    expected: dict[str, Any] = {name.rstrip("?"): None if name.endswith("?") else REQUIRED for name in row.inputs}
    expected |= row.attributes
    expected |= CONTROLS if row.table in CONVOLUTIONS else {"algorithm": "auto"} if row.table == "pool2d" else {}
    expected["out"] = None
    assert set(found) == set(expected)
    for name, parameter in found.items():
        default = REQUIRED if parameter.default is parameter.empty else parameter.default
        assert default == expected[name], name


@pytest.mark.parametrize("row", PLANNED)
def test_plan_function(row: Signature) -> None:
    """conv2d's keywords but residual and out, with dtype and max_workspace."""
    one_call = inspect.signature(getattr(cnnfast, row.name)).parameters
    plan = inspect.signature(getattr(cnnfast, f"plan_{row.name}")).parameters
    assert set(plan) - {"input_shape", "dtype", "max_workspace"} == set(one_call) - {"x", "residual", "out"}
    assert all(plan[name].default == one_call[name].default for name in set(plan) & set(one_call))


@pytest.mark.parametrize("row", ROWS)
def test_reference_backend(row: Signature) -> None:
    found = inspect.signature(getattr(reference, row.name)).parameters
    assert set(found) == {*names(row), *row.lowered}
    assert [name for name in found if name in names(row)] == names(row)


@pytest.mark.parametrize("row", ROWS)
def test_native_backend(row: Signature) -> None:
    if row.table:
        assert hasattr(native, f"plan_{row.table}") or hasattr(native, f"run_{row.table}")
        assert native.algorithms(row.table)


def test_no_backend_has_an_op_that_the_table_lacks() -> None:
    assert set(reference.__all__) == {*SIGNATURES, "activate"}
    tables = {name.partition("_")[2] for name in native.__all__ if name.startswith(("plan_", "run_"))}
    tables = {name.partition("_grad")[0] for name in tables}  # conv2d_grad_weight: the way back of conv2d
    assert tables == {row.table for row in SIGNATURES.values()} - {""}


def arguments(row: Signature, dtype: str) -> dict[str, Any]:
    """The smallest call of an op with x of `dtype`, weights of its kind."""
    kind = "float32" if dtype.startswith(("float", "complex")) else "int8"
    layout = row.attributes.get("layout", "")
    shape = {"NLC": (1, 2, 1), "NDHWC": (1, 2, 2, 2, 1)}.get(layout, (1, 2, 2, 1))
    given: dict[str, Any] = {"x": np.ones(shape, dtype)}
    given |= {name: np.ones((1,) * len(shape), kind) for name in names(row) if "weight" in name}
    if "indices" in names(row):
        given["indices"] = np.zeros((1, 2, 2, 1), np.int64)
    if row.name == "linear":
        given["weight"] = np.ones((1, 1), kind)
    if row.name in ("batch_norm", "batch_norm_train", "prelu"):
        given |= {name: np.ones(1, kind) for name in names(row) if name != "x"}
    if "y" in names(row):
        given["y"] = given["x"]
    if "arrays" in names(row):
        given = {"arrays": [given["x"]]}
    values = {"kernel_size": 1, "output_size": 1, "norm_type": 2, "size": 1, "padding": 1}
    return given | {name: values[name] for name, default in row.attributes.items() if default is REQUIRED}


@pytest.mark.parametrize("dtype", EVERY_DTYPE)
@pytest.mark.parametrize("row", ROWS)
def test_dtypes(row: Signature, dtype: str) -> None:
    call = getattr(cnnfast, row.name)
    if np.dtype(dtype) in row.dtypes:
        outputs = call(**arguments(row, dtype))
        y = outputs[0] if isinstance(outputs, tuple) else outputs
        assert y.dtype == row.dtypes[np.dtype(dtype)]
    else:
        with pytest.raises(TypeError, match=f"(x|arrays.0.) must have a dtype of .*float32.* got dtype\\('{dtype}'\\)"):
            call(**arguments(row, dtype))
