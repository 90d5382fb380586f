"""The limits of the machine: its FMA peak and its bandwidths, with the probe kernels that the library brings."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .workers import Worker

KIB, MIB = 2**10, 2**20
USUAL_CACHES = {"L1": 32 * KIB, "L2": 512 * KIB, "L3": 16 * MIB}
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Limit:
    """One figure: GFLOP/s, or GB/s with bytes read and bytes written both counted.

    `holds` is how many bytes find room in the level, with so many threads; 0 is any number.
    """

    kind: str
    level: str
    bytes_per_thread: int
    threads: int
    rate: float
    holds: int = 0


def cache_sizes() -> dict[str, int]:
    """Bytes of the data caches one core sees, by name; usual sizes where the system does not say."""
    sizes = dict(USUAL_CACHES)
    for entry in sorted(CACHES.glob("index*")):
        try:
            if (entry / "type").read_text().strip() == "Instruction":
                continue
            level, size = (entry / "level").read_text().strip(), (entry / "size").read_text().strip()
            sizes[f"L{level}"] = int(size.rstrip("KM")) * (MIB if size.endswith("M") else KIB)
        except (OSError, ValueError):
            continue
    return sizes


def working_sets(threads: int) -> dict[str, int]:
    """Bytes a thread works on to stay in each level: well inside a cache, and well outside the last one."""
    caches = cache_sizes()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 * 2**30
    beyond = min(max(8 * caches["L3"] // threads, 64 * MIB), memory // (8 * threads), 512 * MIB)
    sets = {
        "L1": caches["L1"] * 3 // 4,
        "L2": caches["L2"] * 3 // 4,
        "L3": max(caches["L3"] // (4 * threads), caches["L2"] * 2),
        "memory": beyond,
    }
    return {level: apart(size) for level, size in sets.items()}


def room(threads: int) -> dict[str, int]:
    """Bytes that each level has room for: L1 and L2 are each core's own, L3 is shared; memory has 0, for any number."""
    caches = cache_sizes()
    return {"L1": threads * caches["L1"], "L2": threads * caches["L2"], "L3": caches["L3"], "memory": 0}


def apart(size: int) -> int:
    """About `size`, such that a copy's halves lie 2 KiB off a multiple of 4 KiB: else loads seem to wait for stores."""
    return size // 8192 * 8192 + 4096


def measure(worker: Worker, threads: int, seconds: float) -> Iterator[Limit]:
    """Every limit with one thread and with all, in about `seconds`."""
    counts = sorted({1, threads})
    each = seconds / (len(counts) * (2 + 2 * len(working_sets(1))))
    for count in counts:
        rate = worker.ask("probe", kind="fma", bytes=0, seconds=2 * each, threads=count)["rate"]
        yield Limit("fma", "", 0, count, rate)
        for kind in ("read", "copy"):
            for level, size in working_sets(count).items():
                rate = worker.ask("probe", kind=kind, bytes=size, seconds=each, threads=count)["rate"]
                yield Limit(kind, level, size, count, rate, room(count)[level])
