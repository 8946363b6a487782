"""How many processors there are to compute on."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.limits import cpu_count


def usable() -> int:
    """Threads that a computation gains from: physical cores, as far as this process may use them."""
    return min(cpu_count(), physical())


def physical() -> int:
    """Two threads of one core share the arithmetic units that llama.cpp keeps busy."""
    siblings = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/core_cpus_list")
    return len({path.read_text() for path in siblings}) or os.cpu_count() or 1


__all__ = ["physical", "usable"]
