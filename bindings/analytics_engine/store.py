"""One dataset on disk: a row per point, the oldest ones dropped when there are too many bytes."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from bindings.analytics_engine.points import BLOBS, DOUBLES, Point
from bindings.sqlite import Database, trim
from bindings.storage.resources import About

FILE = "points.sqlite"
MAX_BYTES = 256 * 1024 * 1024
_TRIM_EVERY = 10_000  # points


class Dataset:
    """``folder`` is the dataset's own."""

    def __init__(self, folder: Path, about: About) -> None:
        self.about = about
        self._table = '"' + about.id.replace('"', '""') + '"'
        self._database = Database(folder / FILE, [schema(self._table)])
        self._written = 0

    def write(self, points: Sequence[Point]) -> asyncio.Future[None]:
        """Those that wait are written together."""
        now = int(time.time())
        return self._database.do(lambda connection: self._insert(connection, now, points))

    async def aclose(self) -> None:
        await self._database.aclose()

    def _insert(self, connection: sqlite3.Connection, now: int, points: Sequence[Point]) -> None:
        places = ", ".join("?" * (3 + BLOBS + DOUBLES))
        rows = [(now, 1, point.index1, *point.blobs, *point.doubles) for point in points]
        connection.executemany(f"INSERT INTO {self._table} VALUES ({places})", rows)
        self._written += len(rows)
        if self._written >= _TRIM_EVERY:
            self._written = 0
            trim(connection, self._table, MAX_BYTES)


def schema(table: str) -> str:
    blobs = ", ".join(f"blob{number} TEXT" for number in range(1, BLOBS + 1))
    doubles = ", ".join(f"double{number} REAL" for number in range(1, DOUBLES + 1))
    return f"CREATE TABLE {table} (timestamp INTEGER, _sample_interval INTEGER, index1 TEXT, {blobs}, {doubles})"


__all__ = ["FILE", "Dataset", "schema"]
