"""A worker's caches on disk: ``cache.sqlite`` beside the bodies that are too large for a row.

What is kept may be lost by a fall of the machine, and goes when it expires or when others need its place: what was not
asked for longest first.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

import msgspec

from bindings.messages import CallError
from bindings.sqlite import Database
from bindings.storage import clock
from bindings.storage.blobs import Blobs, OpenBlob
from bindings.storage.resources import About

ROW_BYTES = 64 * 1024  # a larger body is a file
MAX_BODY_BYTES = 512 * 1024 * 1024
_MAX_TOUCHED = 10_000  # entries of which it is remembered when they were asked for
_ENTRY_BYTES = 512  # that an entry takes beside its body and its headers
_SCHEMA = (
    """
    CREATE TABLE entry (cache TEXT NOT NULL, key TEXT NOT NULL, status INTEGER NOT NULL, headers BLOB NOT NULL,
                        body BLOB, blob TEXT, size INTEGER NOT NULL, stored REAL NOT NULL, expires REAL NOT NULL,
                        used REAL NOT NULL, weight INTEGER NOT NULL, PRIMARY KEY (cache, key)) WITHOUT ROWID;
    CREATE INDEX entry_used ON entry (used);
    CREATE INDEX entry_expires ON entry (expires)
    """,
)

Pairs = Sequence[tuple[bytes, bytes]]


class Entry(NamedTuple):
    """``stored`` is in seconds since 1970. The body is ``content``, or ``file``, which its holder closes."""

    status: int
    headers: list[tuple[bytes, bytes]]
    size: int
    stored: float
    content: bytes
    file: OpenBlob | None


class CacheStore:
    """``folder`` is the worker's own."""

    def __init__(self, folder: Path, about: About) -> None:
        self._database = Database(folder / "cache.sqlite", _SCHEMA)
        self._blobs = Blobs(folder / "blobs")
        self._swept = False  # of files that a crash has left
        self._touched: dict[tuple[str, str], float] = {}  # when what was last asked for, until the next change

    async def match(self, cache: str, key: str) -> Entry | None:
        """What is fresh. Raises StoreError."""
        now = clock.now()
        row = await self._database.read(lambda connection: connection.execute(
            "SELECT status, headers, size, stored, body, blob FROM entry WHERE cache=? AND key=? AND expires>?",
            (cache, key, now)).fetchone())  # fmt: skip
        if row is None:
            return None
        status, headers, size, stored, body, blob = row
        try:
            file = None if blob is None else self._blobs.open(blob)
        except FileNotFoundError:  # it has been replaced in this moment
            return None
        if len(self._touched) < _MAX_TOUCHED:
            self._touched[cache, key] = now
        return Entry(status, msgspec.msgpack.decode(headers, type=list[tuple[bytes, bytes]]), size, stored,
                     body or b"", file)  # fmt: skip

    async def put(
        self, cache: str, key: str, status: int, headers: Pairs, body: bytes | AsyncIterator[bytes], ttl: float,
        limit: int,
    ) -> None:  # fmt: skip
        """Keep it for ``ttl`` seconds, within ``limit`` bytes of everything. Raises StoreError, OSError, CallError."""
        if not self._swept:
            self._swept = True
            await self._sweep()
        content, blob, size = await self._received(body)
        packed, now = msgspec.msgpack.encode(list(headers)), clock.now()
        weight = size + len(packed) + len(key) + _ENTRY_BYTES
        row = (cache, key, status, packed, content, blob, size, now, now + ttl, now, weight)

        def write(connection: sqlite3.Connection) -> list[str]:
            self._write_touched(connection)
            gone = _delete(connection, "cache=? AND key=?", (cache, key)) + _delete(connection, "expires<=?", (now,))
            connection.execute(f"INSERT INTO entry VALUES ({', '.join('?' * len(row))})", row)
            return gone + _make_room(connection, limit)

        try:
            self._remove(await self._database.do(write))
        except BaseException:
            self._remove([blob] if blob else [])
            raise

    async def delete(self, cache: str, key: str) -> bool:
        """Whether there was something. Raises StoreError."""
        now = clock.now()

        def remove(connection: sqlite3.Connection) -> tuple[bool, list[str]]:
            query = "SELECT 1 FROM entry WHERE cache=? AND key=? AND expires>?"
            fresh = connection.execute(query, (cache, key, now)).fetchone() is not None
            return fresh, _delete(connection, "cache=? AND key=?", (cache, key))

        found, gone = await self._database.do(remove)
        self._remove(gone)
        return found

    async def aclose(self) -> None:
        await self._database.aclose()

    async def _received(self, body: bytes | AsyncIterator[bytes]) -> tuple[bytes | None, str | None, int]:
        """(the body for a row, or the name of its file, its bytes)."""
        if isinstance(body, bytes) and len(body) <= ROW_BYTES:
            return body, None, len(body)
        writer = await asyncio.to_thread(self._blobs.begin)
        try:
            async with aclosing(_chunks(body)) as chunks:
                async for chunk in chunks:
                    if writer.take(chunk):
                        await asyncio.to_thread(writer.flush)
                    if writer.size > MAX_BODY_BYTES:
                        raise CallError("Error", f"Cache put failed: 413, over {MAX_BODY_BYTES >> 20} MB")
            return None, await asyncio.to_thread(writer.finish), writer.size
        finally:
            await asyncio.to_thread(writer.abandon)

    async def _sweep(self) -> None:
        query = "SELECT blob FROM entry WHERE blob IS NOT NULL"
        named = await self._database.do(lambda connection: {blob for (blob,) in connection.execute(query)})
        await asyncio.to_thread(self._blobs.sweep, named)

    def _write_touched(self, connection: sqlite3.Connection) -> None:
        rows = [(used, *where) for where, used in self._touched.items()]
        self._touched.clear()
        connection.executemany("UPDATE entry SET used=? WHERE cache=? AND key=?", rows)

    def _remove(self, blobs: Sequence[str]) -> None:
        for name in blobs:
            self._blobs.remove(name)


async def _chunks(body: bytes | AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    if isinstance(body, bytes):
        yield body
        return
    async for chunk in body:
        yield chunk


def _delete(connection: sqlite3.Connection, where: str, values: Sequence[object]) -> list[str]:
    """The files that belong to nothing any more."""
    query = f"DELETE FROM entry WHERE {where} RETURNING blob"
    return [blob for (blob,) in connection.execute(query, values).fetchall() if blob is not None]


def _make_room(connection: sqlite3.Connection, limit: int) -> list[str]:
    [used] = connection.execute("SELECT coalesce(sum(weight), 0) FROM entry").fetchone()
    gone: list[str] = []
    while used > limit:
        oldest = connection.execute("SELECT cache, key, weight FROM entry ORDER BY used LIMIT 1").fetchone()
        gone += _delete(connection, "cache=? AND key=?", oldest[:2])
        used -= oldest[2]
    return gone


__all__ = ["MAX_BODY_BYTES", "CacheStore", "Entry"]
