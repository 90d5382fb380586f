"""The judge: it must pass what is right and see one wrong number at an edge."""

import numpy as np
import pytest

from cnnfast.bench import arrays, engine, oracle
from cnnfast.bench.problem import Problem
from cnnfast.bench.problems import load, parse_line

LINES = [
    "plain: conv2d h19 w23 c5 k50 r3 s5 pad1,0,2,1 stride2x1",
    "wide: conv2d h9 c3 k7 r3 pad4 dilation2",
    "groups: conv2d n3 h12 c8 k12 r3 pad1 groups4",
    "depthwise: depthwise_conv2d h17 c6 r3 stride2 pad1 mult2",
    "separable: separable_conv2d h15 c6 k9 r3 pad1",
    "up: conv_transpose2d h11 w8 c6 k5 r3 stride2 pad1",
    "sparse_up: conv_transpose2d h11 c4 k5 r2 stride3",
    "max: max_pool2d n2 h17 c60 r3 stride2 pad1",
    "average: avg_pool2d h16 c5 r2",
    "all: global_avg_pool2d h7 c50",
]


def problem_of(line: str) -> Problem:
    problem = parse_line(line)
    assert problem is not None
    return problem


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split(":")[0])
def test_a_piece_is_what_the_whole_has_there(line: str) -> None:
    problem = problem_of(line)
    numbers = arrays.make(problem)
    whole = oracle.whole(problem, numbers)
    assert whole.shape == problem.y_shape
    pieces = list(oracle.pieces(problem))
    assert len(pieces) > 1 or problem.op == "global_avg_pool2d"
    for piece in pieces:
        values, scale = oracle.solve(problem, numbers, piece)
        expected = whole[piece.image : piece.image + 1, piece.rows, piece.columns, piece.channels]
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)
        assert (scale >= np.abs(values) - 1e-12).all()


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split(":")[0])
def test_cnnfast_is_right_and_a_wrong_corner_is_seen(line: str) -> None:
    problem = problem_of(line)
    numbers = arrays.make(problem)
    _, y, _ = engine.prepare(problem, numbers)
    wrong = y.copy()
    wrong[-1, -1, -1, -1] *= np.float32(1.001)
    lost = y.copy()
    lost[0, 0, 0, 0] = np.nan
    verdicts = oracle.judge(problem, numbers, {"right": y, "wrong": wrong, "lost": lost})
    assert verdicts["right"].right
    assert verdicts["right"].elements > 0
    assert verdicts["right"].alarm_share < 1
    assert not verdicts["wrong"].right
    assert not verdicts["lost"].right


def test_every_quick_layer_of_every_algorithm_is_right() -> None:
    for problem in load():
        if not problem.quick:
            continue
        small = problem.cropped(3_000_000)
        numbers = arrays.make(small)
        rows = engine.rows_that_accept(engine.prepare(small, numbers)[2])
        outputs = {algorithm: engine.prepare(small, numbers, algorithm)[1] for algorithm in rows}
        assert outputs
        for algorithm, verdict in oracle.judge(small, numbers, outputs).items():
            assert verdict.right, f"{small.line} {algorithm}: {verdict}"


def test_numbers_are_the_same_in_every_process() -> None:
    problem = problem_of("seeded: conv2d h8 c3 k4 r3")
    assert arrays.make(problem)["x"].tobytes() == arrays.make(problem)["x"].tobytes()
    other = problem_of("other: conv2d h8 c3 k4 r3")
    assert arrays.make(problem)["x"].tobytes() != arrays.make(other)["x"].tobytes()
