"""One namespace on disk: a row per key, and a file for each value that is too large for one.

Keys lie in the order of their UTF-8 bytes. An entry that has expired is not seen from that second on, and swept later.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bindings.kv.checks import check_value
from bindings.sqlite import Database, StoreError
from bindings.storage import clock
from bindings.storage.blobs import Blobs, BlobStream, OpenBlob
from bindings.storage.resources import About

ROW_BYTES = 100 * 1024  # of a value; a larger one is a file
_SWEEP_S, _SWEPT = 60.0, 1000  # seconds between two sweeps; rows of one transaction
_Row = tuple[str, bytes | None, str | None, int | None, str | None]  # key, value, file, expiration, metadata

SCHEMA = (
    """CREATE TABLE entries (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value BLOB, blob TEXT,
       expiration INTEGER, metadata TEXT);
       CREATE INDEX expiring ON entries (expiration) WHERE expiration IS NOT NULL;
       CREATE INDEX files ON entries (blob) WHERE blob IS NOT NULL""",
)
_GET = "SELECT value, blob, metadata FROM entries WHERE key = ? AND (expiration IS NULL OR expiration > ?)"
_PUT = """INSERT INTO entries (key, value, blob, expiration, metadata) VALUES (?, ?, ?, ?, ?)
          ON CONFLICT (key) DO UPDATE SET value = excluded.value, blob = excluded.blob,
          expiration = excluded.expiration, metadata = excluded.metadata"""
_FILES = "SELECT blob FROM entries WHERE blob IS NOT NULL"
_OLD_FILE = "SELECT blob FROM entries WHERE key = ? AND blob IS NOT NULL"
_PAGE = """SELECT key, expiration, metadata FROM entries WHERE key > ? AND key >= ?
           AND (expiration IS NULL OR expiration > ?) ORDER BY key"""
_EXPIRED = """DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE expiration <= ? LIMIT ?)
              RETURNING blob"""


class Found(NamedTuple):
    """A value, here or in a file that is open; ``metadata`` is JSON."""

    value: bytes | None
    file: OpenBlob | None
    metadata: str | None

    async def whole(self) -> bytes:
        return self.value or b"" if self.file is None else await asyncio.to_thread(self.file.whole)

    def stream(self) -> bytes | BlobStream:
        """To be read once."""
        return self.value or b"" if self.file is None else BlobStream(self.file)

    def close(self) -> None:
        """Unread."""
        if self.file is not None:
            self.file.close()


class Entry(NamedTuple):
    """What is to be written. ``metadata`` is JSON; ``expiration`` seconds since 1970."""

    key: str
    value: bytes
    expiration: int | None = None
    metadata: str | None = None


class Key(NamedTuple):
    """One of a list."""

    name: str
    expiration: int | None
    metadata: str | None


class Page(NamedTuple):
    keys: Sequence[Key]
    cursor: str | None  # None: there are no more


class KVStore:
    """``folder`` is the namespace's own."""

    def __init__(self, folder: Path, about: About) -> None:
        self.about = about
        self._database = Database(folder / "kv.sqlite", SCHEMA, durable=True)
        self._blobs = Blobs(folder / "blobs")
        self._sweeping: asyncio.Task[None] | None = None

    async def get(self, key: str) -> Found | None:
        """Raises StoreError."""
        found = await self._database.read(lambda connection: self._found(connection, key))
        self._keep_swept()
        return found

    async def put(self, key: str, value: bytes | AsyncIterator[bytes], expiration: int | None = None,
                  metadata: str | None = None) -> None:  # fmt: skip
        """Once it is on disk. Raises Refused for a stream that is too long, StoreError, and what the stream raises."""
        if not isinstance(value, bytes):
            value, name = await self._received(value)
        else:
            check_value(len(value))
            name = None if len(value) <= ROW_BYTES else await self._file(_once(value))
        await self._write([(key, None if name else value, name, expiration, metadata)])

    async def put_many(self, entries: Sequence[Entry]) -> None:
        """All of them, in one transaction."""
        files = [await self._file(_once(entry.value)) if len(entry.value) > ROW_BYTES else None for entry in entries]
        await self._write([
            (entry.key, None if name else entry.value, name, entry.expiration, entry.metadata)
            for entry, name in zip(entries, files, strict=True)
        ])  # fmt: skip

    async def delete(self, keys: Sequence[str]) -> None:
        """Whether they are there or not."""
        await self._forget(*await self._database.do(lambda connection: [_delete(connection, key) for key in keys]))

    async def list(self, prefix: str = "", limit: int = 1000, cursor: str = "") -> Page:
        """Keys in byte order. An unknown cursor leads to an empty page."""
        if (after := _after(cursor)) is None:
            return Page((), None)
        rows = await self._database.read(lambda connection: _page(connection, prefix, limit + 1, after))
        self._keep_swept()
        keys, more = rows[:limit], len(rows) > limit
        return Page(keys, base64.b64encode(keys[-1].name.encode()).decode() if more else None)

    async def aclose(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
        await self._database.aclose()

    def _found(self, connection: sqlite3.Connection, key: str) -> Found | None:
        for _ in range(3):
            rows = connection.execute(_GET, (key, clock.now())).fetchall()
            if not rows:
                return None
            value, name, metadata = rows[0]
            if name is None:
                return Found(value, None, metadata)
            try:
                return Found(None, self._blobs.open(name), metadata)
            except FileNotFoundError:  # another process has put another value in its place just now
                continue
        raise sqlite3.DatabaseError(f"the file of {key!r:.100} is gone")

    async def _write(self, rows: Sequence[_Row]) -> None:
        try:
            old = await self._database.do(lambda connection: [_put(connection, row) for row in rows])
        except StoreError:
            await self._forget(*(row[2] for row in rows))
            raise
        await self._forget(*old)
        self._keep_swept()

    async def _received(self, chunks: AsyncIterator[bytes]) -> tuple[bytes, str | None]:
        """A stream's content, or the name of the file that it is in."""
        begun, size = [], 0
        async for chunk in chunks:
            begun.append(chunk)
            size += len(chunk)
            if size > ROW_BYTES:
                return b"", await self._file(_limited(begun, chunks))
        return b"".join(begun), None

    async def _file(self, chunks: AsyncIterator[bytes]) -> str:
        name, _ = await self._blobs.write(chunks)
        return name

    async def _forget(self, *names: str | None) -> None:
        for name in names:
            if name is not None:
                await asyncio.to_thread(self._blobs.remove, name)

    def _keep_swept(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        """While it is open: what has expired goes, and once what a crash has left."""
        with suppress(StoreError):
            named = await self._database.do(lambda connection: connection.execute(_FILES).fetchall())
            await asyncio.to_thread(self._blobs.sweep, {name for (name,) in named})
        while True:
            with suppress(StoreError):  # whoever asks for something is told
                while await self._sweep_some() == _SWEPT:
                    pass
            await asyncio.sleep(_SWEEP_S)

    async def _sweep_some(self) -> int:
        swept = await self._database.do(lambda to: to.execute(_EXPIRED, (clock.now(), _SWEPT)).fetchall())
        await self._forget(*(name for (name,) in swept))
        return len(swept)


def _put(connection: sqlite3.Connection, row: _Row) -> str | None:
    """The file that the key's value was in."""
    old = connection.execute(_OLD_FILE, row[:1]).fetchone()
    connection.execute(_PUT, row)
    return old and str(old[0])


def _delete(connection: sqlite3.Connection, key: str) -> str | None:
    old = connection.execute("DELETE FROM entries WHERE key = ? RETURNING blob", (key,)).fetchall()
    return old[0][0] if old else None


def _page(connection: sqlite3.Connection, prefix: str, limit: int, after: str) -> list[Key]:
    keys: list[Key] = []
    for row in connection.execute(_PAGE, (after, prefix, clock.now())):
        if len(keys) == limit or not row[0].startswith(prefix):
            break
        keys.append(Key(*row))
    return keys


def _after(cursor: str) -> str | None:
    try:
        return base64.b64decode(cursor, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


async def _once(value: bytes) -> AsyncIterator[bytes]:
    yield value


async def _limited(begun: list[bytes], chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    for chunk in begun:
        size += len(chunk)
        yield chunk
    async for chunk in chunks:
        size += len(chunk)
        check_value(size)
        yield chunk


__all__ = ["Entry", "Found", "KVStore", "Key", "Page"]
