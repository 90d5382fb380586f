"""The roof: how fast the machine's limits would let a layer be, were nothing else in its way.

A layer takes at least as long as its multiply-adds at the FMA peak, and as long as moving its bytes once: what is
written counts as a copy, what is read beyond that as a read; as much as a level of cache holds goes at that level's
rate, the rest at the next one's. Noise only lowers a rate, so the greatest one counts. Rows of the table that multiply
less than the definition does (Winograd, the FFT) have a higher roof, with the bytes of their own weights.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .limits import Limit


@dataclass(frozen=True)
class Level:
    """A level of the memory: what fits it, 0 for any amount; its rates in GB/s."""

    name: str
    holds: int
    read: float
    copy: float


@dataclass(frozen=True)
class Roof:
    """The limits of the machine with all threads, the nearest level first."""

    peak_gflops: float
    levels: tuple[Level, ...]

    def seconds(self, flops: float, read: float, written: float) -> float:
        """The least time of so much work, in bytes read and bytes written."""
        copied = read + written if read < written else 2 * written
        moved, nearer = 0.0, 0.0
        for level in self.levels:
            within = read + written if level.holds == 0 else max(nearer, min(level.holds, read + written))
            share = (within - nearer) / (read + written)
            moved += share * (copied / level.copy + max(0.0, read - written) / level.read)
            nearer = within
        return 1e-9 * max(flops / self.peak_gflops, moved)


def roof_of(limits: Sequence[Limit], peaks: Iterable[float | None] = ()) -> Roof | None:
    """From the limits, and the peaks that were measured between the layers; None where a limit is missing."""
    threads = max((each.threads for each in limits), default=0)
    mine = {(each.kind, each.level): each for each in limits if each.threads == threads}
    names = [level for kind, level in mine if kind == "copy" and ("read", level) in mine]
    if ("fma", "") not in mine or not names or mine["copy", names[-1]].holds:
        return None
    levels = [Level(name, mine["copy", name].holds, mine["read", name].rate, mine["copy", name].rate) for name in names]
    return Roof(max([mine["fma", ""].rate, *(peak for peak in peaks if peak)]), tuple(levels))
