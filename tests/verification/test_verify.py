"""`cnnfast.verify` on this machine, and what its cases are made of."""

from collections import Counter

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native
from cnnfast.ops import dispatch
from cnnfast.ops.signatures import FLOATS, SIGNATURES
from cnnfast.verification import Report, Trial, draw, judge, verify
from cnnfast.verification.case import Case, channels_last, in_layout, layouts
from cnnfast.verification.draw import OPS, SCHEDULE
from cnnfast.verification.expected import Expected
from cnnfast.verification.run import CHOOSES, PLANNERS, make_plan

ENOUGH_FOR_THREE = 3 * 4.0
"""Nominal microseconds: csrc/plan/run.c's WORTH_A_THREAD for each."""
NOMINAL_DRAM = 20e3
"""Bytes a nominal microsecond: csrc/kernels/common/cost.h."""


@pytest.fixture(scope="module")
def report() -> Report:
    return verify(cases=1600, seed=22)


def test_nothing_is_wrong(report: Report) -> None:
    assert report, str(report)


@pytest.mark.parametrize("op", OPS)
def test_nothing_is_wrong_in_more_float32_cases(op: str) -> None:
    numbers = [i for i in range(40 * len(SCHEDULE)) if SCHEDULE[i % len(SCHEDULE)] == (op, np.float32)]
    report = Report(21, native.isas())
    for index in numbers[:120]:
        report.add(Trial(draw(21, index)).go())
    assert report, str(report)


def test_every_group_is_tried(report: Report) -> None:
    """Every op and dtype, on the last row of its table at least; and every row with both floats, on some op."""
    tried = {(group[0].partition("+")[0], *group[1:]) for group in report.counts}
    tables = {(SIGNATURES[op].table, *rest) for op, *rest in tried}
    for op, signature in ((op, SIGNATURES[op]) for op in OPS):
        rows = dispatch.algorithms(op) if op in CHOOSES else ()
        for layout in layouts(op):
            for isa in native.isas():
                last = rows[-1:] or (named(op),)
                assert {(op, last[0], layout, dtype.name, isa) for dtype in signature.dtypes} <= tried
                if layout in ("NHWC", "NCHW"):  # lines and volumes are images on the way to the kernels
                    assert {
                        (signature.table, row, layout, dtype.name, isa) for row in rows for dtype in FLOATS
                    } <= tables


def named(op: str) -> str:
    """What an op without a choice is counted under: its one row, or "auto"."""
    rows = dispatch.algorithms(op)
    return rows[0] if len(rows) == 1 else "auto"


def test_shares_of_the_kinds(report: Report) -> None:
    assert report.kinds["exact"] >= 0.3 * report.cases
    assert report.kinds["special"] >= 0.1 * report.cases


def test_every_promise_is_tried(report: Report) -> None:
    promises = {
        "layouts", "algorithms", "a plan and one call", "run after run", "any alignment", "alone and in a batch",
        "any number of threads",
    }  # fmt: skip
    if {"avx2", "avx512"} <= set(native.isas()):
        promises.add("instruction sets")
    assert {name for name, count in report.promises.items() if count >= 20} == promises


def test_settings_are_left_alone() -> None:
    before = native.isa(), native.get_num_threads()
    verify(cases=3, seed=1)
    assert (native.isa(), native.get_num_threads()) == before


def test_twenty_thousand_cases_are_fifty_of_each() -> None:
    """50 cases with an output for each op x algorithm x dtype; each runs on every layout and ISA."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for index in range(20_000):
        case = draw(0, index)
        if case.x.size:
            counts[case.label, case.dtype.name, "any"] += 1
            if case.op == "conv2d" and case.dtype in FLOATS and case.attributes["groups"] == case.x.shape[3]:
                counts[case.label, case.dtype.name, "depthwise"] += 1
    assert len(counts) == sum(len(SIGNATURES[op].dtypes) for op in OPS) + 2 * 9 + 2
    assert min(counts.values()) >= 50, counts.most_common()[-5:]


def test_a_case_is_its_seed_and_number() -> None:
    assert str(draw(3, 17)) == str(draw(3, 17))
    assert draw(3, 17).x.tobytes() == draw(3, 17).x.tobytes() != draw(4, 17).x.tobytes()


def test_channels_sweep_every_tail() -> None:
    swept = {
        draw(0, index).x.shape[3]
        for index in range(34 * len(SCHEDULE))
        if SCHEDULE[index % len(SCHEDULE)] == ("max_pool2d", np.float32)
    }
    assert set(range(1, 34)) <= swept


@pytest.mark.parametrize("op", OPS)
def test_large_cases_are_worth_three_threads(op: str) -> None:
    numbers = (index for index in range(40 * len(SCHEDULE)) if SCHEDULE[index % len(SCHEDULE)][0] == op)
    case = next(case for case in (draw(0, index) for index in numbers) if case.large)
    assert _cost(case) >= ENOUGH_FOR_THREE, str(case)


def _cost(case: Case) -> float:
    """The least of its algorithms', in nominal microseconds; what its memory takes, for an op run without a plan."""
    first = layouts(case.op)[0]
    if case.op in PLANNERS:
        plan = make_plan(case, in_layout(case, first), first, "auto")
        return min(row.cost for row in plan.explain().candidates if row.accepts)
    if case.op == "max_unpool2d":
        info = native.plan_max_unpool2d(case.x.shape, case.lowered["output_size"], dtype=case.dtype.name).info()
    elif SIGNATURES[case.op].table != "pool2d" or first != "NHWC":
        return 2 * case.x.nbytes / NOMINAL_DRAM
    else:
        settings = dict(case.lowered)
        if case.op.startswith("global"):
            settings["output_size"] = (1, 1)
        if "padding" in settings:
            settings["padding"] = tuple(np.ravel(settings["padding"]).tolist())
        kind = next(kind for kind in ("max", "min", "avg", "lp") if f"{kind}_pool" in case.op)
        info = native.plan_pool2d(case.x.shape, dtype=case.dtype.name, kind=kind, **settings).info()
    return min(float(row["cost"]) for row in info["candidates"] if row["accepts"])


def test_only_an_isa_without_fma_may_use_its_looser_bound() -> None:
    right = Expected(np.ones((1, 1, 1, 1)), bound=np.full((1, 1, 1, 1), 1e-6), loose=1e-6)
    y = np.float32(1 + 1.5e-6).reshape(1, 1, 1, 1)
    assert judge.fault(y, None, right, fused=False) is None
    assert judge.fault(y, None, right, fused=True) is not None


def test_layouts_hold_the_same_numbers() -> None:
    case = draw(0, next(i for i, (op, _) in enumerate(SCHEDULE) if op == "depthwise_conv2d"))
    weight = case.inputs["weight"]
    assert weight is not None
    R, S, C, multiplier = weight.shape
    other = in_layout(case, "NCHW")
    assert other["x"] is not None
    assert np.array_equal(channels_last(other["x"], case.op, "NCHW"), case.x, equal_nan=True)
    assert other["weight"] is not None
    assert other["weight"].shape == (C * multiplier, 1, R, S)
    assert np.array_equal(other["weight"][-1, 0], weight[:, :, -1, -1], equal_nan=True)


@pytest.mark.parametrize(("cases", "seed", "error"), [(0, 0, ValueError), (1, -1, ValueError), (1.0, 0, TypeError)])
def test_bad_arguments(cases: int, seed: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="must be"):
        cnnfast.verify(cases, seed)
