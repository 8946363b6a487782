"""One bucket on disk: a row per object, and a file for the content of each that is too large for one.

What is read stays whole while it is read, whoever replaces it: content never changes, and an open file outlives its
name.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bindings.r2 import errors, rows
from bindings.r2.limits import MAX_PUT_BYTES
from bindings.r2.model import R2Metadata, StoredObject
from bindings.r2.options.checksums import Digest
from bindings.r2.options.conditions import Condition
from bindings.r2.uploads import Uploads
from bindings.sqlite import Database, StoreError
from bindings.storage.blobs import Blobs, OpenBlob
from bindings.storage.resources import About

ROW_BYTES = 64 * 1024  # of content; a larger one is a file


class Content(NamedTuple):
    """What is put: here, or in a file that is on disk and named by no row yet."""

    size: int
    digests: dict[str, str]
    here: bytes | None = None
    blob: str | None = None


class Found(NamedTuple):
    """``file`` is open where the content is in one."""

    stored: StoredObject
    file: OpenBlob | None


class Bucket:
    """``folder`` is the bucket's own."""

    def __init__(self, folder: Path, about: About) -> None:
        self.about = about
        self._database = Database(folder / "r2.sqlite", rows.STEPS, durable=True)
        self.blobs = Blobs(folder / "blobs")
        self.uploads = Uploads(self._database, self.blobs)
        self._swept = False

    async def aclose(self) -> None:
        await self._database.aclose()

    async def head(self, key: str) -> StoredObject | None:
        return await self._database.read(lambda connection: rows.find(connection, key))

    async def get(self, key: str) -> Found | None:
        """Whoever gets a file closes it. Raises StoreError."""
        return await self._database.read(lambda connection: self._found(connection, key))

    async def put(
        self, key: str, content: bytes | AsyncIterator[bytes], metadata: R2Metadata, digest: Digest,
        condition: Condition | None = None,
    ) -> StoredObject | None:  # fmt: skip
        """Once it is on disk; None where the condition does not hold. Raises R2Error, StoreError, OSError, and what the
        stream raises; then what was there stays."""
        await self._sweep()
        if condition is not None and not condition.holds(await self.head(key)):
            return None
        kept = await self._kept(content, digest)
        return await self.place(key, kept, metadata, kept.digests["md5"], kept.digests, condition)

    async def place(
        self, key: str, content: Content, metadata: R2Metadata, etag: str, checksums: dict[str, str],
        condition: Condition | None = None,
    ) -> StoredObject | None:  # fmt: skip
        """The content becomes the object of that key, unless the condition has ceased to hold."""
        stored = StoredObject(
            key, secrets.token_hex(16), content.size, etag, int(time.time() * 1000), metadata, checksums, content.here,
            content.blob,
        )  # fmt: skip
        try:
            placed, old = await self._database.do(lambda connection: _place(connection, stored, condition))
        except StoreError:
            await self._forget(content.blob)
            raise
        await self._forget(old if placed else content.blob)
        return stored if placed else None

    async def delete(self, keys: Sequence[str]) -> None:
        """Whether they are there or not."""
        await self._forget(*await self._database.do(lambda connection: [rows.delete(connection, key) for key in keys]))

    async def list(self, page: rows.Page) -> rows.Listing:
        return await self._database.read(lambda connection: rows.listed(connection, page))

    async def usage(self) -> tuple[int, int]:
        """(objects, bytes)."""
        return await self._database.read(rows.usage)

    async def _kept(self, content: bytes | AsyncIterator[bytes], digest: Digest) -> Content:
        """On disk, if it is for a file."""
        if isinstance(content, bytes) and len(content) <= ROW_BYTES:
            digest.update(content)
            return Content(len(content), digest.check(), here=content)
        chunks = _once(content) if isinstance(content, bytes) else content
        blob, size = await self.blobs.write(limited(chunks, MAX_PUT_BYTES), digest.update)
        try:
            return Content(size, digest.check(), blob=blob)
        except BaseException:
            await self._forget(blob)
            raise

    def _found(self, connection: sqlite3.Connection, key: str) -> Found | None:
        for _ in range(3):
            if (stored := rows.find(connection, key)) is None:
                return None
            if stored.blob is None:
                return Found(stored, None)
            with suppress(FileNotFoundError):  # another process has put another object in its place just now
                return Found(stored, self.blobs.open(stored.blob))
        raise sqlite3.DatabaseError(f"the file of {key!r:.100} is gone")

    async def _forget(self, *blobs: str | None) -> None:
        for blob in filter(None, blobs):
            await asyncio.to_thread(self.blobs.remove, blob)

    async def _sweep(self) -> None:
        """Once: what a crash has left."""
        if not self._swept:
            self._swept = True
            named = await self._database.read(rows.named_blobs)
            await asyncio.to_thread(self.blobs.sweep, named)


def _place(
    connection: sqlite3.Connection, stored: StoredObject, condition: Condition | None
) -> tuple[bool, str | None]:
    """Whether it was placed, and the file of what it replaces."""
    before = rows.find(connection, stored.key)
    if condition is not None and not condition.holds(before):
        return False, None
    rows.put(connection, stored)
    return True, before.blob if before else None


async def limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Raises R2Error beyond ``limit`` bytes."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise errors.too_large()
        yield chunk


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


__all__ = ["Bucket", "Content", "Found"]
