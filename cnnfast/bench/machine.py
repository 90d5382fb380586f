"""What machine and which versions a figure belongs to."""

import os
import platform
from pathlib import Path
from typing import Any

from cnnfast.ops import runtime

CPUINFO = Path("/proc/cpuinfo")


def cpu_name() -> str:
    """The processor's own name, or the architecture where the system does not tell."""
    try:
        for line in CPUINFO.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cpus() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def facts() -> dict[str, Any]:
    """Everything a reader needs to place a figure, as plain data."""
    return runtime.config() | {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": cpu_name(),
        "cpus": usable_cpus(),
    }
