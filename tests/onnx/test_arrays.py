"""Ops where the official cases say little: bad indices and sizes, nothing at all, odd dtypes, older opsets."""

import math
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from cnnfast.onnx import load

INF, NAN = np.inf, np.nan


def model_of(op: str, arrays: Any, opset: int = 13, outputs: int = 1, **attributes: Any) -> Any:
    """One node; an array that is None is left out."""
    names = ["" if array is None else f"x{i}" for i, array in enumerate(arrays)]
    kinds = helper.np_dtype_to_tensor_dtype
    results = [f"y{i}" for i in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op, names, results, **attributes)], "one",
        [helper.make_tensor_value_info(n, kinds(x.dtype), x.shape) for n, x in zip(names, arrays, strict=True) if n],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def run(op: str, *arrays: Any, **settings: Any) -> list[Any]:
    return load(model_of(op, arrays, **settings).SerializeToString())(*(x for x in arrays if x is not None))


def i64(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def f32(*numbers: float) -> Any:
    return np.array(numbers, np.float32)


GRID = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize(
    ("op", "arrays", "settings", "rule"),
    [
        ("Gather", (GRID, i64(3)), {}, r"indices must be in \[-3, 2\], got 3"),
        ("Gather", (GRID, i64(0, -4)), {}, r"indices must be in \[-3, 2\], got -4"),
        ("Gather", (GRID, i64(0)), {"axis": 2}, r"axes must be in \[-2, 1\]"),
        ("Gather", (GRID[:0], i64(0)), {}, r"indices must be in \[0, -1\], got 0"),
        ("GatherElements", (GRID, i64(4).reshape(1, 1)), {"axis": 1}, r"indices must be in \[-4, 3\], got 4"),
        ("GatherElements", (GRID, np.zeros((1, 5), np.int64)), {}, "within data's shape"),
        ("GatherND", (GRID, i64(0, 4)), {}, r"indices must be in \[-4, 3\], got 4"),
        ("GatherND", (GRID, i64(0, 0, 0)), {}, "tuples of up to 2"),
        ("GatherND", (GRID, i64(0, 0).reshape(2, 1)), {"batch_dims": 1}, "must start with data's"),
        ("ScatterElements", (GRID, i64(3).reshape(1, 1), f32(1).reshape(1, 1)), {}, r"indices must be in \[-3, 2\]"),
        ("ScatterElements", (GRID, i64(0).reshape(1, 1), f32(1)), {}, "updates must have indices' shape"),
        ("ScatterND", (GRID, i64(-4).reshape(1, 1), GRID[:1]), {}, r"indices must be in \[-3, 2\]"),
        ("ScatterND", (GRID, i64(0).reshape(1, 1), f32(1)), {}, "updates must have shape"),
        ("TopK", (GRID, i64(5)), {}, r"k must be in \[0, 4\]"),
        ("TopK", (GRID, i64(-1)), {}, r"k must be in \[0, 4\]"),
        ("OneHot", (i64(1), i64(-2), f32(0, 1)), {}, "depth must be >= 0"),
        ("Slice", (GRID, i64(0), i64(9), i64(0), i64(0)), {}, "steps must not be 0"),
        ("Slice", (GRID, i64(0, 0), i64(9)), {}, "must be as many"),
        ("Split", (GRID, i64(2, 1)), {"axis": 1, "outputs": 2}, "sum to 4"),
        ("Pad", (GRID, i64(0, 0, -4, 0)), {}, "must cut no more than there is"),
        ("Pad", (GRID[:0], i64(1, 0, -1, 0)), {}, "must cut no more than there is"),
        ("Pad", (GRID, i64(0, 0, 1)), {}, "pads must have 4 numbers"),
        ("Squeeze", (GRID, i64(1)), {}, "must be of size 1"),
        ("Unsqueeze", (GRID, i64(0, 0)), {}, "axes must differ"),
        ("ReduceSum", (GRID, i64(2)), {}, r"axes must be in \[-2, 1\]"),
        ("Expand", (GRID, i64(-1, 4)), {}, "must hold sizes >= 0"),
        ("Tile", (GRID, i64(2)), {}, "a number for each axis"),
        ("Reshape", (GRID, i64(5, -1)), {}, "does not hold the 12 elements"),
        ("Range", (i64(0), i64(1), i64(0)), {}, "delta not 0"),
        ("Range", (f32(0), f32(INF), f32(1)), {}, "must be finite"),
        ("ConstantOfShape", (i64(-1),), {}, "must hold sizes >= 0"),
        ("Transpose", (GRID,), {"perm": [0, 0]}, "each axis of 2 once"),
        ("Compress", (GRID, np.ones(4, np.bool_)), {"axis": 0}, "a vector of up to 3"),
        ("ReverseSequence", (GRID, i64(4, 1, 1, 9)), {}, r"sequence_lens must be in \[0, 3\]"),
        ("PRelu", (GRID, np.ones((5, 1, 1), np.float32)), {}, "slope must repeat to X's shape"),
    ],
)
def test_bad_numbers(op: str, arrays: Any, settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        run(op, *arrays, **settings)
    assert op in str(caught.value)


@pytest.mark.parametrize(
    ("op", "count", "attributes", "rule"),
    [
        ("Pad", 2, {"mode": "mirror"}, "mode must be one of"),
        ("BitShift", 2, {"direction": "UP"}, "direction must be one of"),
        ("ScatterND", 3, {"reduction": "div"}, "reduction must be one of"),
        ("Cast", 1, {"to": 8}, "STRING"),
        ("Cast", 1, {}, "'to' is missing"),
        ("Constant", 0, {"value_int": 1, "value_float": 1.0}, "must have one value"),
        ("Constant", 0, {"value_string": "x"}, "'value_string' is not supported"),
        ("RandomNormal", 0, {"shape": [2]}, "RandomNormal of opset 18 is not supported"),
        ("Relu", 1, {"out": 1.0}, "'out' is not supported"),
        ("ReverseSequence", 2, {"batch_axis": 2}, "batch_axis and time_axis must be 0 and 1"),
    ],
)
def test_what_is_refused_at_load(op: str, count: int, attributes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        load(model_of(op, [GRID] * count, opset=18, **attributes).SerializeToString())
    assert op in str(caught.value)


@pytest.mark.parametrize(
    ("op", "arrays", "settings"),
    [
        ("Gather", (np.zeros((0, 4), np.float32), np.zeros((0,), np.int64)), {}),
        ("Gather", (GRID, np.array(-1)), {"axis": 1}),
        ("Concat", (GRID, GRID[:0]), {"axis": 0}),
        ("Slice", (GRID, i64(5), i64(9)), {}),
        ("Slice", (GRID, i64(-1), i64(-(2**63))), {"opset": 13}),
        ("TopK", (GRID, i64(0)), {"outputs": 2}),
        ("Tile", (GRID, i64(0, 2)), {}),
        ("Expand", (GRID[:1], i64(0, 4)), {}),
        ("Relu", (np.zeros((0, 3), np.float32),), {}),
        ("Erf", (np.array(0.3, np.float32),), {}),
        ("Add", (np.array(1, np.int8), np.array(2, np.int8)), {"opset": 14}),
        ("Mul", (np.array([200], np.uint8), np.array([2], np.uint8)), {"opset": 14}),
        ("Max", (np.array([1, 5], np.int64), np.array([3], np.int64)), {}),
        ("CumSum", (GRID, np.array(1)), {"exclusive": 1, "reverse": 1}),
        ("ReduceSum", (np.arange(5, dtype=np.int32), i64(0)), {}),
        ("ReduceMean", (GRID,), {"axes": [0], "keepdims": 0, "opset": 11}),
        ("ArgMax", (np.array([[2, 2], [1, 2]], np.float32),), {"axis": 1, "select_last_index": 1}),
        ("Pow", (np.array([2, 3], np.int32), f32(3, 2)), {}),
        ("Trilu", (np.arange(6).reshape(2, 3), np.array(-1)), {"upper": 0, "opset": 14}),
        ("EyeLike", (GRID,), {"k": 1, "dtype": 7}),
        ("Det", (np.eye(3, dtype=np.float32)[None] * 2,), {}),
        ("Where", (np.array([True, False]), np.array([1, 2], np.int64), np.array(9)), {}),
        ("Einsum", (GRID, GRID), {"equation": "ij,kj->ik"}),
        ("Shape", (GRID,), {"start": -1, "opset": 15}),
        ("NonZero", (np.array([[1, 0], [2, 3]], np.float32),), {}),
        ("Unique", (np.array([3, 1, 3, 2], np.float32),), {"sorted": 0, "outputs": 4}),
        ("Round", (f32(0.5, 1.5, -2.5, NAN),), {}),
        ("Mod", (np.array([-7, 7], np.int32), np.array([3, -3], np.int32)), {}),
        ("OneHot", (i64(0, -1, 9), np.array(3), f32(0, 1)), {"axis": 0}),
    ],
)
def test_values(op: str, arrays: Any, settings: dict[str, Any]) -> None:
    with np.errstate(all="ignore"):
        wanted = ReferenceEvaluator(model_of(op, arrays, **settings)).run(
            None, {f"x{i}": x for i, x in enumerate(arrays)}
        )
        found = run(op, *arrays, **settings)
    for y, z in zip(found, wanted, strict=True):
        assert isinstance(y, np.ndarray)
        assert (y.shape, y.dtype) == (z.shape, z.dtype)
        np.testing.assert_allclose(y, z, rtol=1e-6)


def test_tuples_of_nothing_gather_everything() -> None:
    assert run("GatherND", GRID, np.zeros((2, 0), np.int64))[0].tolist() == [GRID.tolist()] * 2


def test_integers_are_divided_towards_zero() -> None:
    x, y = np.array([7, -7, 7, -7, -128], np.int8), np.array([2, 2, -2, -2, 1], np.int8)
    assert run("Div", x, y, opset=14)[0].tolist() == [3, -3, -3, 3, -128]


def test_slices_backwards_start_at_the_first_at_least() -> None:
    """The operators' document: a start is clamped to [0, n - 1] where the step is negative."""
    x = np.arange(4, dtype=np.float32)
    for start, end, step, wanted in ((-7, -8, -2, [0]), (-1, -9, -3, [3, 0]), (9, 1, -1, [3, 2]), (1, 3, -1, [])):
        given = i64(start), i64(end), i64(0), i64(step)
        assert run("Slice", x, *given)[0].tolist() == wanted
    assert run("Slice", x[:0], i64(-1), i64(-9), i64(0), i64(-1))[0].tolist() == []


def test_negative_pads_cut() -> None:
    x = np.arange(24, dtype=np.float32).reshape(1, 1, 4, 6)
    wanted = np.pad(x[:, :, 1:], [(0, 0)] * 3 + [(0, 2)])
    assert run("Pad", x, i64(0, 0, -1, 0, 0, 0, 0, 2))[0].tolist() == wanted.tolist()
    assert run("Pad", x, i64(0, 0, -3, 0, 0, 0, -1, 0))[0].shape == (1, 1, 0, 6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_erf(dtype: Any) -> None:
    x = np.concatenate([np.linspace(-7, 7, 1001), [0.0, 1e-6, -1e-12, 0.499999, 0.5, INF, -INF, NAN]]).astype(dtype)
    wanted = np.array([math.erf(each) for each in x])
    np.testing.assert_allclose(run("Erf", x)[0], wanted, rtol=8 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_reductions_of_nothing(opset: int) -> None:
    nothing = np.zeros((2, 0), np.float32)
    for op, unit in (("Sum", 0.0), ("Prod", 1.0), ("Max", -INF), ("Min", INF), ("L2", 0.0), ("LogSumExp", -INF)):
        by_input = opset >= (13 if op == "Sum" else 18)
        given = (nothing, i64(1)) if by_input else (nothing,)
        axes = {} if by_input else {"axes": [1]}
        assert run(f"Reduce{op}", *given, opset=opset, keepdims=0, **axes)[0].tolist() == [unit, unit]


def test_a_reduction_over_no_axes_still_does_the_rest() -> None:
    assert run("ReduceSumSquare", f32(2, -3), opset=18, noop_with_empty_axes=1)[0].tolist() == [4, 9]
    assert run("ReduceSum", f32(2, -3), noop_with_empty_axes=1)[0].tolist() == [2, -3]
    assert run("ReduceL1", f32(2, -3), opset=18)[0].tolist() == [5]


def test_log_sum_exp_does_not_overflow() -> None:
    np.testing.assert_allclose(run("ReduceLogSumExp", f32(1000, 1000))[0], [1000 + math.log(2)], rtol=1e-6)


def test_scatter_adds_where_indices_meet() -> None:
    y = run("ScatterND", f32(0, 0, 0), i64(1, 1, -1).reshape(3, 1), f32(1, 2, 4), opset=16, reduction="add")[0]
    assert y.tolist() == [0, 3, 4]
    x = np.zeros((2, 3), np.float32)
    y = run("ScatterElements", x, i64(2, -3).reshape(2, 1), f32(5, 6).reshape(2, 1), axis=1)[0]
    assert y.tolist() == [[0, 0, 5], [6, 0, 0]]


def test_top_k_of_equals_and_nan() -> None:
    x = f32(1, 3, NAN, 3, 2)
    values, places = run("TopK", x, i64(3), outputs=2)
    assert places.tolist() == [2, 1, 3]
    values, places = run("TopK", x, i64(2), outputs=2, largest=0)
    assert (values.tolist(), places.tolist()) == ([1, 2], [0, 4])
    assert run("TopK", x.astype(np.float64), outputs=2, opset=9, k=1)[1].tolist() == [2]
    assert run("TopK", np.array([0, 255, 7], np.uint8), i64(2), outputs=2)[0].tolist() == [255, 7]


def test_clip_whose_limits_cross_and_of_integers() -> None:
    assert run("Clip", f32(-5, 0, 5), np.float32(2), np.float32(1))[0].tolist() == [1, 1, 1]
    assert run("Clip", np.array([-5, 5], np.int8), None, np.array(3, np.int8))[0].tolist() == [-5, 3]


def test_casts_stay_what_they_say() -> None:
    assert run("Cast", f32(0, 0.5, NAN), to=9)[0].tolist() == [False, True, True]
    assert run("Cast", f32(1.9, -1.9), to=6)[0].tolist() == [1, -1]
    assert run("CastLike", i64(2), np.array(True), opset=15)[0].dtype == np.bool_
    assert run("Cast", np.array(3), to=1)[0].shape == ()
