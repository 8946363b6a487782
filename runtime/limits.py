"""What the system lets a process have."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def allow_open_files() -> None:
    """As many as the system grants: each connection is one, and the usual 1,024 are soon used up."""
    if sys.platform == "win32":
        return
    import resource

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):  # macOS grants "unlimited", and refuses it
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, min(most, 10_240)), most))


def cpu_count() -> int:
    """How many processors this process may use: affinity and a container's quota may leave it fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cpus
    return cpus if quota == "max" else max(1, min(cpus, round(int(quota) / int(period))))


__all__ = ["allow_open_files", "cpu_count"]
