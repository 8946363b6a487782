"""How what was committed comes onto the disk.

A thread waits for that, so that the loop goes on meanwhile. Where nobody else waits for the loop, and the disk was
quick the last time, the loop waits itself: to hand it over and back takes as long again. A disk that is quick no longer
is waited for so once, and then by threads until it is quick again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import apsw

from runtime.places import sync_folder

CHECKPOINT_PAGES = 1000  # of the log, from which on it is folded back
SYNC_THREADS = 8
QUICK_S = 0.0005  # seconds that a quick disk takes at most
pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="durable")
_sync_data = getattr(os, "fdatasync", os.fsync)


class _Last:
    """What the last one took, of whichever file: they are on one disk."""

    seconds = float("inf")


async def synced(path: Path, new: bool, pages: int, alone: Callable[[], bool]) -> None:
    """As ``sync``. ``alone()``: whether nobody else waits for the loop."""
    if not new and pages < CHECKPOINT_PAGES and _Last.seconds <= QUICK_S and alone():
        return sync(path, new, pages)
    await asyncio.get_running_loop().run_in_executor(pool, sync, path, new, pages)


def sync(path: Path, new: bool, pages: int) -> None:
    """Of the file itself no descriptor may be closed here: that would drop SQLite's locks on it. ``new``: its log has
    not been synced before; ``pages``: that the log has."""
    log = os.open(f"{path}-wal", os.O_RDONLY)
    began = time.perf_counter()
    try:
        _sync_data(log)
    finally:
        _Last.seconds = time.perf_counter() - began
        os.close(log)
    if new:
        sync_folder(path.parent)
    if pages >= CHECKPOINT_PAGES:
        with suppress(apsw.BusyError):
            beside = apsw.Connection(str(path))
            beside.execute("PRAGMA schema_version").fetchall()  # one that has read nothing knows of no log
            beside.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            beside.close()


__all__ = ["CHECKPOINT_PAGES", "QUICK_S", "SYNC_THREADS", "pool", "sync", "synced"]
