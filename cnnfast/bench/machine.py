"""What machine and which versions a figure belongs to."""

import os
import platform
from typing import Any

from cnnfast.ops import runtime


def usable_cpus() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def facts() -> dict[str, Any]:
    """Everything a reader needs to place a figure, as plain data."""
    return runtime.config() | {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": runtime.cpu_name(),
        "cpus": usable_cpus(),
    }
