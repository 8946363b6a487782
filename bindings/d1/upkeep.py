"""What is done to a database as a whole: SQL text of any length, its dump, its snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import apsw

from bindings.d1.database import Database
from bindings.d1.dump import DumpOptions, dump_to
from bindings.d1.snapshots import Snapshots
from bindings.d1.sql import errors
from bindings.d1.sql.connection import Connection, Outcome
from bindings.d1.sql.script import statements
from bindings.storage.sql.limits import LENGTH_BYTES, SQL_BYTES

CHUNK_CHARS = 1024 * 1024  # of a file that are read at a time
SCRIPT_SQL_BYTES = 5 * LENGTH_BYTES  # of one statement: a dump writes a blob as twice its bytes, and rows whole


class Totals(NamedTuple):
    """Of all statements of a script."""

    queries: int
    duration_ms: float
    changes: int
    rows_read: int
    rows_written: int
    last_row_id: int
    size: int  # bytes of the database


async def run_script(database: Database, sql: Path | str) -> Totals:
    """A text, or the file with it, in one transaction; the time limit is each statement's.

    Raises D1Error: then nothing was done. A file may be larger than memory.
    """

    def work(writer: Connection) -> Totals:
        writer.sqlite.limit(apsw.SQLITE_LIMIT_SQL_LENGTH, SCRIPT_SQL_BYTES)
        try:
            return _transact(writer, statements(_chunks(sql)), database.query_s)
        finally:
            writer.sqlite.limit(apsw.SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES)

    totals = await database.write(work, alone=True)
    database.written(totals.last_row_id)
    return totals


async def export(database: Database, path: Path, options: DumpOptions) -> None:
    """Raises D1Error, OSError."""
    await database.read(lambda reader: dump_to(path, reader, options))


async def snapshot(database: Database, moment: datetime | None = None) -> str:
    """The bookmark of a new copy, or of the newest one that is not younger than ``moment``. Raises D1Error."""
    kept = Snapshots(database.folder, database.mark)
    if moment is not None:
        return await database.read(lambda reader: kept.at(moment))
    return await database.read(kept.take)


async def restore(database: Database, bookmark: str) -> str:
    """Make it what it was; the bookmark of what it has been until now. Raises D1Error."""
    kept = Snapshots(database.folder, database.mark)
    kept.find(bookmark)
    before = await snapshot(database)
    await database.write(lambda writer: kept.restore(writer, bookmark), alone=True)
    database.written(0)
    return before


def _chunks(sql: Path | str) -> Iterator[str]:
    if isinstance(sql, str):
        yield sql
        return
    try:
        with open(sql, encoding="utf-8-sig", newline="") as file:
            while chunk := file.read(CHUNK_CHARS):
                yield chunk
    except UnicodeDecodeError as error:
        raise errors.D1Error(f"the file is not UTF-8: {error}") from None
    except OSError as error:
        raise errors.D1Error(f"the file cannot be read: {error.strerror}") from None


def _transact(writer: Connection, pieces: Iterable[str], seconds: float) -> Totals:
    totals = Totals(0, 0, 0, 0, 0, 0, 0)
    writer.begin("IMMEDIATE")
    try:
        for piece in pieces:
            writer.allow(seconds)
            for outcome in writer.run(piece):
                totals = _added(totals, outcome)
        if not totals.queries:
            raise errors.D1Error(errors.NO_STATEMENTS)
        writer.commit()
    finally:
        writer.rollback()
    return totals._replace(size=writer.size())


def _added(totals: Totals, outcome: Outcome) -> Totals:
    return Totals(
        totals.queries + 1,
        totals.duration_ms + outcome.duration_ms,
        totals.changes + outcome.changes,
        totals.rows_read + outcome.rows_read,
        totals.rows_written + outcome.rows_written,
        outcome.last_row_id,
        0,
    )


__all__ = ["Totals", "export", "restore", "run_script", "snapshot"]
