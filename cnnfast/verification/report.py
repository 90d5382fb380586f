"""What a verification found, with its counts."""

from collections import Counter
from dataclasses import dataclass, field

from cnnfast.ops import dispatch
from cnnfast.ops.signatures import SIGNATURES
from cnnfast.verification.case import layouts
from cnnfast.verification.trial import Trial

Group = tuple[str, str, str, str, str]
"""(op, algorithm, layout, dtype, ISA)"""

MOST_FAILURES = 20


@dataclass
class Report:
    """Counts and findings of `verify`; it is true where nothing was found, and prints as a table.

    Attributes
    ----------
    cases, seed : as asked for
    runs : outputs judged
    kinds : cases by the kind of their numbers: exact, random, special
    counts : outputs judged by (op, algorithm, layout, dtype, ISA)
    promises : pairs of outputs compared bit for bit, by promise
    out_of_bound, broken_promises, other : how many cases failed in each way; other is an error, or a write to where
        none should be
    failures : the first of them, each with the command that repeats it
    seconds : how long it took
    """

    seed: int
    isas: tuple[str, ...]
    cases: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    counts: Counter[Group] = field(default_factory=Counter)
    promises: Counter[str] = field(default_factory=Counter)
    out_of_bound: int = 0
    broken_promises: int = 0
    other: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not (self.out_of_bound or self.broken_promises or self.other)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def runs(self) -> int:
        return self.counts.total()

    def add(self, trial: Trial) -> None:
        """Count one case in."""
        self.cases += 1
        self.kinds[trial.case.kind] += 1
        self.counts.update(trial.counts)
        self.promises.update(trial.promises)
        self.out_of_bound += bool(trial.out_of_bound)
        self.broken_promises += bool(trial.broken)
        self.other += bool(trial.other)
        self.note(trial.case.index, str(trial.case), trial.failures)

    def note(self, index: int, case: str, failures: list[str]) -> None:
        """Keep a failed case's story, as long as there are not too many."""
        if failures and len(self.failures) < MOST_FAILURES:
            more = f"\n    and {len(failures) - 3} more" if len(failures) > 3 else ""
            self.failures.append(
                f"python -m cnnfast.verification --seed {self.seed} --case {index}\n    {case}\n    "
                + "\n    ".join(failures[:3]) + more
            )  # fmt: skip

    def least(self) -> tuple[int, Group | None]:
        """The group with the fewest outputs, of those that had any."""
        if not self.counts:
            return 0, None
        group = min(self.counts, key=lambda each: (self.counts[each], each))
        return self.counts[group], group

    def __str__(self) -> str:
        count, group = self.least()
        lines = [
            f"{self.cases} cases of seed {self.seed} ({', '.join(f'{n} {k}' for k, n in sorted(self.kinds.items()))}),"
            f" {self.runs} runs on {', '.join(self.isas)} in {self.seconds:.0f} s",
            "",
            *self._table(),
            "",
            f"fewest runs of one op x algorithm x layout x dtype x ISA: {count} ({' '.join(group or ())})",
            "same bits, pairs compared: " + ", ".join(f"{name} {n}" for name, n in self.promises.items()),
            "",
            f"out of bound: {self.out_of_bound} cases; broken promises: {self.broken_promises}; "
            f"errors and stray writes: {self.other}",
            *self.failures,
        ]  # fmt: skip
        return "\n".join(lines)

    def _table(self) -> list[str]:
        """A row for each op and algorithm, a column for each dtype."""
        dtypes = list(dict.fromkeys(group[3] for group in sorted(self.counts, key=_dtype_order)))
        rows = sorted({group[:2] for group in self.counts}, key=_row_order)
        title = "runs of each layout and ISA"
        lines = [f"{title:<46}" + "".join(f"{dtype:>8}" for dtype in dtypes)]
        for op, algorithm in rows:
            cells = [self._cell(op, algorithm, dtype) for dtype in dtypes]
            lines.append(f"{op:<28}{algorithm:<18}" + "".join(f"{cell:>8}" for cell in cells))
        return lines

    def _cell(self, op: str, algorithm: str, dtype: str) -> str:
        """The fewest over layouts and ISAs."""
        orders = layouts(op.partition("+")[0])
        found = [self.counts[op, algorithm, layout, dtype, isa] for layout in orders for isa in self.isas]
        return str(min(found)) if any(found) else "-"


def _dtype_order(group: Group) -> int:
    names = [dtype.name for dtype in SIGNATURES["conv2d"].dtypes]
    return names.index(group[3])


def _row_order(row: tuple[str, ...]) -> tuple[int, str, int]:
    op, algorithm = row
    name = op.partition("+")[0]
    known = (*dispatch.algorithms(name), "auto")
    return list(SIGNATURES).index(name), op, known.index(algorithm)
