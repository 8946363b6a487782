"""The write-ahead log of an object's file: how what was committed comes onto the disk.

A descriptor of its own is kept: to open one for each sync takes a tenth of what a quick disk does. Of the file beside
it no descriptor may be closed here: that would drop SQLite's locks on it.

What is written over bytes that are there already is on the disk after one write to it. A file that grows needs its file
system's journal for that, which takes twice as long, and thirty times where others keep the disk busy. So the log is
made longer ahead, by zeros, which SQLite takes for its end: no frame has a page 0.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import apsw

from runtime.places import sync_folder

CHECKPOINT_PAGES = 1000  # of a log, from which on it is folded back
QUICK_S = 0.0005  # seconds that a quick disk takes at most
_HEAD_BYTES, _FRAME_HEAD_BYTES = 32, 24  # https://www.sqlite.org/fileformat2.html#walformat
_COMMIT_PAGES = 8  # of most commits
_MOST_BYTES = 1024 * 1024  # of room at a time; before, as much as there is
_sync_data = getattr(os, "fdatasync", os.fsync)


class _Last:
    """What the last sync took, of whichever log: they are on one disk."""

    seconds = float("inf")


class Log:
    """Of the file at ``path``."""

    page_bytes = 0

    def __init__(self, path: Path) -> None:
        self._file, self._path = path, f"{path}-wal"
        self._pages = self._bytes = 0  # of the log, as far as is known
        self._new = True  # it has not been synced since its file was opened
        self._opened: int | None = None

    @property
    def is_quick(self) -> bool:
        """Whether to sync it takes no longer than to have a thread do it: nothing else is to be done, and the disk was
        quick the last time."""
        return not self._new and self._pages < CHECKPOINT_PAGES and _Last.seconds <= QUICK_S

    def logged(self, sqlite: apsw.Connection, database: str, pages: int) -> int:
        """SQLite's hook: a commit is in it."""
        self._pages = pages
        return apsw.SQLITE_OK

    def make_room(self) -> None:
        """For one more commit. Whoever calls has SQLite's write lock, so that nobody else appends. An empty log is left
        as it is: many an object writes once. Raises OSError."""
        needed = _HEAD_BYTES + (self._pages + _COMMIT_PAGES) * (_FRAME_HEAD_BYTES + self.page_bytes)
        if not self._pages or needed <= self._bytes:
            return
        log = self._descriptor()
        self._bytes = os.fstat(log).st_size
        if needed > self._bytes:
            more = max(needed - self._bytes, min(self._bytes, _MOST_BYTES))
            self._bytes += os.pwrite(log, bytes(more), self._bytes)

    def sync(self) -> None:
        """What was committed is on the disk. Raises OSError, apsw.Error."""
        log, began = self._descriptor(), time.perf_counter()
        try:
            _sync_data(log)
        finally:
            _Last.seconds = time.perf_counter() - began
        if self._new:
            sync_folder(self._file.parent)
            self._new = False
        if self._pages >= CHECKPOINT_PAGES:
            self._fold_back()

    def close(self) -> None:
        """Once nobody syncs."""
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None

    def _descriptor(self) -> int:
        if self._opened is None:
            self._opened = os.open(self._path, os.O_RDWR)
        return self._opened

    def _fold_back(self) -> None:
        with suppress(apsw.BusyError):
            beside = apsw.Connection(str(self._file))
            beside.execute("PRAGMA schema_version").fetchall()  # one that has read nothing knows of no log
            beside.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            beside.close()


__all__ = ["CHECKPOINT_PAGES", "QUICK_S", "Log"]
