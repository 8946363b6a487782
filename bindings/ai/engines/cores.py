"""How many processors there are to compute on."""

from __future__ import annotations

import os
from pathlib import Path


def usable() -> int:
    """Threads that a computation gains from: physical cores, as far as this process may use them."""
    return min(available(), physical())


def available() -> int:
    """How many processors this process may use: a container's may be fewer than the machine's."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cpus
    return cpus if quota == "max" else max(1, min(cpus, round(int(quota) / int(period))))


def physical() -> int:
    """Two threads of one core share the arithmetic units that llama.cpp keeps busy."""
    siblings = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/core_cpus_list")
    return len({path.read_text() for path in siblings}) or os.cpu_count() or 1


__all__ = ["available", "physical", "usable"]
