"""Processes that were started: what they hold, and ending them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def kill_group(pid: int) -> None:
    """``pid``, which leads a process group, and whatever it has started. Nothing happens where they have gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def memory_of(pid: int) -> int | None:
    """Bytes that ``pid`` and all that it has started hold in memory; what several share counts for each. None: it is
    gone, or this is no Linux."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    except (OSError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(memory_of(int(child)) or 0 for child in children.split())


__all__ = ["kill_group", "memory_of"]
