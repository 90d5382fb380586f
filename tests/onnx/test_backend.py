"""ONNX's official cases: which are out, by rule, and the rest."""

import functools
import unittest
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

from onnx import AttributeProto, TensorProto
from onnx.backend.test import BackendTest
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from cnnfast.onnx import backend, registry
from cnnfast.onnx.importer import FIRST_OPSET

NO_NUMPY_TYPE = ("STRING", "FLOAT8", "FLOAT4", "INT4", "UINT4", "INT2", "UINT2")
"""Element types that are out: each name's start."""
ACTIVATIONS = """Celu Elu Gelu HardSigmoid HardSwish LeakyRelu Mish PRelu Relu Selu Shrink Sigmoid Softplus Softsign
    Swish Tanh ThresholdedRelu"""
ELEMENTWISE = """Abs Acos Acosh Add And Asin Asinh Atan Atanh Ceil Clip Cos Cosh Div Equal Erf Exp Floor Greater
    GreaterOrEqual IsInf IsNaN Less LessOrEqual Log Max Mean Min Mod Mul Neg Not Or Pow Reciprocal
    Round Sign Sin Sinh Sqrt Sub Sum Tan Xor"""
REDUCTIONS = """ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare"""
NETWORKS = """AveragePool BatchNormalization Conv ConvInteger ConvTranspose DeformConv DepthToSpace DequantizeLinear
    Dropout Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample GroupNormalization Hardmax
    InstanceNormalization LRN LayerNormalization LogSoftmax LpNormalization LpPool MatMul MatMulInteger
    MaxPool MaxRoiPool MaxUnpool MeanVarianceNormalization NonMaxSuppression QLinearConv QLinearMatMul
    QuantizeLinear Resize RoiAlign Softmax SpaceToDepth Upsample"""
ARRAYS = """ArgMax ArgMin Cast Concat Constant ConstantOfShape Expand Flatten Gather Identity Pad Reshape Shape Slice
    Split Squeeze Tile TopK Transpose Unsqueeze Where"""
LISTED = frozenset(f"{ACTIVATIONS} {ELEMENTWISE} {REDUCTIONS} {NETWORKS} {ARRAYS}".split())
"""The ops that convolutional networks use: none of them may be unknown."""
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")


class Case(NamedTuple):
    """A model with its inputs and what must come of them."""

    kind: str
    name: str
    model: Any
    sets: Any
    rtol: float
    atol: float


@functools.cache
def cases(kind: str) -> list[Case]:
    """Every official case of a kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx's own, while it makes the data
        return [_read(each) for each in load_model_tests(kind=kind)]


def _read(case: Any) -> Case:
    model, sets = case.model, case.data_sets
    if model is None:
        folder = Path(case.model_dir)
        model = onnx.load(folder / "model.onnx")
        sets = _Files(folder, model)
    return Case(case.kind, case.name, model, sets, case.rtol, case.atol)


class _Files:
    """The data sets of a case in files, read where they are wanted."""

    def __init__(self, folder: Path, model: Any) -> None:
        self._folder = folder

    def __iter__(self) -> Iterator[tuple[list[Any], list[Any]]]:
        for folder in sorted(self._folder.glob("test_data_set_*")):
            yield self._arrays(folder, "input"), self._arrays(folder, "output")

    def _arrays(self, folder: Path, kind: str) -> list[Any]:
        count = len(list(folder.glob(f"{kind}_*.pb")))
        return [_array(onnx.load_tensor(folder / f"{kind}_{i}.pb")) for i in range(count)]


def _array(given: Any) -> Any:
    return onnx.numpy_helper.to_array(given) if isinstance(given, TensorProto) else given


def why_out(model: Any) -> str | None:
    """Why a case cannot be run, or None: its age, its types, its subgraphs, training, an op that is not known."""
    graph = model.graph
    if any(each.version < FIRST_OPSET for each in model.opset_import if each.domain in registry.DOMAINS):
        return f"before opset {FIRST_OPSET}"
    for value in (*graph.input, *graph.output):
        if value.type.WhichOneof("value") != "tensor_type":
            return "sequences and optionals"
    kinds = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    kinds |= {each.data_type for each in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
                return "control flow"
            if attribute.type == AttributeProto.TENSOR:
                kinds.add(attribute.t.data_type)
            if attribute.name in ("to", "output_dtype", "dtype"):
                kinds.add(attribute.i)
        known = node.domain in registry.DOMAINS and node.op_type in registry.KNOWN
        if not known:
            return f"op {node.domain and node.domain + '.'}{node.op_type}"
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            return "training"
        if any(each.name == "training_mode" and each.i for each in node.attribute):
            return "training"
    if any(TensorProto.DataType.Name(kind).startswith(NO_NUMPY_TYPE) for kind in kinds):
        return "float8, 4 and 2 bits, strings"
    return None


def run(case: Case) -> None:
    """Raise what the official runner would."""
    ready = backend.prepare(case.model)
    for inputs, outputs in case.sets:
        given = ready.run([np.asarray(_array(each)) for each in inputs])
        wanted = [np.asarray(_array(each)) for each in outputs]
        Runner.assert_similar_outputs(wanted, given, rtol=case.rtol, atol=case.atol)


LEAST = {"node": 1320, "simple": 7, "pytorch-converted": 82, "pytorch-operator": 35}
"""How many cases of each kind pass: those of onnx 1.23; older ones have fewer."""


def test_every_listed_op_is_known() -> None:
    assert LISTED - registry.KNOWN.keys() == set()


@pytest.mark.parametrize("kind", KINDS)
def test_official_cases(kind: str) -> None:
    passed, out, wrong = 0, Counter[str](), []
    for case in cases(kind):
        reason = why_out(case.model)
        if reason:
            out[reason] += 1
            continue
        try:
            with np.errstate(all="ignore"):
                run(case)
            passed += 1
        except Exception as error:
            wrong.append(f"{case.name}: {type(error).__name__}: {str(error).strip()[:300]}")
    print(f"{kind}: {passed} passed, {len(wrong)} failed; out: {dict(out.most_common())}")
    assert not wrong, f"{len(wrong)} of {passed + len(wrong)} failed:\n" + "\n".join(wrong)
    if tuple(int(part) for part in onnx.__version__.split(".")[:2]) >= (1, 23):
        assert passed >= LEAST[kind]


def test_the_official_runner_takes_the_backend() -> None:
    runner = BackendTest(backend, __name__).include("test_conv_with_strides_padding_cpu")
    result = unittest.TestResult()
    runner.test_suite.run(result)
    assert result.wasSuccessful()
    assert result.testsRun - len(result.skipped) == 1
