"""The SQLite file of one object: its transaction, and when that is on the disk.

Theory of operation
-------------------
Whatever is written goes into one open transaction, which begins with the first write and is committed when the loop's
turn ends: writes with nothing awaited in between become true together, those of several events too. Committing writes
the log and does not wait for the disk (``synchronous=NORMAL``); the log is synced then (``disk``), and what is written
meanwhile waits for the next round. So a round's writes share one sync, and nobody waits for a disk who has nothing
there. ``kept()`` is what replies and messages wait for. Where an event has ended that is the only one, ``keep()`` does
all of that at once, without a round's turns of the loop.

The fence: a process that opens the file writes to it, which changes SQLite's ``data_version`` for every other
connection. Each transaction looks at that number once it has the write lock. A process that was taken for dead and
wakes up finds another number there, and can write no more.

An alarm is a row of this file, in the same transaction as all else. The supervisor, which has the clock, is told the
earlier time before the commit and the later one after it: whenever both fall, its clock rings in time, or too early.
"""

from __future__ import annotations

import asyncio
import contextvars
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from bindings.durable_objects.storage import bookmarks, disk
from bindings.durable_objects.storage.failures import Stale, Undone
from bindings.durable_objects.storage.log import Log
from bindings.durable_objects.storage.schema import ALARM, bring_up_to_date, settle
from bindings.storage.sql.guard import Guard
from bindings.storage.sql.limits import LIMITS, shut_in

_LIMITS = {**LIMITS, apsw.SQLITE_LIMIT_LENGTH: 32 * 1024 * 1024}  # bytes of a text, a blob, a row
_OURS = f" /* {secrets.token_hex(8)} */"  # or a worker's text would find ours prepared, and allowed
_nobody = contextvars.Context()  # whose work the syncs are


