"""A check that cannot fail is worse than none: here the kernels are given bugs, and verify must find each."""

import ctypes
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

from cnnfast.backends import native
from cnnfast.verification import Report, Trial, draw, run
from cnnfast.verification.draw import SCHEDULE

Function = Callable[..., Any]
Arguments = dict[str, Any]
Bug = Callable[[Function, Arguments], Any]
"""Stands in for an op's function: gets it and its arguments, and returns something wrong."""

BUGS: list[tuple[Bug, str, str]] = []


def seeded(op: str, found: str) -> Callable[[Bug], Bug]:
    """Put a bug on the list: in which op, and the report's field that must tell of it."""

    def add(bug: Bug) -> Bug:
        BUGS.append((bug, op, found))
        return bug

    return add


@seeded("conv2d", "out_of_bound")
@seeded("depthwise_conv2d", "out_of_bound")
@seeded("conv_transpose2d", "out_of_bound")
def a_tap_is_dropped(function: Function, a: Arguments) -> Any:
    weight = a["weight"].copy()
    weight[(-1, -1, -1) if a["layout"] == "NHWC" else (..., -1, -1)] = 0
    return function(**a | {"weight": weight})


@seeded("separable_conv2d", "out_of_bound")
def a_middle_channel_is_dropped(function: Function, a: Arguments) -> Any:
    weight = a["pointwise_weight"].copy()
    weight[(0, 0, -1) if a["layout"] == "NHWC" else (..., -1, 0, 0)] = 0
    return function(**a | {"pointwise_weight": weight})


@seeded("inverted_residual2d", "out_of_bound")
def a_wide_channel_is_dropped(function: Function, a: Arguments) -> Any:
    weight = a["project_weight"].copy()
    weight[(0, 0, -1) if a["layout"] == "NHWC" else (..., -1, 0, 0)] = 0
    return function(**a | {"project_weight": weight})


@seeded("conv2d_max_pool2d", "out_of_bound")
@seeded("inverted_residual2d", "out_of_bound")
def the_last_row_is_the_first(function: Function, a: Arguments) -> Any:
    result = function(**a)
    rows = np.moveaxis(a["out"], 2 if a["layout"] == "NCHW" else 1, 0)
    rows[-1] = rows[0]
    return result


@seeded("conv1d", "out_of_bound")
@seeded("conv3d", "out_of_bound")
@seeded("linear", "out_of_bound")
def the_first_weight_is_off(function: Function, a: Arguments) -> Any:
    weight = a["weight"].copy()
    weight.reshape(-1)[0] += 1
    return function(**a | {"weight": weight})


@seeded("batch_norm", "out_of_bound")
def the_mean_is_forgotten(function: Function, a: Arguments) -> Any:
    return function(**a | {"running_mean": np.zeros_like(a["running_mean"])})


@seeded("local_response_norm", "out_of_bound")
def a_neighbour_is_forgotten(function: Function, a: Arguments) -> Any:
    return function(**a | {"size": a["size"] + 1})


@seeded("softmax", "out_of_bound")
@seeded("log_softmax", "out_of_bound")
@seeded("concatenate", "out_of_bound")
def the_axis_is_another(function: Function, a: Arguments) -> Any:
    array = a["out"]
    result = function(**a)
    if array.ndim > 1 and array.shape[0] == array.shape[1]:
        array[...] = np.swapaxes(array, 0, 1).copy()
    else:
        array.reshape(-1)[:] = array.reshape(-1)[::-1].copy()
    return result


@seeded("elu", "out_of_bound")
@seeded("gelu", "out_of_bound")
@seeded("sigmoid", "out_of_bound")
@seeded("softplus", "out_of_bound")
@seeded("leaky_relu", "out_of_bound")
@seeded("add", "out_of_bound")
@seeded("multiply", "out_of_bound")
@seeded("prelu", "out_of_bound")
def nine_ulp_are_lost(function: Function, a: Arguments) -> Any:
    result = function(**a)
    a["out"][...] = a["out"] * a["out"].dtype.type(1 + 9 * np.finfo(a["out"].dtype).eps)
    return result


@seeded("upsample2d", "out_of_bound")
def a_lerp_is_rounded_to_eighths(function: Function, a: Arguments) -> Any:
    result = function(**a)
    a["out"][...] = np.round(a["out"] * 8) / 8
    return result


@seeded("pad2d", "out_of_bound")
def the_corner_is_left_zero(function: Function, a: Arguments) -> Any:
    result = function(**a)
    a["out"][:, :1, :1, :1] = 0
    return result


