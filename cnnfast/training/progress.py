"""The line that tells how a training goes."""

import sys
import time
from collections.abc import Mapping
from typing import TextIO

WIDTH = 24
EVERY = 0.1  # seconds


class Progress:
    """One epoch's line: written over itself on a terminal, and once at the end elsewhere.

    Parameters
    ----------
    verbose : 0 for nothing, 1 for a live line, 2 for one line at the end
    steps : of the epoch; None where it is not known
    title : the line before it, such as "Epoch 1/5"
    """

    def __init__(self, verbose: int, steps: int | None, title: str = "", stream: TextIO | None = None) -> None:
        self.verbose, self.steps = verbose, steps
        self.stream = stream or sys.stdout
        self.live = verbose == 1 and self.stream.isatty()
        self.began = time.perf_counter()
        self.shown, self.written = 0.0, 0
        if verbose and title:
            print(title, file=self.stream)

    @property
    def due(self) -> bool:
        """Whether the live line is to be written anew: not more often than eyes can follow."""
        return self.live and time.perf_counter() - self.shown >= EVERY

    def update(self, step: int, logs: Mapping[str, float]) -> None:
        """After a step, counted from 1."""
        if self.due:
            self.shown = time.perf_counter()
            self._write(self._line(step, logs), "\r")

    def end(self, step: int, logs: Mapping[str, float]) -> None:
        """After the last step and the validation."""
        if self.verbose:
            self._write(self._line(step, logs), "\n")

    def _write(self, line: str, end: str) -> None:
        spaces = " " * max(0, self.written - len(line)) if self.live else ""
        print(line + spaces, end=end, file=self.stream, flush=True)
        self.written = 0 if end == "\n" else len(line)

    def _line(self, step: int, logs: Mapping[str, float]) -> str:
        passed = time.perf_counter() - self.began
        each = passed / max(1, step)
        parts = [f"{step}/{self.steps}" if self.steps else f"{step}"]
        if self.verbose == 1 and self.steps:
            done = WIDTH * step // self.steps
            parts.append("[" + "=" * done + "." * (WIDTH - done) + "]")
        left = each * (self.steps - step) if self.steps and step < self.steps else passed
        parts.append(f"{left:.0f}s {_short(each)}/step")
        return " ".join(parts) + "".join(f" - {name}: {_number(value)}" for name, value in logs.items())


def _short(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.1f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) >= 1e-3 or value == 0 else f"{value:.4e}"
