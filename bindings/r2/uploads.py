"""Multipart uploads of one bucket: parts are files; ``complete`` makes one file of them, and one object of that."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec

from bindings.r2 import errors
from bindings.r2.model import R2Metadata
from bindings.r2.options.checksums import Digest
from bindings.sqlite import Database, StoreError
from bindings.storage.blobs import Blobs

ID_BYTES = 128  # an upload's id has 171 characters, as upstream's
MIN_PART_BYTES = 5 * 1024**2  # of all parts but the last one
MAX_PART_BYTES = 5 * 1024**3
_PARTS = "SELECT number, etag, md5, size, blob FROM parts WHERE upload = ?"
_PUT = "INSERT OR REPLACE INTO parts (upload, number, etag, md5, size, blob) VALUES (?, ?, ?, ?, ?, ?)"


class Part(NamedTuple):
    number: int
    etag: str
    md5: str
    size: int
    blob: str


class Chosen(NamedTuple):
    """An upload that is about to be complete: its parts in order."""

    metadata: R2Metadata
    parts: Sequence[Part]

    @property
    def etag(self) -> str:
        digests = b"".join(bytes.fromhex(part.md5) for part in self.parts)
        return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(self.parts)}"


class Uploads:
    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database, self._blobs = database, blobs

    async def create(self, key: str, metadata: R2Metadata) -> str:
        """Its id."""
        id = secrets.token_urlsafe(ID_BYTES)
        row = (id, key, int(time.time() * 1000), msgspec.json.encode(metadata))
        await self._database.do(lambda connection: connection.execute("INSERT INTO uploads VALUES (?, ?, ?, ?)", row))
        return id

    async def put_part(self, id: str, key: str, number: int, content: AsyncIterator[bytes]) -> str:
        """Its etag, once it is on disk; a part of that number is replaced. Raises R2Error, and as ``Bucket.put``."""
        await self._database.read(lambda connection: _upload(connection, id, key))
        digest = Digest()
        blob, size = await self._blobs.write(content, digest.update)
        part = Part(number, secrets.token_hex(16), digest.check()["md5"], size, blob)
        try:
            old = await self._database.do(lambda connection: _put_part(connection, id, key, part))
        except (StoreError, errors.R2Error):
            await self._forget([blob])
            raise
        await self._forget(old)
        return part.etag

    async def choose(self, id: str, key: str, named: Sequence[tuple[int, str]]) -> Chosen:
        """The parts (number, etag) that make the object. Raises R2Error."""
        return await self._database.read(lambda connection: _chosen(connection, id, key, named))

    def join(self, parts: Sequence[Part]) -> str:
        """One file of all of them, on disk. For a thread."""
        writer = self._blobs.begin()
        try:
            for part in parts:
                writer.append(self._blobs.folder / part.blob)
            return writer.finish()
        finally:
            writer.abandon()

    async def end(self, id: str) -> None:
        """Forget it, and its parts."""
        await self._forget(await self._database.do(lambda connection: _end(connection, id)))

    async def _forget(self, blobs: Sequence[str]) -> None:
        for blob in blobs:
            await asyncio.to_thread(self._blobs.remove, blob)


def _upload(connection: sqlite3.Connection, id: str, key: str) -> R2Metadata:
    row = connection.execute("SELECT metadata FROM uploads WHERE id = ? AND key = ?", (id, key)).fetchone()
    if row is None:
        raise errors.no_upload()
    return msgspec.json.decode(row[0], type=R2Metadata)


def _put_part(connection: sqlite3.Connection, id: str, key: str, part: Part) -> list[str]:
    """The file that it replaces."""
    _upload(connection, id, key)
    old = connection.execute("SELECT blob FROM parts WHERE upload = ? AND number = ?", (id, part.number)).fetchall()
    connection.execute(_PUT, (id, *part))
    return [blob for (blob,) in old]


def _chosen(connection: sqlite3.Connection, id: str, key: str, named: Sequence[tuple[int, str]]) -> Chosen:
    metadata = _upload(connection, id, key)
    there = {part.number: part for part in map(Part._make, connection.execute(_PARTS, (id,)))}
    if len({number for number, _ in named}) != len(named):
        raise errors.bad_parts()
    if any(number not in there or there[number].etag != etag for number, etag in named):
        raise errors.no_part()
    parts = [there[number] for number, _ in sorted(named)]
    if any(part.size < MIN_PART_BYTES for part in parts[:-1]):
        raise errors.small_part()
    if (parts and any(part.size != parts[0].size for part in parts[:-1])) or (parts and parts[-1].size > parts[0].size):
        raise errors.bad_parts()
    return Chosen(metadata, parts)


def _end(connection: sqlite3.Connection, id: str) -> list[str]:
    blobs = [blob for (blob,) in connection.execute("SELECT blob FROM parts WHERE upload = ?", (id,))]
    connection.execute("DELETE FROM uploads WHERE id = ?", (id,))
    return blobs


__all__ = ["MAX_PART_BYTES", "Chosen", "Part", "Uploads"]
