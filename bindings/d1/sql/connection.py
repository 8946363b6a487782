"""One SQLite connection, shut in: what it runs stays in its file, in its time and in its memory.

``run`` takes text with one or more statements, as D1's ``prepare`` does. SQLite itself says where one ends: its
callback before each statement closes the books of the one before.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from bindings.d1.sql import errors, limits
from bindings.storage.sql.counting import Counter
from bindings.storage.sql.errors import ONLY_THE_LAST, TOO_LONG
from bindings.storage.sql.guard import Guard
from bindings.storage.sql.limits import shut_in
from bindings.storage.wal import COMMITS_UNTIL_FULL_SIZE, WAL_BYTES, bring_to_full_size

Value = float | str | bytes | None
"""What is bound: D1 knows numbers as JavaScript does, and SQLite's affinity makes integers of them."""

OUTCOME_BYTES = 400  # of one statement's answer without its rows
ROWS32, ROWS32_BYTES = b"\xdd", 4  # msgpack: an array follows, and the number of its elements in four bytes
SETTINGS = ("journal_mode=WAL", "synchronous=FULL", f"journal_size_limit={WAL_BYTES}", "foreign_keys=ON")
encode = msgspec.msgpack.Encoder().encode


class NeedsWriter(Exception):
    """A connection that only reads was given what writes, or asks about the connection that does."""


class Outcome(NamedTuple):
    """What one statement came to. ``rows`` is a msgpack array of arrays, as it travels to the worker."""

    columns: list[str]
    rows: bytes
    duration_ms: float
    changes: int
    rows_read: int
    rows_written: int
    last_row_id: int  # of the connection


