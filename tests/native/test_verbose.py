"""CNNFAST_VERBOSE=1: one line of CSV on stderr for each run, under one header."""

import csv
from collections.abc import Callable
from typing import Any

import pytest

from cnnfast.backends import native

SETTINGS = {"CNNFAST_VERBOSE": "1", "CNNFAST_NUM_THREADS": "2", "CNNFAST_ISA": native.isa()}
HEADER = "cnnfast_verbose,op,algorithm,isa,shape,layout,dtype,threads,ms"
BEGIN = """
import numpy as np, cnnfast, cnnfast.grad
def ones(*shape, dtype=np.float32): return np.ones(shape, dtype)
"""


def lines(python: Callable[..., Any], program: str, **environment: str) -> list[dict[str, str]]:
    done = python(BEGIN + program, **SETTINGS | environment)
    assert done.returncode == 0, done.stderr
    first, *rest = done.stderr.splitlines() or [HEADER]
    assert first == HEADER
    assert HEADER not in rest
    return list(csv.DictReader([first, *rest], strict=True))


RUNS = {
    "cnnfast.conv2d(ones(2, 9, 8, 4), ones(3, 3, 4, 6), padding=1, stride=(2, 1), algorithm='im2col')":
        ("conv2d", "im2col", "x2x9x8x4_y2x5x8x6_k3x3_s2x1_p1x1x1x1", "NHWC", "float32"),
    "cnnfast.conv2d(ones(2, 4, 9, 8), ones(6, 2, 1, 1), layout='NCHW', groups=2, algorithm='plain')":
        ("conv2d", "plain", "x2x9x8x4_y2x9x8x6_g2", "NCHW", "float32"),
    "cnnfast.conv2d(ones(1, 5, 5, 1, dtype=np.int8), ones(2, 2, 1, 1, dtype=np.int8), dilation=2, algorithm='plain')":
        ("conv2d", "plain", "x1x5x5x1_y1x3x3x1_k2x2_d2x2", "NHWC", "int8"),
    "cnnfast.max_pool2d(ones(1, 4, 4, 3, dtype=np.float64), 2)":
        ("pool2d", None, "x1x4x4x3_y1x2x2x3_k2x2_s2x2_max", "NHWC", "float64"),
    "cnnfast.linear(ones(3, 4), ones(5, 4))": ("linear", None, "x3x4_y3x5", "flat", "float32"),
    "cnnfast.add(ones(3, 4), ones(3, 4))": ("elementwise", None, "x12_add", "flat", "float32"),
    "cnnfast.relu(ones(3, 4))": ("elementwise", None, "x12_map", "flat", "float32"),
    "cnnfast.softmax(ones(3, 4))": ("softmax", None, "x3x4x1", "flat", "float32"),
    "cnnfast.batch_norm(ones(2, 3, 4), ones(4), ones(4))": ("batch_norm", None, "x6x4x1", "flat", "float32"),
    "cnnfast.local_response_norm(ones(2, 3, 4), 3)": ("local_response_norm", None, "x6x4x1_w3", "flat", "float32"),
    "cnnfast.upsample2d(ones(1, 3, 4, 2))": ("upsample2d", None, "x1x3x4x2_s2x2", "flat", "float32"),
    "cnnfast.conv2d_max_pool2d(ones(1, 8, 8, 3), ones(3, 3, 3, 4))":
        ("fused", None, "x1x8x8x3_y1x3x3x4_conv2d+pool2d", "NHWC", "float32"),
    "cnnfast.conv_transpose2d(ones(1, 3, 4, 2), ones(2, 2, 5, 2), stride=2)":
        ("conv_transpose2d", None, "x1x3x4x2_y1x6x8x5_k2x2_s2x2", "NHWC", "float32"),
    "cnnfast.grad.conv2d_weight(ones(1, 4, 4, 5), ones(1, 6, 6, 2), (3, 3))":
        ("conv2d_grad_weight", None, "x1x6x6x2_y1x4x4x5_k3x3", "NHWC", "float32"),
    "cnnfast.grad.activation(ones(7), ones(7), 'relu')": ("activation_grad", "only", "x7", "flat", "float32"),
}  # fmt: skip


