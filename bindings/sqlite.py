"""A SQLite file, and the thread that alone speaks to it: the loop never waits for a disk.

Work is done in the order in which it was asked for, each piece in a transaction of its own. The file is made
when it is first needed. ``PRAGMA user_version`` counts the steps its schema has taken, so that a newer release
brings an old file up to date, and an older release refuses a newer file instead of spoiling it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from runtime.errors import PilotError

T = TypeVar("T")
BUSY_TIMEOUT_S = 10.0  # to wait for another process that writes
WAL_BYTES = 4 * 1024 * 1024  # what is kept of the write-ahead log after a burst


class StoreError(PilotError):
    """The file cannot be read or written: the disk is full, read-only, or what is there is no such file."""


class Database:
    """``steps[n]`` is the SQL that takes the schema from version n to n + 1; released steps never change."""

    def __init__(self, path: Path, steps: Sequence[str]) -> None:
        self.path, self._steps = path, steps
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sqlite {path.name}")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    def do(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """The result of ``work(connection)``, committed. Raises StoreError; whatever else it raises undoes it.

        It is queued at once, awaited or not; and done, even when the caller was cancelled.
        """
        loop = asyncio.get_running_loop()
        if not self._closed:
            return asyncio.shield(loop.run_in_executor(self._thread, self._transact, work))
        refused: asyncio.Future[T] = loop.create_future()  # a stream may end after the supervisor has closed its stores
        refused.set_exception(StoreError(f"{self.path.name}: closed"))
        return refused

    async def aclose(self) -> None:
        """Finish what is queued, and close the file."""
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    # In the thread

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._connection = self._connection or self._open()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                return work(connection)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path.name}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self.path.chmod(0o600)  # prompts are in it
            for setting in (
                "journal_mode=WAL",
                "synchronous=NORMAL",
                f"journal_size_limit={WAL_BYTES}",
                "foreign_keys=ON",
            ):
                connection.execute(f"PRAGMA {setting}")
            self._bring_up_to_date(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            [version] = connection.execute("PRAGMA user_version").fetchone()
            if version > len(self._steps):
                raise StoreError(f"{self.path.name}: written by a newer release; move it away or upgrade")
            for step in self._steps[version:]:
                for statement in filter(str.strip, step.split(";")):  # executescript would commit
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(self._steps)}")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def trim(connection: sqlite3.Connection, table: str, limit: int) -> None:
    """Delete ``table``'s oldest rows until the file's content takes at most ``limit`` bytes.

    SQLite uses the freed pages again, so the file itself stays about that size as well.
    """
    while used(connection) > limit:
        oldest = f"SELECT rowid FROM {table} ORDER BY rowid LIMIT max(1, (SELECT count(*) FROM {table}) / 10)"
        if not connection.execute(f"DELETE FROM {table} WHERE rowid IN ({oldest})").rowcount:
            return


def used(connection: sqlite3.Connection) -> int:
    """Bytes of the file's pages that hold something."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


__all__ = ["Database", "StoreError", "trim", "used"]
