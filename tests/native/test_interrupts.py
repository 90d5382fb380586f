"""Ctrl-C in a long run: KeyboardInterrupt soon, and the next call is right.

A child sends itself SIGINT while it is in a run that would take far longer than it is given.
"""

from collections.abc import Callable
from typing import Any

import pytest

PROGRAM = """
    import os, signal, threading, time
    import numpy as np, cnnfast
    {problem}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    before = small()
    sent = []

    def interrupt():
        time.sleep(0.15)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    start = time.monotonic()
    try:
        large()
        print("ran to its end in", time.monotonic() - start)
    except KeyboardInterrupt:
        assert time.monotonic() - sent[0] < 1.5, time.monotonic() - sent[0]  # 0.1 s, and a busy machine
        assert np.array_equal(small(), before)
        print("interrupted")
"""
CONV = """
    x, w = np.ones({x}, np.{dtype}), np.ones({w}, np.{dtype})
    large = lambda: cnnfast.conv2d(x, w, layout={layout!r}, algorithm={algorithm!r})
    small = lambda: cnnfast.conv2d(x[:1], w, layout={layout!r}, algorithm={algorithm!r})
"""
POOL = """
    x = np.ones((100, 64, 64, 64), np.float32)
    large = lambda: cnnfast.lp_pool2d(x, 3, 7, 1)
    small = lambda: cnnfast.lp_pool2d(x[:1, :9, :9], 3, 7, 1)
"""


def conv(x: tuple[int, ...], w: tuple[int, ...], dtype: str, layout: str, algorithm: str) -> str:
    return CONV.format(x=x, w=w, dtype=dtype, layout=layout, algorithm=algorithm)


PROBLEMS = {
    "NHWC": conv((3000, 28, 28, 32), (11, 11, 32, 32), "float32", "NHWC", "direct"),
    "NCHW": conv((3000, 32, 28, 28), (32, 32, 11, 11), "float32", "NCHW", "direct"),
    "plain": conv((500, 28, 28, 16), (5, 5, 16, 64), "float64", "NHWC", "plain"),
    "integers": conv((500, 28, 28, 16), (5, 5, 16, 64), "int8", "NHWC", "plain"),
    "pool": POOL,
}


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_ctrl_c(problem: str, threads: str, python: Callable[..., Any]) -> None:
    done = python(PROGRAM.replace("{problem}", PROBLEMS[problem].strip()), CNNFAST_NUM_THREADS=threads)
    assert done.stdout == "interrupted\n", done.stdout + done.stderr


def test_another_exception_from_a_signal_handler(python: Callable[..., Any]) -> None:
    """Whatever a handler raises comes out of the run; a handler that returns lets it go on."""
    program = """
        import signal
        import numpy as np, cnnfast
        x, w = np.ones((60, 28, 28, 16), np.float32), np.ones((5, 5, 16, 64), np.float32)
        seen = []
        signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        assert (cnnfast.conv2d(x, w, algorithm="plain") == 400).all()
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert seen

        def handler(*_):
            raise TimeoutError("enough")

        signal.signal(signal.SIGALRM, handler)
        large = np.ones((2000, 28, 28, 16), np.float32)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            cnnfast.conv2d(large, w, algorithm="plain")
        except TimeoutError as error:
            print(error)
    """
    done = python(program)
    assert done.stdout == "enough\n", done.stdout + done.stderr