def test_every_op_has_its_line(python: Callable[..., Any]) -> None:
    found = lines(python, "\n".join(RUNS))
    assert len(found) == len(RUNS)
    for line, (op, algorithm, shape, layout, dtype) in zip(found, RUNS.values(), strict=True):
        assert line["cnnfast_verbose"] == "cnnfast_verbose"
        assert (line["op"], line["shape"], line["layout"], line["dtype"]) == (op, shape, layout, dtype)
        assert algorithm in (None, line["algorithm"])
        assert line["algorithm"] == "only" or line["algorithm"] in native.algorithms(op)
        assert line["isa"] == SETTINGS["CNNFAST_ISA"]
        assert line["threads"] in ("1", "2")
        assert 0 <= float(line["ms"]) < 60e3


def test_channels_last_arrays_are_told_as_they_lie(python: Callable[..., Any]) -> None:
    """What NCHW says of a run whose arrays lie as NHWC: nothing was turned."""
    found = lines(python, """
plan = cnnfast.plan_conv2d((1, 3, 8, 8), ones(4, 3, 3, 3), layout="NCHW")
x = ones(1, 8, 8, 3).transpose(0, 3, 1, 2)
plan(x), plan(x, out=ones(1, 4, 6, 6)), plan(ones(1, 3, 8, 8))
""")  # fmt: skip
    assert [line["layout"] for line in found] == ["NHWC", "NHWC-NCHW", "NCHW"]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_threads_and_time_of_a_large_layer(threads: str, python: Callable[..., Any]) -> None:
    program = "cnnfast.conv2d(ones(1, 56, 56, 64), ones(3, 3, 64, 64), algorithm='direct')"
    found = lines(python, program, CNNFAST_NUM_THREADS=threads)
    assert [line["threads"] for line in found] == [threads]
    assert float(found[0]["ms"]) > 0.1  # 216 MFLOP


def test_each_step_of_a_network(python: Callable[..., Any]) -> None:
    found = lines(python, "cnnfast.models.LeNet5().plan((1, 32, 32, 1))(ones(2, 32, 32, 1))")
    assert [line["op"] for line in found] == ["fused", "conv2d", "pool2d", "linear", "linear", "linear", "softmax"]
    assert found[1]["shape"] == "x2x14x14x6_y2x10x10x16_k5x5"


def test_lines_of_many_threads_stay_whole(python: Callable[..., Any]) -> None:
    found = lines(python, """
import threading
x = ones(1, 4, 4, 3)
threads = [threading.Thread(target=lambda: [cnnfast.relu(x) for _ in range(50)]) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
""")  # fmt: skip
    assert [line["shape"] for line in found] == ["x48_map"] * 200


@pytest.mark.parametrize("value", ["0", ""])
def test_silent_unless_asked(value: str, python: Callable[..., Any]) -> None:
    assert lines(python, "cnnfast.relu(ones(3))", CNNFAST_VERBOSE=value) == []


def test_an_empty_batch_is_no_run(python: Callable[..., Any]) -> None:
    assert lines(python, "cnnfast.max_pool2d(ones(0, 4, 4, 3), 2)") == []


CHOSEN = {
    "grouped": ["ones(1, 56, 56, 128), ones(1, 56, 56, 128), 3, padding=1, groups=32",
                "ones(1, 28, 28, 256), ones(1, 28, 28, 256), 3, padding=1, groups=32",
                "ones(1, 28, 28, 128), ones(1, 28, 28, 128), 1, groups=32"],
    "winograd": ["ones(1, 56, 56, 64), ones(1, 56, 56, 64), 3, padding=1"],
    "single": ["ones(8, 28, 28, 6), ones(8, 32, 32, 1), 5"],
    "direct": ["ones(1, 14, 14, 256), ones(1, 14, 14, 1024), 1",
               "ones(1, 28, 28, 128), ones(1, 56, 56, 128), 3, stride=2, padding=1",
               "ones(1, 14, 14, 512), ones(1, 14, 14, 512), 3, padding=1, groups=4"],
}  # fmt: skip
"""Gradients by the weight, and the row that was the fastest when all were measured."""


def test_gradients_by_the_weight_take_the_row_measured_as_the_fastest(python: Callable[..., Any]) -> None:
    calls = [f"cnnfast.grad.conv2d_weight({each})" for row in CHOSEN.values() for each in row]
    found = [line["algorithm"] for line in lines(python, "\n".join(calls))]
    assert found == [name for name, row in CHOSEN.items() for _ in row]
