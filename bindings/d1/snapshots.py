"""Copies of a database as it was: D1's Time Travel, for the moments that someone asked to keep.

A bookmark names a copy. It is made when the bookmark is asked for, and before a restore, so that this can be undone.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

import apsw

from bindings.d1.sql.connection import Connection
from bindings.d1.sql.errors import D1Error

FOLDER = "snapshots"
KEPT = 20  # the newest
KEPT_S = 30 * 24 * 3600.0
_BOOKMARK = re.compile(r"([0-9a-f]{8})-([0-9a-f]{8})-00000000-[0-9a-f]{32}")


class Snapshots:
    """In ``folder``; each is one SQLite file, named by its bookmark. Everything here runs in a thread."""

    def __init__(self, folder: Path, mark: str) -> None:
        self._folder, self._mark = folder / FOLDER, mark

    def take(self, reader: Connection) -> str:
        """Its bookmark."""
        now = time.time()
        bookmark = f"{int(now):08x}-{int(now % 1 * 1e9):08x}-00000000-{self._mark}"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = self._folder / f".{bookmark}"
        copy = apsw.Connection(str(aside))
        try:
            _copy(reader.sqlite, copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file
        finally:
            copy.close()
        aside.chmod(0o600)
        aside.rename(self._folder / f"{bookmark}.sqlite")
        self._prune(now)
        return bookmark

    def find(self, bookmark: str) -> Path:
        """Its file. Raises D1Error: there is none of that name."""
        if not _BOOKMARK.fullmatch(bookmark) or not (path := self._path(bookmark)).is_file():
            raise D1Error(f"no snapshot is kept for the bookmark {bookmark[:100]!r}")
        return path

    def restore(self, writer: Connection, bookmark: str) -> None:
        """Raises D1Error: there is none of that name."""
        kept = apsw.Connection(str(self.find(bookmark)), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            _copy(kept, writer.sqlite)
        finally:
            kept.close()

    def at(self, moment: datetime) -> str:
        """The bookmark of the newest copy that is not younger. Raises D1Error."""
        before = [bookmark for bookmark in self.all() if _time(bookmark) <= moment.timestamp()]
        if not before:
            raise D1Error(f"no snapshot is kept from before {moment.isoformat()}")
        return before[-1]

    def all(self) -> list[str]:
        """Bookmarks, the oldest first."""
        return sorted(path.stem for path in self._folder.glob("*.sqlite") if _BOOKMARK.fullmatch(path.stem))

    def _prune(self, now: float) -> None:
        every = self.all()
        for bookmark in every[:-1]:
            if bookmark in every[:-KEPT] or now - _time(bookmark) > KEPT_S:
                self._path(bookmark).unlink(missing_ok=True)

    def _path(self, bookmark: str) -> Path:
        return self._folder / f"{bookmark}.sqlite"


def _copy(source: apsw.Connection, target: apsw.Connection) -> None:
    with target.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(-1)


def _time(bookmark: str) -> float:
    seconds, nanoseconds = bookmark.split("-")[:2]
    return int(seconds, 16) + int(nanoseconds, 16) / 1e9


__all__ = ["Snapshots"]
