"""A queue on disk: a row per message, gone once it is dealt with.

``total`` has the number of rows and the bytes in them, and is changed with them: counting a million would take time.
A dead letter has ``moved``, and comes once: its queue of before may not have let go of it when the machine fell.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bindings.queues.shapes import QueueSettings, Refused
from bindings.sqlite import Database, used

FILE = "queue.sqlite"
STEPS = [
    """
    CREATE TABLE message (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        sent INTEGER NOT NULL,
        due INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        type TEXT NOT NULL,
        body BLOB NOT NULL,
        moved INTEGER NOT NULL
    );
    CREATE INDEX message_due ON message (due, seq);
    CREATE UNIQUE INDEX message_moved ON message (id) WHERE moved=1;
    CREATE TABLE total (messages INTEGER NOT NULL, bytes INTEGER NOT NULL);
    INSERT INTO total VALUES (0, 0);
    CREATE TABLE settings (json BLOB NOT NULL);
    """
]
_INTO = "INSERT INTO message (id, sent, due, failed, type, body, moved)"
_FIELDS = "seq, id, sent, due, failed, type, body"
_SWEPT = 500  # rows that are removed at once for being too old


class Message(NamedTuple):
    """``sent``, ``due``: ms since 1970. ``failed``: attempts so far. ``seq`` is 0 until it is kept."""

    seq: int
    id: str
    sent: int
    due: int
    failed: int
    type: str
    body: bytes


class Totals(NamedTuple):
    """``oldest``: when the oldest one was sent, ms since 1970; None: there is none."""

    messages: int
    bytes: int
    oldest: int | None


class Ready(NamedTuple):
    """``more``: there are others that are due. ``next_due``: when the first of the rest is, ms since 1970."""

    messages: list[Message]
    more: bool
    next_due: int | None


class QueueStore:
    """Every change is on disk once its future is done. They are made in the order in which they are asked for."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._database, self.max_bytes = Database(folder / FILE, STEPS, durable=True), max_bytes

    async def aclose(self) -> None:
        await self._database.aclose()

    def put(self, messages: Sequence[Message], moved: bool = False) -> asyncio.Future[tuple[Sequence[int], Totals]]:
        """Their numbers; of those ``moved`` here from another queue 0 for one that is here already. Raises Refused when
        the queue is full, StoreError."""

        def work(connection: sqlite3.Connection) -> tuple[Sequence[int], Totals]:
            if used(connection) > self.max_bytes:
                raise Refused(f"the queue is full: it keeps {self.max_bytes} bytes ([pilot] queue_size)")
            return (_move_in if moved else _insert)(connection, messages), _totals(connection)

        return self._database.do(work)

    def remove(self, numbers: Collection[int]) -> asyncio.Future[int]:
        """How many there were."""
        return self._database.do(lambda connection: _delete(connection, numbers))

    def retry(self, messages: Iterable[Message]) -> asyncio.Future[None]:
        """Write down when they are due again, and after how many attempts."""
        rows = [(message.due, message.failed, message.seq) for message in messages]
        update = "UPDATE message SET due=?, failed=? WHERE seq=?"
        return self._database.do(lambda connection: _nothing(connection.executemany(update, rows)))

    def ready(self, now: int, held: Collection[int], most: int, most_bytes: int) -> asyncio.Future[Ready]:
        """Those that are due, in the order in which they became so, without the ``held`` ones."""
        return self._database.do(lambda connection: _ready(connection, now, held, most, most_bytes))

    def purge(self) -> asyncio.Future[int]:
        """Remove all of them. How many."""
        return self._database.do(_purge)

    def sweep(self, now: int) -> asyncio.Future[int]:
        """Remove some of those that are too old. How many; none: there are no more."""
        return self._database.do(lambda connection: _sweep(connection, now))

    def settings(self) -> asyncio.Future[QueueSettings]:
        return self._database.do(_settings)

    def change(self, settings: QueueSettings) -> asyncio.Future[None]:
        content = msgspec.json.encode(settings)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM settings")
            connection.execute("INSERT INTO settings VALUES (?)", [content])

        return self._database.do(work)

    def version(self) -> asyncio.Future[int]:
        """Another number whenever another process has written."""
        return self._database.do(lambda connection: int(connection.execute("PRAGMA data_version").fetchone()[0]))

    async def totals(self) -> Totals:
        return await self._database.read(_totals)

    async def delayed(self, now: int) -> int:
        """How many are not due yet."""
        sql = "SELECT count(*) FROM message WHERE due > ?"
        return await self._database.read(lambda connection: int(connection.execute(sql, [now]).fetchone()[0]))

    async def peek(self, most: int) -> list[Message]:
        """The oldest ones."""
        query = f"SELECT {_FIELDS} FROM message ORDER BY seq LIMIT ?"
        return await self._database.read(
            lambda connection: [Message(*row) for row in connection.execute(query, [most])]
        )


