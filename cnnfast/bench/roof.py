"""The roof: how fast the machine's limits would let a layer be, were nothing else in its way.

A layer takes at least as long as its multiply-adds at the FMA peak, and as long as moving its bytes once: what is
written counts as a copy, what is read beyond that as a read, each at the rate of the nearest level of cache that all of
it fits. Rows of the table that multiply less than the definition does (Winograd, the FFT) have a higher roof, with the
bytes of their own weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        level = next(each for each in self.levels if each.holds == 0 or read + written <= each.holds)
        copied = read + written if read < written else 2 * written
        return 1e-9 * max(flops / self.peak_gflops, copied / level.copy + max(0.0, read - written) / level.read)

    def just_now(self, peak_gflops: float | None, copy_gbs: float | None) -> "Roof":
        """With what was measured between the turns of one layer, for just its bytes."""
        levels = tuple(replace(level, copy=copy_gbs or level.copy) for level in self.levels)
        return Roof(peak_gflops or self.peak_gflops, levels)


def roof_of(limits: Sequence[Limit]) -> Roof | None:
    """None where a limit was not measured."""
    threads = max((each.threads for each in limits), default=0)
    mine = {(each.kind, each.level): each for each in limits if each.threads == threads}
    names = [level for kind, level in mine if kind == "copy" and ("read", level) in mine]
    if ("fma", "") not in mine or not names or mine["copy", names[-1]].holds:
        return None
    levels = [Level(name, mine["copy", name].holds, mine["read", name].rate, mine["copy", name].rate) for name in names]
    return Roof(mine["fma", ""].rate, tuple(levels))
