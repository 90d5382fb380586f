"""Every peer that is installed gives what cnnfast gives: else its time would be compared with other work."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cnnfast.bench import arrays, engine, found
from cnnfast.bench.problems import parse_line
from cnnfast.bench.steps import steps_of
from cnnfast.bench.workers import Worker

LINES = [
    "conv: conv2d n2 h14 w11 c6 k10 r3 s5 pad1x2 stride2x1",
    "stem: conv2d h21 c3 k8 r7 stride2 pad3",
    "groups: conv2d h9 c8 k12 r3 pad1 groups4",
    "dilated: conv2d h12 c4 k5 r3 pad2 dilation2",
    "depthwise: depthwise_conv2d h13 c8 r3 stride2 pad1",
    "multiplier: depthwise_conv2d h9 c4 r3 pad1 mult2",
    "separable: separable_conv2d h9 c8 k6 r3 pad1",
    "up: conv_transpose2d h7 c6 k5 r2 stride2",
    "max: max_pool2d h13 c8 r3 stride2 pad1",
    "average: avg_pool2d h12 c8 r2",
    "all: global_avg_pool2d h7 c8",
]


@pytest.fixture(scope="module", params=[seat for seat in found.choose(None) if seat.python], ids=lambda s: s.peer.name)
def peer(request: pytest.FixtureRequest) -> Iterator[Worker]:
    seat: found.Seat = request.param
    with Worker(seat.peer.name, 1, seat.python) as worker:
        worker.greet()
        yield worker


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split(":")[0])
def test_a_peer_does_the_same_work(peer: Worker, line: str, tmp_path: Path) -> None:
    problem = parse_line(line)
    assert problem is not None
    numbers = arrays.make(problem)
    arrays.save(numbers, tmp_path / "x")
    peer.ask(
        "prepare", key="k", line=line, steps=steps_of(problem), algorithm="", arrays=str(tmp_path / "x"),
        output=str(tmp_path / "y.npy"),
    )  # fmt: skip
    _, ours, _ = engine.prepare(problem, numbers)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), ours, rtol=1e-4, atol=1e-5)