def _insert(connection: sqlite3.Connection, messages: Sequence[Message]) -> Sequence[int]:
    rows = [message[1:] for message in messages]
    connection.executemany(f"{_INTO} VALUES (?, ?, ?, ?, ?, ?, 0)", rows)
    _count(connection, len(rows), sum(len(message.body) for message in messages))
    last = int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])
    return range(last + 1 - len(rows), last + 1)  # AUTOINCREMENT, in one transaction


def _move_in(connection: sqlite3.Connection, messages: Sequence[Message]) -> Sequence[int]:
    numbers, added = list[int](), 0
    for message in messages:
        done = connection.execute(f"{_INTO} VALUES (?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO NOTHING", message[1:])
        numbers.append(done.lastrowid or 0 if done.rowcount else 0)
        added += len(message.body) if done.rowcount else 0
    _count(connection, sum(map(bool, numbers)), added)
    return numbers


def _delete(connection: sqlite3.Connection, numbers: Collection[int]) -> int:
    which = "seq IN (SELECT value FROM json_each(?))"
    sizes = connection.execute(f"DELETE FROM message WHERE {which} RETURNING length(body)", [str(list(numbers))])
    found = [size for (size,) in sizes.fetchall()]
    _count(connection, -len(found), -sum(found))
    return len(found)


def _count(connection: sqlite3.Connection, messages: int, size: int) -> None:
    connection.execute("UPDATE total SET messages=messages+?, bytes=bytes+?", [messages, size])


def _ready(connection: sqlite3.Connection, now: int, held: Collection[int], most: int, most_bytes: int) -> Ready:
    found, size = list[Message](), 0
    for row in connection.execute(f"SELECT {_FIELDS} FROM message WHERE due<=? ORDER BY due, seq", [now]):
        if row[0] in held:
            continue
        if len(found) >= most or size >= most_bytes:
            return Ready(found, True, None)
        found.append(Message(*row))
        size += len(found[-1].body)
    later = connection.execute("SELECT min(due) FROM message WHERE due>?", [now]).fetchone()[0]
    return Ready(found, False, later)


def _purge(connection: sqlite3.Connection) -> int:
    count = connection.execute("SELECT messages FROM total").fetchone()[0]
    connection.execute("DELETE FROM message")
    connection.execute("UPDATE total SET messages=0, bytes=0")
    return int(count)


def _sweep(connection: sqlite3.Connection, now: int) -> int:
    oldest = now - 1000 * _settings(connection).message_retention_period
    rows = connection.execute("SELECT seq FROM message WHERE sent<? ORDER BY seq LIMIT ?", [oldest, _SWEPT])
    return _delete(connection, [number for (number,) in rows.fetchall()])


def _settings(connection: sqlite3.Connection) -> QueueSettings:
    row = connection.execute("SELECT json FROM settings").fetchone()
    return QueueSettings() if row is None else msgspec.json.decode(row[0], type=QueueSettings)


def _totals(connection: sqlite3.Connection) -> Totals:
    messages, size = connection.execute("SELECT messages, bytes FROM total").fetchone()
    oldest = connection.execute("SELECT sent FROM message ORDER BY seq LIMIT 1").fetchone()
    return Totals(messages, size, oldest and oldest[0])


def _nothing(done: object) -> None:
    """What SQLite answers is of no account."""


__all__ = ["FILE", "STEPS", "Message", "QueueStore", "Ready", "Totals"]