class ObjectFile:
    """``ring(due)``: tell the supervisor's clock, in ms since 1970 or None; done once that is on its disk.
    ``failed(error)``: what was written since the last ``kept()`` is lost. ``alone``: as of ``disk.synced``."""

    def __init__(
        self, path: Path, ring: Callable[[int | None], Awaitable[object]], failed: Callable[[BaseException], None],
        name: str | None = None, alone: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self.path, self._ring, self._failed, self._name, self._alone = path, ring, failed, name, alone
        self.guard = Guard()
        self.page_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._sqlite: apsw.Connection | None = None
        self._version: Any = None  # SQLite's data_version while nobody else has written
        self._log = Log(path)
        self._open = self._scheduled = self._closed = False
        self._depth = 0  # of savepoints
        self._rounds: asyncio.Task[None] | None = None
        self._next = self._current = self._loop.create_future()
        self.alarm: int | None = None  # as it is in the file and the open transaction
        self._rung: int | None = None  # as the clock has it
        self.alarms_set = 0  # how often
        self._back: asyncio.Future[bool] | None = None

    @property
    def exists(self) -> bool:
        """Whether something was ever kept. A look at what was not makes no file."""
        return self._sqlite is not None or self.path.exists()

    @property
    def sqlite(self) -> apsw.Connection:
        """Opened when it is first needed. Raises apsw.Error, OSError."""
        if self._sqlite is None:
            self._sqlite = self._opened()
        return self._sqlite

    def open(self) -> None:
        """Have ``alarm`` be true. Raises apsw.Error, OSError."""
        _ = self.sqlite

    # Statements of ours

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Its rows."""
        sqlite, guard = self.sqlite, self.guard
        guard.trusted = True
        try:
            return sqlite.execute(sql + _OURS, values).fetchall()
        except apsw.Error as error:
            self.check_open(error)
            raise
        finally:
            guard.trusted = False

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """How many rows it has changed."""
        self.begin()
        self.run(sql, values)
        return self.sqlite.changes()

    # The transaction

    def begin(self) -> None:
        """Before anything is written. Raises Stale."""
        if self._open:
            return
        if self._closed:
            raise Stale
        self.run("BEGIN IMMEDIATE")
        if self.run("PRAGMA data_version") != self._version:
            self.run("ROLLBACK")
            error = Stale()
            self._failed(error)
            raise error
        self._open = True
        self._schedule()

    def check_open(self, error: apsw.Error) -> None:
        """After this failure of SQLite's: it may have undone the transaction, which others have written in as well."""
        if self._open and self._sqlite is not None and not self._sqlite.in_transaction:
            self._fail(Undone(f"SQLite has undone the transaction: {error}"))

    def savepoint(self) -> None:
        self.begin()
        self._depth += 1
        self.run(f"SAVEPOINT own_{self._depth}")

    def release(self, *, undo: bool) -> None:
        """The innermost savepoint ends."""
        name, self._depth = f"own_{self._depth}", self._depth - 1
        if not self._open or not self.sqlite.in_transaction:
            return  # all of it was undone
        if undo:
            self.run(f"ROLLBACK TO {name}")
            self.alarm = self._read_alarm()
        self.run(f"RELEASE {name}")
        self._schedule()

    def set_alarm(self, due: int | None) -> None:
        if due is None:
            self.write("DELETE FROM _cf_METADATA WHERE key = ?", (ALARM,))
        else:
            self.write("INSERT OR REPLACE INTO _cf_METADATA VALUES (?, ?)", (ALARM, due))
        self.alarm = due
        self.alarms_set += 1

    def _ring_again(self) -> None:
        """The clock knows nothing of an alarm that has come back."""
        self._rung = None
        if self.alarm is not None:
            self.set_alarm(self.alarm)

    # Going back

    def going_back(self) -> Awaitable[object] | None:
        """Before anything else of the object: done once it has what it was to go back to. None: that is so."""
        if self._back is None and self._sqlite is None and bookmarks.are_kept(self.path):
            self._back = self._loop.run_in_executor(disk.pool, bookmarks.gone_back, self.path)
        return None if self._back is None or self._back.done() else asyncio.wait([self._back])

    def _has_gone_back(self) -> bool:
        back = self._back
        return back is not None and back.done() and back.exception() is None and back.result()

    @property
    def in_transaction(self) -> bool:
        """One of the worker's own."""
        return self._depth > 0

    # When it is on the disk

    def kept(self) -> Awaitable[None] | None:
        """Done once everything that was written so far is on the disk; None: it is."""
        if self._open:
            return asyncio.shield(self._next)
        return asyncio.shield(self._current) if self._rounds is not None else None

    def keep(self) -> Awaitable[None] | None:
        """The same for an event that has ended: what it has written is brought there at once, where that is quick."""
        bare = self._open and not self._depth and self._rounds is None and self.alarm == self._rung
        if bare and self._log.is_quick and self._alone():
            _nobody.run(self._keep_at_once)
        return self.kept()

    def _keep_at_once(self) -> None:
        try:
            done = self._commit()
            self._log.sync()
            done.set_result(None)
        except BaseException as error:
            self._fail(error)

    def _schedule(self) -> None:
        if not self._scheduled and self._rounds is None:
            self._scheduled = True
            self._loop.call_soon(self._begin_rounds, context=_nobody)

    def _begin_rounds(self) -> None:
        self._scheduled = False
        if self._rounds is None and self._open and not self._depth:
            self._rounds = self._loop.create_task(self._go_round(), context=contextvars.Context())

    async def _go_round(self) -> None:
        try:
            while self._open and not self._depth:
                if self.alarm is not None and (self._rung is None or self.alarm < self._rung):
                    due = self.alarm
                    await self._ring(due)
                    self._rung = due
                else:
                    await self._round()
        except BaseException as error:
            self._fail(error)
        finally:
            self._rounds = None
            if self._open:
                self._schedule()

    async def _round(self) -> None:
        due, done = self.alarm, self._commit()
        await disk.synced(self._log, self._alone)
        if due != self._rung:
            await self._ring(due)
            self._rung = due
        done.set_result(None)

    def _commit(self) -> asyncio.Future[None]:
        """What is to be done once that is on the disk."""
        self._current, self._next = self._next, self._loop.create_future()
        self._log.make_room()
        self.run("COMMIT")
        self._open = False
        return self._current

    def _fail(self, error: BaseException) -> None:
        for future in (self._current, self._next):
            if not future.done():
                future.set_exception(error)
                future.exception()  # whether or not somebody waits
        self._open, self._closed = False, True
        self._failed(error)

    # From beginning to end

    def _opened(self) -> apsw.Connection:
        if self._closed:
            raise Stale
        sqlite = apsw.Connection(str(self.path))
        try:
            self.guard.trusted = True
            settle(sqlite)
            went_back = self._has_gone_back() or bookmarks.go_back(self.path, sqlite)
            bring_up_to_date(sqlite, self._name)
            self._version = sqlite.execute("PRAGMA data_version" + _OURS).fetchall()
            self.page_bytes = self._log.page_bytes = shut_in(sqlite, self.guard, _LIMITS)
            sqlite.set_wal_hook(self._log.logged)
        except BaseException:
            sqlite.close(True)
            raise
        finally:
            self.guard.trusted = False
        self._sqlite = sqlite
        self.alarm = self._rung = self._read_alarm()
        if went_back:
            self._ring_again()
        return sqlite

    def _read_alarm(self) -> int | None:
        rows = self.run("SELECT value FROM _cf_METADATA WHERE key = ?", (ALARM,))
        return int(rows[0][0]) if rows else None

    def undo(self) -> None:
        """What is not committed is forgotten, and nothing more is written."""
        self._closed, self._depth = True, 0
        if self._sqlite is not None and self._sqlite.in_transaction:
            self.run("ROLLBACK")
        self._open = False
        if not self._next.done():
            self._next.cancel()

    async def aclose(self) -> None:
        """What was committed is on the disk, and the file closed."""
        while (waits := self.kept()) is not None:
            with suppress(Exception, asyncio.CancelledError):
                await waits
            if self._closed:
                break
        self._closed = True
        if self._rounds is not None:
            await asyncio.wait([self._rounds])
        sqlite, self._sqlite = self._sqlite, None
        if sqlite is not None:
            await self._loop.run_in_executor(disk.pool, sqlite.close, True)
        self._log.close()


__all__ = ["ObjectFile"]
