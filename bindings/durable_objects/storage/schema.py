"""What is ours in an object's file: steps that released versions of this program have taken never change."""

from __future__ import annotations

import apsw

from runtime.errors import PilotError

# Keys of _cf_METADATA: when it rings, in ms since 1970; how often the file was opened; the object's name; the bookmark
# that the next session begins with.
ALARM, OPENED, NAME, RESTORE = 1, 2, 3, 4
STEPS = (
    """
    CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
    CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB);
    """,
)


_BUSY_MS = 2000  # the loop waits meanwhile: only a process that should be gone holds the lock
_SETTINGS = ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=0", "foreign_keys=ON")


class NewerFile(PilotError):
    """A newer release has written it."""


def refuse_newer(sqlite: apsw.Connection) -> int:
    """The version that the file has. Raises NewerFile, apsw.Error."""
    [[version]] = sqlite.execute("PRAGMA user_version", can_cache=False)
    if (found := int(str(version))) > len(STEPS):
        raise NewerFile("an object's file was written by a newer release: upgrade, or move it away")
    return found


def settle(sqlite: apsw.Connection) -> None:
    """A connection that was just opened. Raises NewerFile, apsw.Error."""
    sqlite.set_busy_timeout(_BUSY_MS)
    refuse_newer(sqlite)
    for setting in _SETTINGS:
        sqlite.execute(f"PRAGMA {setting}", can_cache=False)


def bring_up_to_date(sqlite: apsw.Connection, name: str | None) -> None:
    """The file is of this version, and whoever had it open can write no more. ``name``: the object's, for ``listed``.
    Raises NewerFile, apsw.Error."""
    sqlite.execute("BEGIN IMMEDIATE", can_cache=False)
    try:
        for step in STEPS[refuse_newer(sqlite) :]:
            sqlite.execute(step, can_cache=False)
        sqlite.execute(f"PRAGMA user_version={len(STEPS)}", can_cache=False)
        opened = "INSERT INTO _cf_METADATA VALUES (?, 1) ON CONFLICT DO UPDATE SET value = value + 1"
        sqlite.execute(opened, (OPENED,), can_cache=False)
        if name is not None:
            sqlite.execute("INSERT OR IGNORE INTO _cf_METADATA VALUES (?, ?)", (NAME, name), can_cache=False)
        sqlite.execute("COMMIT", can_cache=False)
    except BaseException:
        if sqlite.in_transaction:
            sqlite.execute("ROLLBACK", can_cache=False)
        raise


__all__ = ["ALARM", "NAME", "OPENED", "RESTORE", "STEPS", "NewerFile", "bring_up_to_date", "refuse_newer", "settle"]