@seeded("conv2d", "out_of_bound")
@seeded("max_pool2d", "out_of_bound")
@seeded("lp_pool2d", "out_of_bound")
@seeded("max_unpool2d", "out_of_bound")
@seeded("max_pool1d", "out_of_bound")
@seeded("max_pool3d", "out_of_bound")
@seeded("avg_pool1d", "out_of_bound")
@seeded("avg_pool3d", "out_of_bound")
def the_last_lane_is_off(function: Function, a: Arguments) -> Any:
    result = function(**a)
    tail = a["out"][:, -1] if a["layout"] in ("NCHW", "NCL", "NCDHW") else a["out"][..., -1]
    tail *= 1 + 2.0**-12
    return result


@seeded("conv2d", "out_of_bound")
@seeded("separable_conv2d", "out_of_bound")
@seeded("inverted_residual2d", "out_of_bound")
def the_residual_is_forgotten(function: Function, a: Arguments) -> Any:
    return function(**a | {"residual": None})


@seeded("conv2d", "out_of_bound")
def the_activation_is_forgotten(function: Function, a: Arguments) -> Any:
    return function(**a | {"activation": None})


@seeded("conv2d", "out_of_bound")
@seeded("avg_pool2d", "out_of_bound")
def padding_sides_are_swapped(function: Function, a: Arguments) -> Any:
    padding = a["padding"]
    if isinstance(padding, tuple) and isinstance(padding[0], tuple):
        padding = padding[0][::-1], padding[1][::-1]
    return function(**a | {"padding": padding})


@seeded("conv2d", "out_of_bound")
@seeded("max_pool2d", "out_of_bound")
@seeded("avg_pool2d", "out_of_bound")
def nan_is_lost(function: Function, a: Arguments) -> Any:
    result = function(**a)
    a["out"][np.isnan(a["out"])] = 0
    return result


@seeded("conv2d", "out_of_bound")
@seeded("min_pool2d", "out_of_bound")
@seeded("global_avg_pool2d", "out_of_bound")
def denormals_are_flushed(function: Function, a: Arguments) -> Any:
    result = function(**a)
    a["out"][np.abs(a["out"]) < np.finfo(a["out"].dtype).tiny] = 0
    return result


@seeded("conv2d", "out_of_bound")
@seeded("depthwise_conv2d", "out_of_bound")
@seeded("conv_transpose2d", "out_of_bound")
@seeded("adaptive_avg_pool2d", "out_of_bound")
def exact_sums_are_an_ulp_off(function: Function, a: Arguments) -> Any:
    result = function(**a)
    if np.array_equal(a["x"], np.round(a["x"])):
        a["out"][...] = np.nextafter(a["out"], np.inf, dtype=a["out"].dtype)
    return result


@seeded("max_pool2d", "out_of_bound")
@seeded("adaptive_max_pool2d", "out_of_bound")
def the_last_of_equal_maxima_is_indexed(function: Function, a: Arguments) -> Any:
    result = function(**a)
    if isinstance(result, tuple) and result[1].size:
        result[1].reshape(-1)[-1] += 1
    return result


def an_ulp_off(when: Callable[[Arguments], bool]) -> Bug:
    """One ulp more where `when` says: within every bound, but not the same bits."""

    def bug(function: Function, a: Arguments) -> Any:
        result = function(**a)
        if when(a) and not np.array_equal(a["x"], np.round(a["x"])):
            a["out"][...] = np.nextafter(a["out"], np.inf, dtype=a["out"].dtype)
        return result

    return bug


SEEN: set[object] = set()


def is_again(a: Arguments) -> bool:
    key = native.isa(), a["algorithm"], a["layout"], a["x"].tobytes()
    seen = key in SEEN
    SEEN.add(key)
    return seen


PROMISES: dict[str, tuple[str, Callable[[Arguments], bool]]] = {
    "layouts": ("avg_pool2d", lambda a: a["layout"] == "NCHW"),
    "algorithms": ("conv2d", lambda a: a["algorithm"] == "im2col"),
    "instruction sets": ("depthwise_conv2d", lambda a: native.isa() == "avx512"),
    "a plan and one call": ("separable_conv2d", lambda a: True),
    "run after run": ("adaptive_avg_pool2d", is_again),
    "any alignment": ("global_avg_pool2d", lambda a: bool(a["x"].ctypes.data % 64 and a["out"].ctypes.data % 64)),
    "alone and in a batch": ("avg_pool2d", lambda a: a["x"].shape[0] == 1),
    "any number of threads": ("global_avg_pool2d", lambda a: native.get_num_threads() == 3),
}


