"""Is anything else working on this machine while we measure? Linux tells; elsewhere nobody knows."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

STAT = Path("/proc/stat")
USER, NICE, SYSTEM, IRQ, SOFTIRQ, STEAL = 1, 2, 3, 6, 7, 8  # columns of its first line


class Neighbours:
    """Counts the processors that other processes keep busy, and that the hypervisor takes away, from its making on."""

    def __init__(self, own: Iterable[int]) -> None:
        self.own = [os.getpid(), *own]
        self.start, self.all, self.ours = time.monotonic(), busy_seconds(), self.own_seconds()

    def own_seconds(self) -> float:
        return sum(process_seconds(process) for process in self.own)

    def busy(self) -> float | None:
        """Processors, on average, that were busy with other things; None where the system does not tell."""
        now, wall = busy_seconds(), time.monotonic() - self.start
        if now is None or self.all is None or wall <= 0:
            return None
        return max(0.0, (now - self.all) - (self.own_seconds() - self.ours)) / wall


def busy_seconds() -> float | None:
    """Processor seconds spent on anything since the system started."""
    try:
        fields = STAT.read_text().split("\n", 1)[0].split()
        return sum(int(fields[i]) for i in (USER, NICE, SYSTEM, IRQ, SOFTIRQ, STEAL)) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


def process_seconds(process: int) -> float:
    """Processor seconds one process has spent; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0
