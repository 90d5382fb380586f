"""What `plan.explain()` gives: the choice a plan made and its costs, as data and as a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Candidate:
    """One row of the op's table. `cost` is microseconds on a nominal core, so it is the same on every machine;
    `needed_size` the least `max_workspace` that allows the row; `flops` those of its products, of which Winograd and
    the FFT have fewer than the definition."""

    algorithm: str
    accepts: bool
    cost: float
    workspace_size: int
    needed_size: int
    flops: float


@dataclass(frozen=True)
class Explanation:
    """What a plan chose and why: the accepted row of least cost, unless one was named or measured.

    Sizes are bytes: the workspace of the plan's batch, the weights as packed, and what a run reads and writes when
    everything is touched once. `flops` counts a multiply-add as two, padding taps too. `tile` is pixels x
    channels in the micro-kernel's registers, (0, 0) where it has none.
    """

    op: str
    algorithm: str
    isa: str
    tile: tuple[int, int]
    workspace_size: int
    packed_size: int
    flops: float
    bytes_moved: float
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        pixels, channels = self.tile
        facts = [
            ("op", self.op),
            ("algorithm", f"{self.algorithm} ({self.isa})"),
            ("register tile", f"{pixels} pixels x {channels} channels" if pixels else "none"),
            ("workspace", _size(self.workspace_size)),
            ("packed weights", _size(self.packed_size)),
            ("work", f"{self.flops / 1e6:,.3f} MFLOP"),
            ("bytes moved", _size(self.bytes_moved)),
        ]
        lines = [f"{name:<15}{value}" for name, value in facts]
        lines.append(f"\n  {'algorithm':<{self._wide()}}{'relative cost':>14}{'workspace':>14}{'needs':>14}")
        lines += [self._row(row) for row in self.candidates]
        return "\n".join(lines)

    def _wide(self) -> int:
        return max(len("algorithm"), *(len(row.algorithm) for row in self.candidates)) + 2

    def _row(self, row: Candidate) -> str:
        mark = "*" if row.algorithm == self.algorithm else " "
        if not row.accepts:
            return f"{mark} {row.algorithm:<{self._wide()}}{'does not apply':>14}"
        chosen = next((each.cost for each in self.candidates if each.algorithm == self.algorithm), row.cost)
        sizes = f"{_size(row.workspace_size):>14}{_size(row.needed_size):>14}"
        return f"{mark} {row.algorithm:<{self._wide()}}{row.cost / chosen:>13.2f}x{sizes}"


def explanation(op: str, info: Mapping[str, Any]) -> Explanation:
    """The Explanation of a native plan's info()."""
    rows = tuple(
        Candidate(row["algorithm"], bool(row["accepts"]), row["cost"], row["workspace"], row["needed"], row["flops"])
        for row in info["candidates"]
    )
    return Explanation(
        op, info["algorithm"], info["isa"], tuple(info["tile"]), info["workspace"], info["packed"], info["flops"],
        info["bytes"], rows,
    )  # fmt: skip


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} B" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"
