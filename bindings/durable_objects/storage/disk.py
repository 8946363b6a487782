"""How what was committed comes onto the disk. Runs in threads of its own: the loop waits for no disk."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import apsw

from runtime.places import sync_folder

CHECKPOINT_PAGES = 1000  # of the log, from which on it is folded back
SYNC_THREADS = 8
pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="durable")
_sync_data = getattr(os, "fdatasync", os.fsync)


def sync(path: Path, new: bool, pages: int) -> None:
    """Of the file itself no descriptor may be closed here: that would drop SQLite's locks on it. ``new``: its log has
    not been synced before; ``pages``: that the log has."""
    log = os.open(f"{path}-wal", os.O_RDONLY)
    try:
        _sync_data(log)
    finally:
        os.close(log)
    if new:
        sync_folder(path.parent)
    if pages >= CHECKPOINT_PAGES:
        with suppress(apsw.BusyError):
            beside = apsw.Connection(str(path))
            beside.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            beside.close()


__all__ = ["CHECKPOINT_PAGES", "SYNC_THREADS", "pool", "sync"]
