"""Processes that were started: what they hold, and ending them."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path


def kill_group(pid: int) -> None:
    """``pid``, which leads a process group, and whatever it has started. Nothing happens where they have gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def group_ended(pid: int, within_s: float) -> None:
    """Until nothing of the process group that ``pid`` led runs any more; no longer than ``within_s`` seconds."""
    deadline = asyncio.get_running_loop().time() + within_s
    while _group_runs(pid) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)


def _group_runs(group: int) -> bool:
    """A zombie that nobody has waited for yet holds nothing; without /proc it counts as running."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    return not stats or any(_is_of(path, group) for path in stats)


def _is_of(stat: Path, group: int) -> bool:
    try:
        state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return False
    return int(its_group) == group and state != "Z"


def memory_of(pid: int) -> int | None:
    """Bytes that ``pid`` and all that it has started hold in memory; what several share counts for each. None: it is
    gone, or this is no Linux."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    except (OSError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(memory_of(int(child)) or 0 for child in children.split())


def thread_count() -> int:
    """Of this process, those that no Python started among them. 1 where nobody can tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


__all__ = ["group_ended", "kill_group", "memory_of", "thread_count"]
