"""Going back: copies of an object's file, and which of them its next session begins with.

Theory of operation
-------------------
A copy is made when a bookmark is asked for, of what is committed then: a connection of its own reads while the object
goes on, and what is written costs nothing more for it. To go back is a row of the file, kept as any write is. Whoever
begins the object next finds it, in a thread, and the copy takes the file's place in one transaction; the row, which no
copy has, goes with what was there. A process that is killed meanwhile has done all of it, or nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import apsw

from bindings.durable_objects.storage.disk import pool
from bindings.durable_objects.storage.schema import RESTORE
from bindings.storage.sql.copies import Copies, restore

FOLDER = "snapshots"  # beside the objects' files
_FORGET = f"DELETE FROM _cf_METADATA WHERE key = {RESTORE}"
_ASKED = f"SELECT value FROM _cf_METADATA WHERE key = {RESTORE}"
_TABLE = "SELECT 1 FROM sqlite_master WHERE name = '_cf_METADATA'"


class Asked(Protocol):
    """An object's file."""

    def write(self, sql: str, values: Sequence[Any] = ()) -> int: ...


def copies_of(path: Path) -> Copies:
    """Of the object whose file that is."""
    mark = sha256(path.stem.encode()).hexdigest()[:32]
    return Copies(path.parent / FOLDER / path.stem, mark)


def reader(path: Path) -> apsw.Connection:
    """It sees what is committed now, and nothing later."""
    beside = apsw.Connection(str(path))
    beside.execute("BEGIN")
    beside.execute(_TABLE).fetchall()
    return beside


async def copied(path: Path, beside: apsw.Connection) -> str:
    """A bookmark of what ``reader`` sees, which is closed. Raises apsw.Error, OSError."""
    return await asyncio.get_running_loop().run_in_executor(pool, _take, path, beside)


def _take(path: Path, beside: apsw.Connection) -> str:
    try:
        return copies_of(path).take(beside, _FORGET)
    finally:
        beside.close()


def go_back(path: Path, sqlite: apsw.Connection) -> bool:
    """If that was asked for. Raises apsw.Error."""
    if not sqlite.execute(_TABLE, can_cache=False).fetchall():
        return False
    for (bookmark,) in sqlite.execute(_ASKED, can_cache=False).fetchall():
        if (kept := copies_of(path).find(str(bookmark))) is not None:
            restore(kept, sqlite)
            return True
    return False


def ask(file: Asked, bookmark: str) -> None:
    """Whoever begins the object next begins with that copy."""
    file.write("INSERT OR REPLACE INTO _cf_METADATA VALUES (?, ?)", (RESTORE, bookmark))


def gone_back(path: Path) -> bool:
    """The same, ahead of whoever opens the file: a large one takes seconds. In a thread. Raises apsw.Error."""
    sqlite = apsw.Connection(str(path))
    try:
        return go_back(path, sqlite)
    finally:
        sqlite.close()


def are_kept(path: Path) -> bool:
    """Whether there may be a copy to go back to."""
    return (path.parent / FOLDER / path.stem).exists()


__all__ = ["are_kept", "ask", "copied", "copies_of", "go_back", "gone_back", "reader"]
