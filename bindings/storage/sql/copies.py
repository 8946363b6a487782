"""Copies of a SQLite database as it was, for the moments that someone asked to keep.

A bookmark names a copy: two bookmarks compare as the moments do.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import apsw

KEPT = 20  # the newest
KEPT_S = 30 * 24 * 3600.0
_BOOKMARK = re.compile(r"([0-9a-f]{8})-([0-9a-f]{8})-00000000-[0-9a-f]{32}")


class Copies:
    """In ``folder``; each is one SQLite file, named by its bookmark, which ends with ``mark``, 32 hex digits. For
    threads."""

    def __init__(self, folder: Path, mark: str) -> None:
        self._folder, self._mark = folder, mark

    def take(self, source: apsw.Connection, *statements: str) -> str:
        """Its bookmark. ``statements`` change the copy before it is one. Raises apsw.Error, OSError."""
        now = time.time()
        bookmark = f"{int(now):08x}-{int(now % 1 * 1e9):08x}-00000000-{self._mark}"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = self._folder / f".{bookmark}"
        copy = apsw.Connection(str(aside))
        try:
            _copy(source, copy)
            for statement in ("PRAGMA journal_mode=DELETE", *statements):  # one file
                copy.execute(statement)
        finally:
            copy.close()
        aside.chmod(0o600)
        aside.rename(self.path(bookmark))
        self._prune(now)
        return bookmark

    def find(self, bookmark: str) -> Path | None:
        """Its file; None: there is none of that name."""
        return path if _BOOKMARK.fullmatch(bookmark) and (path := self.path(bookmark)).is_file() else None

    def at(self, moment: float) -> str | None:
        """The bookmark of the newest copy that is not younger, in s since 1970; None: there is none."""
        return next((bookmark for bookmark in reversed(self.all()) if _time(bookmark) <= moment), None)

    def all(self) -> list[str]:
        """Bookmarks, the oldest first."""
        return sorted(path.stem for path in self._folder.glob("*.sqlite") if _BOOKMARK.fullmatch(path.stem))

    def path(self, bookmark: str) -> Path:
        return self._folder / f"{bookmark}.sqlite"

    def _prune(self, now: float) -> None:
        every = self.all()
        for bookmark in every[:-1]:
            if bookmark in every[:-KEPT] or now - _time(bookmark) > KEPT_S:
                self.path(bookmark).unlink(missing_ok=True)


def restore(path: Path, target: apsw.Connection) -> None:
    """Make it what the copy is: all of it, or nothing. Raises apsw.Error."""
    kept = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        _copy(kept, target)
    finally:
        kept.close()


def _copy(source: apsw.Connection, target: apsw.Connection) -> None:
    with target.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(-1)


def _time(bookmark: str) -> float:
    seconds, nanoseconds = bookmark.split("-")[:2]
    return int(seconds, 16) + int(nanoseconds, 16) / 1e9


__all__ = ["Copies", "restore"]