class Connection:
    """For one thread at a time. Raises D1Error where the file cannot be opened. ``quick``: one that only reads, for
    the supervisor's loop, which must not wait. It waits for no lock, and refuses what can be long in one step of
    SQLite's, where no clock is looked at: functions (``count(*)`` is one), pragmas, virtual tables, large values."""

    def __init__(self, path: Path, *, reads_only: bool = False, quick: bool = False) -> None:
        self._reads_only, self._quick = reads_only or quick, quick
        self._secret = f" -- {secrets.token_hex()}"
        self._deadline = self.patience_s = float("inf")  # no call has longer than the latter
        self._lock, self._runs = threading.Lock(), False
        self._room = self._commits = 0
        self._size = -1, 0  # SQLite's version of the data, and the bytes of that
        self._columns: list[str] | None = None  # of the statement that runs, once one does
        self._bound = False
        self._rows: list[bytes] = []
        self._outcomes: list[Outcome] = []
        self._started = 0.0
        self.guard = Guard(plain=quick)
        flags = apsw.SQLITE_OPEN_READONLY if self._reads_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        try:
            self.sqlite = apsw.Connection(str(path), flags=flags)
            self._shut_in()
        except apsw.Error as error:
            raise errors.explained(error) from None
        self._counter = Counter(self.sqlite, self.guard)

    def _shut_in(self) -> None:
        sqlite = self.sqlite
        sqlite.set_busy_timeout(limits.BUSY_MS)
        for setting in SETTINGS if not self._reads_only else ("query_only=ON",):
            sqlite.execute(f"PRAGMA {setting}", can_cache=False)
        self._page = shut_in(sqlite, self.guard)  # bytes
        if self._quick:
            sqlite.drop_modules([])
            sqlite.limit(apsw.SQLITE_LIMIT_LENGTH, limits.QUICK_LENGTH_BYTES)
            sqlite.set_busy_timeout(0)
        sqlite.set_progress_handler(self._must_stop, limits.STEPS)

    # Whole calls

    def allow(self, seconds: float) -> None:
        """Before a call: the time it has, and the room for its rows, all its statements together."""
        self._deadline = time.monotonic() + min(seconds, self.patience_s)
        self._room = limits.RESULT_BYTES

    def look_at_clock(self) -> None:
        """From another thread, now and then: one step of SQLite's may take longer than a call has."""
        with self._lock:
            if self._runs and time.monotonic() > self._deadline:
                self.sqlite.interrupt()

    def run(self, sql: str, values: Sequence[Value] = ()) -> list[Outcome]:
        """One outcome per statement. Raises ``D1Error``; ``NeedsWriter`` from a connection that only reads."""
        self._columns, self._outcomes, self._rows = None, [], []
        self.guard.reset()
        most = self.sqlite.limit(apsw.SQLITE_LIMIT_SQL_LENGTH)
        if len(sql) * 4 > most < len(sql.encode()):
            raise errors.D1Error(TOO_LONG)
        cursor = self.sqlite.cursor()
        self._runs = True
        cursor.exec_trace = self._begins
        try:
            for row in cursor.execute(sql, values):
                self._keep(encode(row))
        except apsw.ReadOnlyError:  # PRAGMA optimize: to SQLite it reads, until there is something to do
            raise NeedsWriter from None
        except apsw.Error as error:
            raise errors.explained(error, self.guard.refusal) from None
        except UnicodeDecodeError:
            raise errors.D1Error("the result has text that is not UTF-8: select hex(column) instead") from None
        finally:
            cursor.close(True)
            with self._lock:  # or the interrupt might hit the next statement
                self._runs = False
        self._ends()
        if self._reads_only and self.guard.about_connection:
            raise NeedsWriter
        return self._outcomes

    def begin(self, kind: str) -> None:
        if self._commits == COMMITS_UNTIL_FULL_SIZE:
            self._lengthen_log()
        self.own(f"BEGIN {kind}")

    def commit(self) -> None:
        self.own("COMMIT")
        self._commits += 1

    def _lengthen_log(self) -> None:
        self._commits += 1
        with suppress(errors.D1Error, OSError):  # it serves speed alone
            bring_to_full_size(Path(self.sqlite.filename), self.own)
        self.rollback()

    def rollback(self) -> None:
        if self.sqlite.in_transaction:  # SQLite may have rolled back by itself
            self.own("ROLLBACK")

    def own(self, sql: str) -> list[tuple[apsw.SQLiteValue, ...]]:
        """A statement of ours. It stays prepared, and allowed, under a text that no worker's can be."""
        self.guard.trusted = True
        try:
            return self.sqlite.execute(sql + self._secret).fetchall()
        except apsw.Error as error:
            raise errors.explained(error) from None
        finally:
            self.guard.trusted = False

    def own_rows(self, sql: str) -> Iterator[tuple[apsw.SQLiteValue, ...]]:
        """The same, row by row; nothing else may run on the connection meanwhile."""
        with self.guard.trusting():
            yield from self.sqlite.execute(sql, can_cache=False)

    def size(self) -> int:
        """Bytes of the database."""
        if self._reads_only and self._size[0] == self.sqlite.data_version():
            return self._size[1]
        [[pages]] = self.own("PRAGMA page_count")
        self._size = self.sqlite.data_version(), int(str(pages)) * self._page
        return self._size[1]

    def close(self) -> None:
        self.sqlite.close(True)

    # While statements run

    def _begins(self, cursor: apsw.Cursor, sql: str, values: object) -> bool:
        if not cursor.has_vdbe:  # a comment, or nothing
            return True
        if self._columns is not None:
            if self._bound:
                raise errors.D1Error(ONLY_THE_LAST)
            self._ends()
        if self._reads_only and not cursor.is_readonly:
            raise NeedsWriter
        self._columns, self._bound = [column[0] for column in cursor.get_description()], bool(values)
        self._take(OUTCOME_BYTES + len("".join(self._columns).encode()))
        self._started = time.perf_counter()
        self._counter.start(sql)
        return True

    def _keep(self, row: bytes) -> None:
        self._take(len(row))
        self._rows.append(row)

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise errors.D1Error(errors.TOO_MUCH)

    def _ends(self) -> None:
        if self._columns is None:
            return
        rows = b"".join((ROWS32, len(self._rows).to_bytes(ROWS32_BYTES, "big"), *self._rows))
        counted = self._counter.stop(len(self._rows))
        taken = (time.perf_counter() - self._started) * 1000
        self._outcomes.append(Outcome(self._columns, rows, taken, *counted, self.sqlite.last_insert_rowid()))
        self._rows = []

    def _must_stop(self) -> bool:
        if self.guard.trusted:
            return False
        if time.monotonic() > self._deadline:
            return True
        spilled, _ = self.sqlite.status(apsw.SQLITE_DBSTATUS_TEMPBUF_SPILL)
        return spilled > limits.SPILL_BYTES


__all__ = ["Connection", "NeedsWriter", "Outcome", "Value"]