@seeded("conv2d", "other")
def a_byte_behind_is_written(function: Function, a: Arguments) -> Any:
    result = function(**a)
    ctypes.memset(a["out"].ctypes.data + a["out"].nbytes, 0, 1)
    return result


@seeded("avg_pool2d", "other")
def a_byte_before_is_written(function: Function, a: Arguments) -> Any:
    result = function(**a)
    ctypes.memset(a["out"].ctypes.data - 1, 0, 1)
    return result


@seeded("max_pool2d", "other")
def an_output_is_left_out(function: Function, a: Arguments) -> Any:
    before = a["out"][-1:, -1:, -1:, -1:].copy()
    result = function(**a)
    a["out"][-1:, -1:, -1:, -1:] = before
    return result


@seeded("conv2d", "other")
@seeded("max_unpool2d", "other")
def an_input_is_modified(function: Function, a: Arguments) -> Any:
    result = function(**a)
    a["x"] += 1
    return result


@seeded("separable_conv2d", "other")
def out_is_not_returned(function: Function, a: Arguments) -> Any:
    return function(**a).copy()


@seeded("conv2d", "other")
def a_valid_problem_is_refused(function: Function, a: Arguments) -> Any:
    if a["stride"] != 1:
        raise ValueError("stride must be 1")
    return function(**a)


def with_bug(
    monkeypatch: pytest.MonkeyPatch, bug: Bug, op: str, enough: Callable[[Report], bool], most: int = 500
) -> Report:
    """The report on the first cases of one op, in float32, with the bug in it, up to where it has found enough."""
    function = run.FUNCTIONS[op]
    monkeypatch.setitem(run.FUNCTIONS, op, lambda **arguments: bug(function, arguments))
    places = [i for i, place in enumerate(SCHEDULE) if place == (op, np.float32)]
    numbers = (turn * len(SCHEDULE) + place for turn in count() for place in places)
    report = Report(0, native.isas())
    while not enough(report) and report.cases < most:
        report.add(Trial(draw(0, next(numbers))).go())
    return report


def right(function: Function, a: Arguments) -> Any:
    """No bug."""
    return function(**a)


@pytest.mark.parametrize(("bug", "op", "found"), BUGS, ids=lambda each: getattr(each, "__name__", str(each)))
def test_bug_is_found(bug: Bug, op: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = with_bug(monkeypatch, bug, op, lambda report: getattr(report, found) > 0)
    assert getattr(report, found) > 0, str(report)
    assert not report
    assert "python -m cnnfast.verification --seed 0 --case" in str(report)


def test_a_broken_promise_of_an_op_without_layouts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """softmax sums in an order that the row alone decides."""

    def bug(function: Function, a: Arguments) -> Any:
        result = function(**a)
        if native.get_num_threads() == 3 and a["x"].size:
            a["out"][...] = np.nextafter(a["out"], np.inf, dtype=a["out"].dtype)
        return result

    promise = "any number of threads: "
    report = with_bug(monkeypatch, bug, "softmax", lambda report: promise in "".join(report.failures))
    assert promise in "".join(report.failures), str(report)


@pytest.mark.parametrize("promise", PROMISES)
def test_broken_promise_is_found(promise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if promise == "instruction sets" and not {"avx2", "avx512"} <= set(native.isas()):
        pytest.skip("this machine has no two instruction sets with FMA to compare: run it on one with AVX-512")
    op, when = PROMISES[promise]
    report = with_bug(monkeypatch, an_ulp_off(when), op, lambda report: f"{promise}: " in "".join(report.failures))
    assert report.broken_promises > 0, str(report)
    assert f"{promise}: " in "".join(report.failures), str(report)


def test_without_a_bug_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    report = with_bug(monkeypatch, right, "conv2d", lambda report: False, most=60)
    assert report, str(report)
    assert report.cases == 60


def test_a_wrong_oracle_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnfast.backends import reference

    minimum = reference.min_pool2d
    monkeypatch.setattr(reference, "min_pool2d", lambda *args, **keywords: minimum(*args, **keywords) + 1)
    report = with_bug(monkeypatch, right, "min_pool2d", lambda report: report.out_of_bound == 3)
    assert report.out_of_bound == 3


def test_a_failing_oracle_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnfast.backends import reference

    def failing(*args: Any, **keywords: Any) -> Any:
        raise ValueError("no")

    monkeypatch.setattr(reference, "min_pool2d", failing)
    report = with_bug(monkeypatch, right, "min_pool2d", lambda report: report.cases == 2)
    assert report.other == 2
