"""The least time a layer can take, by hand."""

import pytest

from cnnfast.bench.limits import Limit, room
from cnnfast.bench.problem import Problem
from cnnfast.bench.problems import parse_line
from cnnfast.bench.results import Result, Timed
from cnnfast.bench.roof import Level, Roof, roof_of

ROOF = Roof(100.0, (Level("L2", 1000, 40.0, 20.0), Level("memory", 0, 4.0, 2.0)))


def problem_of(line: str) -> Problem:
    problem = parse_line(line)
    assert problem is not None
    return problem


@pytest.mark.parametrize(
    ("flops", "read", "written", "nanoseconds"),
    [
        (5000, 10, 10, 50),  # 100 FLOPs a nanosecond; the bytes take 1
        (0, 500, 500, 50),  # a copy, at 20 bytes a nanosecond
        (0, 900, 100, 30),  # a copy of 200, and 800 more read at 40
        (0, 100, 900, 50),  # stores cost no less than a copy
        (0, 1500, 500, (1000 / 20 + 1000 / 40) / 2 + (1000 / 2 + 1000 / 4) / 2),  # half of it fits L2
    ],
)
def test_the_roof_by_hand(flops: float, read: float, written: float, nanoseconds: float) -> None:
    assert ROOF.seconds(flops, read, written) == pytest.approx(1e-9 * nanoseconds)


def test_a_level_that_holds_less_than_the_one_before_adds_nothing() -> None:
    near, far = Level("L2", 1000, 40.0, 20.0), Level("memory", 0, 4.0, 2.0)
    assert Roof(100.0, (near, Level("L3", 500, 8.0, 4.0), far)).seconds(0, 1500, 1500) == pytest.approx(
        Roof(100.0, (near, far)).seconds(0, 1500, 1500)
    )


def test_a_layer_has_the_lower_of_two_roofs() -> None:
    layer = Result(problem_of("a: conv2d h10 c10 k10 r1"))
    flops, read, written = 2 * 100 * 100, 4 * (1000 + 110), 4 * 1000
    assert layer.roof_seconds(Roof(100.0, (Level("memory", 0, 1e9, 1e9),))) == pytest.approx(flops / 100e9)
    slow = Roof(1e9, (Level("memory", 0, 4.0, 2.0),))
    assert layer.roof_seconds(slow) == pytest.approx(1e-9 * (2 * written / 2 + (read - written) / 4))


def test_a_row_that_multiplies_less_has_a_higher_roof_and_its_own_weights() -> None:
    layer = Result(problem_of("a: conv2d h12 c64 k64 r3 pad1"))
    direct, winograd = Timed("cnnfast", "direct"), Timed("cnnfast", "w", facts={"work": 0.25, "packed": 4 * 40000})
    assert layer.roof_seconds(ROOF, direct) == layer.roof_seconds(ROOF)
    fast = Roof(100.0, (Level("memory", 0, 1e9, 1e9),))
    assert layer.roof_seconds(fast, winograd) == pytest.approx(layer.roof_seconds(fast) / 4)
    wide = Roof(1e9, (Level("memory", 0, 4.0, 2.0),))
    more = 4 * 40000 - 4 * (9 * 64 * 64 + 64)
    assert layer.roof_seconds(wide, winograd) == pytest.approx(layer.roof_seconds(wide) + 1e-9 * more / 4)


def test_the_roof_is_that_of_all_threads() -> None:
    limits = [Limit("fma", "", 0, 1, 10.0), Limit("fma", "", 0, 2, 20.0)]
    for threads in (1, 2):
        for level, holds in room(threads).items():
            limits += [Limit("read", level, 8, threads, 3.0 * threads, holds)]
            limits += [Limit("copy", level, 8, threads, 2.0 * threads, holds)]
    roof = roof_of(limits)
    assert roof
    assert roof.peak_gflops == 20.0
    assert [level.name for level in roof.levels] == ["L1", "L2", "L3", "memory"]
    assert {(level.read, level.copy) for level in roof.levels} == {(6.0, 4.0)}
    assert roof.levels[0].holds == 2 * room(1)["L1"]
    assert roof.levels[2].holds == room(1)["L3"]
    assert roof.levels[-1].holds == 0
    again = roof_of(limits, [None, 19.0, 21.0])
    assert again
    assert again.peak_gflops == 21.0, "noise only lowers a rate"
    assert roof_of(limits[:2]) is None
    assert roof_of([]) is None
