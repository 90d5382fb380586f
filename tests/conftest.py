"""What several test files use: `--run-slow`, seeded numbers, instruction sets, torch as a second opinion, a process for
one call."""

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from cnnfast.backends import native

SLOW = "minutes, or ten gigabytes: pytest --run-slow"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"slow: {SLOW}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--run-slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason=SLOW))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def past_line() -> Callable[..., np.ndarray]:
    """An array of float32 that begins so many bytes past a cache line."""

    def place(shape: tuple[int, ...], offset: int) -> np.ndarray:
        raw = np.empty(4 * int(np.prod(shape)) + 128, np.uint8)
        start = -raw.ctypes.data % 64 + offset
        return raw[start : start + 4 * int(np.prod(shape))].view(np.float32).reshape(shape)

    return place


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every convolution is its chain, so that ways which should agree do so to the bit."""
    monkeypatch.setenv("CNNFAST_PRECISION", "strict")


@pytest.fixture(params=native.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set that this machine has, one after the other."""
    before = native.isa()
    native.set_isa(request.param)
    yield request.param
    native.set_isa(before)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets how many, for the test: the number is the process'."""
    before = native.get_num_threads()
    yield native.set_num_threads
    native.set_num_threads(before)


@pytest.fixture(scope="session")
def torch() -> Any:
    return pytest.importorskip("torch", reason="a second opinion: pip install torch==2.13.0")


@dataclass(frozen=True)
class Outcome:
    """What a call did in its own process: its value, or its error's class names (with bases) and message."""

    value: Any = None
    error: tuple[str, ...] = ()
    message: str = ""


@pytest.fixture(scope="session")
def isolated() -> Callable[..., Outcome]:
    """isolated(call): run call() in a process of its own, so that a crash or a hang is this test's failure alone."""

    def run(call: Callable[[], Any], seconds: int = 60) -> Outcome:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            _report(call, seconds, write)
        os.close(write)
        with open(read, "rb") as pipe:
            told = pipe.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            pytest.fail(f"the call ended in signal {signal.Signals(os.WTERMSIG(status)).name}")
        assert status == 0, f"the call ended the process with status {os.WEXITSTATUS(status)}"
        outcome = pickle.loads(told)
        assert isinstance(outcome, Outcome)
        return outcome

    return run


@pytest.fixture(scope="session")
def refused(isolated: Callable[..., Outcome]) -> Callable[..., None]:
    """refused(call, error, words): in its own process call() raises `error`, with every word in its message."""

    def check(call: Callable[[], Any], error: str, words: tuple[str, ...]) -> None:
        outcome = isolated(call)
        assert outcome.error, f"accepted, and gave {outcome.value!r}"
        assert error in outcome.error, f"{outcome.error[0]}: {outcome.message}"
        missing = [word for word in words if word not in outcome.message]
        assert not missing, f"{missing} not in: {outcome.message}"

    return check


def _report(call: Callable[[], Any], seconds: int, pipe: int) -> None:
    """In the child: call, tell what happened, and leave without running anything of the parent's."""
    status = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a hang ends in a signal, and so in a failure
        signal.alarm(seconds)
        try:
            outcome = Outcome(call())
        except Exception as error:
            outcome = Outcome(error=tuple(each.__name__ for each in type(error).__mro__), message=str(error))
        with open(pipe, "wb") as file:
            pickle.dump(outcome, file)
        status = 0
    finally:
        os._exit(status)
