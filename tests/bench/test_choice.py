"""auto's pick against the best row."""

import pytest

from cnnfast.bench import tables
from cnnfast.bench.choice import choice_of
from cnnfast.bench.problems import parse_line
from cnnfast.bench.results import Result, Timed


def layer(name: str, pick: float | None, *others: float) -> Result:
    problem = parse_line(f"{name}: conv2d h8 c3 k4 r3")
    assert problem is not None
    rows = [Timed("cnnfast", f"row{i}", seconds=seconds) for i, seconds in enumerate(others)]
    return Result(problem, [Timed("cnnfast", "auto's", chosen=True, seconds=pick), *rows])


def test_the_share_and_the_misses_the_worst_first() -> None:
    results = [
        layer("best", 1.0, 1.5, 2.0), layer("near", 1.04, 1.0), layer("late", 1.06, 1.2, 1.0),
        layer("alone", 3.0), layer("worse", 3.0, 1.0, 2.0), layer("failed", None, 1.0),
    ]  # fmt: skip
    choice = choice_of(results)
    assert (choice.layers, choice.within) == (5, 3)
    assert choice.share == pytest.approx(3 / 5)
    assert [(miss.layer, miss.best) for miss in choice.misses] == [("worse", "row0"), ("late", "row1")]
    assert choice.as_json()["misses"][1] == {
        "layer": "late", "pick": "auto's", "seconds": 1.06, "best": "row1", "best_seconds": 1.0,
    }  # fmt: skip
    _, columns, rows = tables.misses_table(choice.misses)
    assert rows[0][-1] == "3.00x"
    assert {len(row) for row in rows} == {len(columns)}


def test_nothing_timed_has_no_share() -> None:
    assert choice_of([]).share is None
    assert choice_of([layer("failed", None)]).layers == 0
