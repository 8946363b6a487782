"""A SQLite file, and the thread that alone writes to it: the loop never waits for a disk.

Theory of operation. Work is done in the order in which it was asked for, each piece whole or not at all. What was asked
for while the thread was busy is done in one transaction, so that sixty-four writers wait for one fsync and not for
sixty-four; a savepoint around each piece keeps one that fails from undoing the others. A future is done once its
transaction is on disk. ``read`` asks a connection of the loop's own, which in WAL mode waits for no writer.

The file is made when it is first needed. ``PRAGMA user_version`` counts the steps its schema has taken, so that a newer
release brings an old file up to date, and an older release refuses a newer file instead of spoiling it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bindings.storage.wal import COMMITS_UNTIL_FULL_SIZE, WAL_BYTES, bring_to_full_size
from runtime.errors import PilotError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Outcome = tuple[Any, BaseException | None]  # a result, or what was raised
BUSY_TIMEOUT_S = 10.0  # to wait for another process that writes


class StoreError(PilotError):
    """The file cannot be read or written: the disk is full, read-only, or what is there is no such file."""


class Database:
    """``steps[n]`` is the SQL that takes the schema from version n to n + 1; released steps never change.

    ``durable``: what is done outlives the machine's fall as well, for an fsync per transaction; else this process's.
    """

    def __init__(self, path: Path, steps: Sequence[str], *, durable: bool = False) -> None:
        self.path, self._steps, self._durable = path, steps, durable
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sqlite {path.name}")
        self._connection: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._queue: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._idle, self._closed = asyncio.Event(), False
        self._commits = self._changes = 0
        self._idle.set()

    def do(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """The result of ``work(connection)``, committed. Raises StoreError; whatever else it raises undoes it.

        It is queued at once, awaited or not; and done, even when the caller was cancelled.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._closed:  # a stream may end after the supervisor has closed its stores
            future.set_exception(StoreError(f"{self.path.name}: closed"))
            return future
        self._queue.append((work, future))
        if self._idle.is_set():
            self._idle.clear()
            loop.call_soon(self._begin, loop)  # what else this turn of the loop asks for comes along
        return future

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of ``work(connection)``, which only reads, and little: it runs at once, in the loop.

        What was acknowledged is seen. Raises StoreError.
        """
        if self._reader is None:
            await self.do(lambda _: None)  # the file is there, and of this version
            self._reader = self._reader or self._connected("query_only=ON", "busy_timeout=0")
        try:
            return work(self._reader)
        except sqlite3.Error:  # such as: another process has just mended the file after a crash
            return await self.do(work)

    async def aclose(self) -> None:
        """Finish what is queued, and close the file."""
        if self._closed:
            return
        self._closed = True
        await self._idle.wait()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        queued, self._queue = self._queue, []
        works = [work for work, _ in queued]
        done = loop.run_in_executor(self._thread, self._transact, works)
        done.add_done_callback(partial(self._settle, loop, [future for _, future in queued]))

    def _settle(
        self, loop: asyncio.AbstractEventLoop, futures: list[asyncio.Future[Any]], done: asyncio.Future[list[Outcome]]
    ) -> None:
        for future, (result, error) in zip(futures, done.result(), strict=True):
            if future.done():  # whoever waited was cancelled
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        if self._queue:
            self._begin(loop)
        else:
            self._idle.set()

    # In the thread

    def _transact(self, works: list[Work[Any]]) -> list[Outcome]:
        """One transaction. Where it fails as a whole, nothing of it was done."""
        try:
            connection = self._connection = self._connection or self._open()
            self._see_to_log(connection)
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if len(works) == 1:  # whose failure undoes the transaction
                    return [(works[0](connection), None)]
                return [self._attempt(connection, work) for work in works]
        except BaseException as error:
            return [(None, self._named(error))] * len(works)

    def _see_to_log(self, connection: sqlite3.Connection) -> None:
        """Before a transaction: of those before, some have written."""
        if self._durable and connection.total_changes != self._changes:
            self._changes = connection.total_changes
            self._commits += 1
            if self._commits == COMMITS_UNTIL_FULL_SIZE:
                with suppress(sqlite3.Error, OSError), connection:  # it serves speed alone
                    bring_to_full_size(self.path, connection.execute)

    def _attempt(self, connection: sqlite3.Connection, work: Work[Any]) -> Outcome:
        connection.execute("SAVEPOINT work")
        outcome: Outcome
        try:
            outcome = work(connection), None
        except BaseException as error:
            if not connection.in_transaction:  # a full disk has undone all of it
                raise
            connection.execute("ROLLBACK TO work")
            outcome = None, self._named(error)
        connection.execute("RELEASE work")
        return outcome

    def _named(self, error: BaseException) -> BaseException:
        if not isinstance(error, sqlite3.Error | OSError):
            return error
        named = StoreError(f"{self.path.name}: {disk_error(error)}")
        named.__cause__ = error
        return named

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connected(
            "journal_mode=WAL",
            f"synchronous={'FULL' if self._durable else 'NORMAL'}",
            f"journal_size_limit={WAL_BYTES}",
            "foreign_keys=ON",
        )
        try:
            self._bring_up_to_date(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self, *settings: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self.path.chmod(0o600)  # prompts are in it
            for setting in settings:
                connection.execute(f"PRAGMA {setting}")
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
        for connection in (self._reader, self._connection):  # the writer last: it folds the write-ahead log back in
            if connection is not None:
                connection.close()
        self._reader = self._connection = None


def disk_error(error: Exception) -> str:
    """What went wrong, for a worker: where the file lies is not its business."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)


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


__all__ = ["Database", "StoreError", "disk_error", "trim", "used"]
