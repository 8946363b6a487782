"""The batch queue's SQLite file: batches, their requests, and what came of each.

A request waits (0), runs (1) or has ended (2). One that ran when its supervisor ended waits again. Ended
batches are kept for ``RETENTION_S`` seconds, or until their room is needed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bindings.sqlite import Database, used

RETENTION_S = 24 * 3600.0
MAX_FILE_BYTES = 512 << 20  # of the whole file: requests that wait and answers that nobody has fetched

SCHEMA = [
    """
    CREATE TABLE batch (
      id TEXT PRIMARY KEY, model TEXT NOT NULL, options BLOB NOT NULL, created REAL NOT NULL, started REAL, ended REAL
    );
    CREATE TABLE request (
      seq INTEGER PRIMARY KEY, batch TEXT NOT NULL REFERENCES batch ON DELETE CASCADE, number INTEGER NOT NULL,
      state INTEGER NOT NULL, inputs BLOB, outcome BLOB, prompt_tokens INTEGER, tokens INTEGER
    );
    CREATE INDEX waiting ON request (seq) WHERE state = 0;
    CREATE INDEX unended ON request (batch) WHERE state < 2;
    CREATE INDEX of_batch ON request (batch, number)
    """
]

_Row = tuple[int, str, int, str, bytes, bytes]  # seq, batch, number, model, options, inputs
_encode, _decode = msgspec.json.encode, msgspec.json.decode  # msgpack has no numbers beyond 64 bits


class QueueFull(Exception):
    """More waits than there is room for."""


class QueuedRequest(msgspec.Struct, frozen=True):
    """One request of a batch, which is to be run now."""

    seq: int
    batch: str
    number: int
    model: str
    options: dict[str, Any]
    inputs: dict[str, Any]


class Outcome(msgspec.Struct, frozen=True):
    """What came of it: an entry of ``responses``, and the tokens it took."""

    entry: dict[str, Any]
    prompt_tokens: int = 0
    tokens: int = 0


class Progress(msgspec.Struct, frozen=True):
    """``outcomes`` once all have ended."""

    status: str
    outcomes: Sequence[dict[str, Any]] = ()
    prompt_tokens: int = 0
    tokens: int = 0


class BatchStore:
    """Each method is one transaction; all raise StoreError when the file cannot be used."""

    def __init__(self, file: Path, limit: int = MAX_FILE_BYTES) -> None:
        self._database, self._limit = Database(file, SCHEMA), limit
        self.aclose = self._database.aclose

    @property
    def exists(self) -> bool:
        return self._database.path.exists()

    async def add(self, id: str, model: str, options: Mapping[str, Any], requests: Sequence[Any]) -> None:
        """Raises QueueFull."""
        rows = [(id, number, _encode(inputs)) for number, inputs in enumerate(requests)]

        def work(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO batch VALUES (?, ?, ?, ?, NULL, NULL)", (id, model, _encode(options), time.time()))
            db.executemany("INSERT INTO request (batch, number, state, inputs) VALUES (?, ?, 0, ?)", rows)
            self._make_room(db)

        await self._database.do(work)

    async def next(self) -> QueuedRequest | None:
        """The request that has waited longest, which runs from here on."""

        def work(db: sqlite3.Connection) -> _Row | None:
            row: _Row | None = db.execute(
                "SELECT seq, batch, number, model, options, inputs FROM request JOIN batch ON batch.id = batch"
                " WHERE state = 0 ORDER BY seq LIMIT 1"
            ).fetchone()
            if row is not None:
                db.execute("UPDATE request SET state = 1 WHERE seq = ?", row[:1])
                db.execute("UPDATE batch SET started = ? WHERE id = ? AND started IS NULL", (time.time(), row[1]))
            return row

        row = await self._database.do(work)
        if row is None:
            return None
        seq, batch, number, model, options, inputs = row
        return QueuedRequest(seq, batch, number, model, _decode(options), _decode(inputs))

    async def end(self, request: QueuedRequest, outcome: Outcome) -> bool:
        """Write it down; the request itself is not needed any more. Whether it was its batch's last."""
        entry = _encode(outcome.entry)

        def work(db: sqlite3.Connection) -> bool:
            db.execute(
                "UPDATE request SET state = 2, inputs = NULL, outcome = ?, prompt_tokens = ?, tokens = ? WHERE seq = ?",
                (entry, outcome.prompt_tokens, outcome.tokens, request.seq),
            )
            over = db.execute(
                "UPDATE batch SET ended = ? WHERE id = ? AND NOT EXISTS"
                " (SELECT 1 FROM request WHERE batch = id AND state < 2)",
                (time.time(), request.batch),
            )
            return over.rowcount > 0

        return await self._database.do(work)

    async def progress(self, id: str, model: str) -> Progress | None:
        """How far the batch is; None when ``model`` has none of that id (any more)."""
        return await self._database.do(lambda db: _progress(db, id, model))

    async def resume(self) -> None:
        """What ran when the last supervisor ended has to be run again."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("UPDATE request SET state = 0 WHERE state = 1")
            db.execute("DELETE FROM batch WHERE ended < ?", (time.time() - RETENTION_S,))

        await self._database.do(work)

    def _make_room(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM batch WHERE ended < ?", (time.time() - RETENTION_S,))
        oldest = "DELETE FROM batch WHERE id = (SELECT id FROM batch WHERE ended NOTNULL ORDER BY ended LIMIT 1)"
        while used(db) > self._limit:
            if not db.execute(oldest).rowcount:
                raise QueueFull


def _progress(db: sqlite3.Connection, id: str, model: str) -> Progress | None:
    row = db.execute("SELECT started, ended FROM batch WHERE id = ? AND model = ?", (id, model)).fetchone()
    if row is None:
        return None
    started, ended = row
    if ended is None:
        return Progress("queued" if started is None else "running")
    rows = db.execute("SELECT outcome, prompt_tokens, tokens FROM request WHERE batch = ? ORDER BY number", (id,))
    outcomes, prompt_tokens, tokens = zip(*rows, strict=True)
    return Progress("completed", [_decode(outcome) for outcome in outcomes], sum(prompt_tokens), sum(tokens))


__all__ = ["BatchStore", "Outcome", "QueueFull", "QueuedRequest"]
