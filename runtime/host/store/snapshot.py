"""A consistent copy of a folder of SQLite files and of the files that their rows name, while others write to it.

Theory of operation. Files that a row names are written before the row is and removed after it is gone, and never
changed in between. So nothing that a database names can go while nobody may write to that database. Its write lock is
taken for as long as it takes to link the files beside it, and a read transaction begins under that lock: what it sees
is copied afterwards, at leisure. Writers wait for the links alone.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

_MAGIC = b"SQLite format 3\0"
_SUFFIXES = {".db", ".sqlite", ".sqlite3"}
_BESIDE = ("-wal", "-shm", "-journal")  # a database's own; a copy needs none of them
_TIMEOUT_S = 60.0  # seconds to wait for whoever writes

Wanted = Callable[[Path], bool]


def snapshot(source: Path, target: Path, wanted: Wanted) -> None:
    """``wanted`` is asked for each file and folder below ``source``. Raises OSError, sqlite3.Error."""
    entries = _entries(source, wanted)
    with closing(_Held([entry for entry in entries if is_database(entry)])) as held:
        later = _linked(entries, target, wanted)
        held.writable()
        for database, reader in held:
            with closing(sqlite3.connect(target / database.name)) as copy:
                reader.backup(copy)
    for folder in later:
        snapshot(folder, target / folder.relative_to(source), wanted)


def _linked(entries: list[Path], target: Path, wanted: Wanted) -> list[Path]:
    """The files are in the folder ``target`` then. Those folders below that have databases of their own are left."""
    target.mkdir(mode=0o700)
    later = []
    for entry in entries:
        if entry.is_dir():
            inner = _entries(entry, wanted)
            own = any(map(is_database, inner))
            later += [entry] if own else _linked(inner, target / entry.name, wanted)
        elif not is_database(entry):
            _link(entry, target / entry.name)
    return later


def _entries(folder: Path, wanted: Wanted) -> list[Path]:
    """None, where it has gone meanwhile."""
    with suppress(FileNotFoundError):
        found = (entry for entry in sorted(folder.iterdir()) if not entry.is_symlink() and wanted(entry))
        return [entry for entry in found if not entry.name.endswith(_BESIDE)]
    return []


def is_database(path: Path) -> bool:
    """By its beginning; by its name where it is being made at this moment."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC or path.suffix in _SUFFIXES
    except OSError:
        return False


class _Held:
    """Databases that nobody may write to until ``writable``, each with a connection that sees what was then."""

    def __init__(self, databases: list[Path]) -> None:
        self._locks: list[sqlite3.Connection] = []
        self._readers: list[tuple[Path, sqlite3.Connection]] = []
        try:
            for database in databases:
                self._hold(database)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[tuple[Path, sqlite3.Connection]]:
        return iter(self._readers)

    def _hold(self, database: Path) -> None:
        address = f"{database.absolute().as_uri()}?mode=rw"  # one that has gone must not be made again
        lock, reader = (sqlite3.connect(address, _TIMEOUT_S, isolation_level=None, uri=True) for _ in range(2))
        self._locks.append(lock)
        self._readers.append((database, reader))
        lock.execute("BEGIN IMMEDIATE")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()  # it sees from here on what is there now

    def writable(self) -> None:
        for lock in self._locks:
            lock.close()

    def close(self) -> None:
        self.writable()
        for _, reader in self._readers:
            reader.close()


def _link(source: Path, target: Path) -> None:
    """Where it has gone meanwhile, no row names it."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        return
    except OSError:  # no links on this disk
        shutil.copy2(source, target)


__all__ = ["is_database", "snapshot"]
