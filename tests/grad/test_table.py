"""The table of gradients: it names ops, their inputs, and functions that exist, in the engine and in the oracle."""

import inspect

import cnnfast.grad
from cnnfast.backends.reference import grad as oracle
from cnnfast.ops.grad.table import GRADIENTS
from cnnfast.ops.signatures import SIGNATURES


def test_every_row_names_what_exists() -> None:
    for op, row in GRADIENTS.items():
        inputs = [name.rstrip("?") for name in SIGNATURES[op].inputs]
        assert set(row) <= set(inputs), op
        for name in row.values():
            assert name in cnnfast.grad.__all__, name
            assert callable(getattr(cnnfast.grad, name)), name
            assert callable(getattr(oracle, name)), name


def test_every_function_is_in_the_table() -> None:
    assert set(cnnfast.grad.__all__) >= {name for row in GRADIENTS.values() for name in row.values()}


def test_every_function_is_typed_and_documented() -> None:
    for name in cnnfast.grad.__all__:
        function = getattr(cnnfast.grad, name)
        signature = inspect.signature(function)
        assert inspect.getdoc(function), name
        assert all(each.annotation is not inspect.Parameter.empty for each in signature.parameters.values()), name
        assert signature.return_annotation is not inspect.Signature.empty, name
