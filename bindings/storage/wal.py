"""A write-ahead log at its full size, so that a commit writes over it instead of making it longer.

To sync a file that has grown, a disk writes the file's description too: of two commits that are otherwise the same,
the one that writes over what is there took 0.5 to 0.7 times as long (ext4, virtio disk). SQLite begins its log anew
after each checkpoint and keeps the file, so only the first megabytes are slow; but a file is rarely open for long
enough to get past them. A transaction that outgrows its cache spills into the log; one that is then rolled back leaves
the log long, and nothing in it that SQLite would ever read.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

WAL_BYTES = 4 * 1024 * 1024  # what is kept of the log after a burst; SQLite folds it back at a little less
COMMITS_UNTIL_FULL_SIZE = 32  # a file that is written to less often stays small
_ROOM_BYTES = 16 * WAL_BYTES  # that a disk has to have left
_PIECES, _PIECE_BYTES = 4, 1_000_000
_SPILLING = (
    "BEGIN IMMEDIATE",
    "CREATE TABLE full_size_log (piece INTEGER PRIMARY KEY, bytes BLOB) WITHOUT ROWID",  # last_insert_rowid stays
    *(f"INSERT INTO full_size_log VALUES ({piece}, zeroblob({_PIECE_BYTES}))" for piece in range(_PIECES)),
    "ROLLBACK",
)
_SMALL_CACHE, _USUAL_CACHE = "PRAGMA cache_size=10", "PRAGMA cache_size=-2000"  # pages; KiB, as SQLite begins with


def bring_to_full_size(path: Path, execute: Callable[[str], object]) -> None:
    """The log of the database at ``path``, outside of any transaction. Whatever ``execute`` raises is raised, and may
    leave a transaction to roll back."""
    if shutil.disk_usage(path).free < _ROOM_BYTES:
        return
    execute(_SMALL_CACHE)
    try:
        for statement in _SPILLING:
            execute(statement)
    finally:
        execute(_USUAL_CACHE)


__all__ = ["COMMITS_UNTIL_FULL_SIZE", "WAL_BYTES", "bring_to_full_size"]
