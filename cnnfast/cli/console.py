"""Tables and progress on a terminal: with rich where it is installed, in plain text where it is not."""

import sys
import time
from collections.abc import Sequence
from typing import Any

from cnnfast.bench.tables import RIGHT, Column

try:
    import rich.box
    import rich.console
    import rich.progress
    import rich.table
except ImportError:  # the extra "cli"
    rich = None  # type: ignore[assignment]

WIDE = 10_000  # columns: a terminal wraps what it cannot show, but nothing is cut


class Console:
    """What the commands print with. Results go to stdout, progress and remarks to stderr."""

    def __init__(self) -> None:
        self._out: Any = rich and rich.console.Console(highlight=False, markup=False, width=WIDE)
        self._err: Any = rich and rich.console.Console(stderr=True, highlight=False, markup=False)

    def line(self, text: str = "") -> None:
        print(text)

    def remark(self, text: str) -> None:
        """Something about the run, not a result of it."""
        print(text, file=sys.stderr, flush=True)

    def table(self, title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """A table as wide as its cells: a narrow terminal scrolls or wraps it, nothing is cut."""
        if not self._out:
            print("\n".join(plain_table(title, columns, rows)))
            return
        table = rich.table.Table(title=title or None, title_justify="left", box=rich.box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column.title, justify=column.justify, no_wrap=True)  # type: ignore[arg-type]
        for row in rows:
            table.add_row(*row)
        self._out.print(table)

    def progress(self, total: int) -> "Progress":
        return Progress(self._err, total)


class Progress:
    """How far a run is. Nothing is drawn but when it is called: a timer would disturb what is being measured."""

    def __init__(self, console: Any, total: int) -> None:
        self.total, self.done, self.start = total, 0, time.monotonic()
        self.bar: Any = None
        if console and console.is_terminal:
            self.bar = rich.progress.Progress(
                rich.progress.TextColumn("{task.completed}/{task.total}"), rich.progress.BarColumn(bar_width=24),
                rich.progress.TextColumn("{task.description}"), console=console, auto_refresh=False, transient=True,
            )  # fmt: skip
            self.task = self.bar.add_task("", total=total)
            self.bar.start()

    def now(self, text: str) -> None:
        """What is being done; plain text tells only what has been."""
        self.draw(text)

    def step(self, text: str) -> None:
        """One more is done."""
        self.done += 1
        self.tell(text)

    def reach(self, done: int, text: str) -> None:
        """So many are done; where that comes often, plain text tells every twentieth part of the way."""
        before, self.done = self.done, done
        if self.bar or done * 20 // self.total > before * 20 // self.total:
            self.tell(text)

    def tell(self, text: str) -> None:
        self.draw(text)
        if not self.bar:
            seconds = time.monotonic() - self.start
            print(f"[{self.done}/{self.total} {seconds:.0f} s] {text}", file=sys.stderr, flush=True)

    def draw(self, text: str) -> None:
        if self.bar:
            self.bar.update(self.task, completed=self.done, description=text, refresh=True)

    def close(self) -> None:
        if self.bar:
            self.bar.stop()


def plain_table(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table in plain text."""
    widths = [max([len(column.title), *(len(row[i]) for row in rows)]) for i, column in enumerate(columns)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if column.justify == RIGHT else cell.ljust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        ]
        return "  ".join(padded).rstrip()

    head = [title] if title else []
    rule = "  ".join("-" * width for width in widths)
    return [*head, line([column.title for column in columns]), rule, *map(line, rows)]
