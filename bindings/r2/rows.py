"""The rows of a bucket's file: objects in the order of their keys' UTF-8 bytes, uploads and their parts."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from bindings.r2.model import R2Metadata, StoredObject

STEPS = (
    """CREATE TABLE objects (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, version TEXT NOT NULL,
       size INTEGER NOT NULL, etag TEXT NOT NULL, uploaded INTEGER NOT NULL, metadata BLOB NOT NULL,
       checksums BLOB NOT NULL, content BLOB, blob TEXT);
       CREATE INDEX files ON objects (blob) WHERE blob IS NOT NULL;
       CREATE TABLE uploads (id TEXT PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL, metadata BLOB NOT NULL);
       CREATE TABLE parts (upload TEXT NOT NULL REFERENCES uploads ON DELETE CASCADE, number INTEGER NOT NULL,
       etag TEXT NOT NULL, md5 TEXT NOT NULL, size INTEGER NOT NULL, blob TEXT NOT NULL,
       PRIMARY KEY (upload, number))""",
)
_COLUMNS = "key, version, size, etag, uploaded, metadata, checksums, content, blob"
_FIND = f"SELECT {_COLUMNS} FROM objects WHERE key = ?"
_PUT = f"INSERT OR REPLACE INTO objects ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NEXT = """SELECT key, version, size, etag, uploaded, metadata, checksums, NULL, blob FROM objects
           WHERE key >= ? ORDER BY key LIMIT ?"""
_BATCH = 256  # rows read at a time while folding
LAST_CHARACTER = "\U0010ffff"


class Page(NamedTuple):
    """What is listed: ``start`` is the first key that may be."""

    prefix: str
    delimiter: str
    start: str
    limit: int


class Listing(NamedTuple):
    """``last``: where the next page goes on, None at the end."""

    objects: Sequence[StoredObject]
    prefixes: Sequence[str]
    last: str | None


def find(connection: sqlite3.Connection, key: str) -> StoredObject | None:
    row = connection.execute(_FIND, (key,)).fetchone()
    return _object(row) if row else None


def put(connection: sqlite3.Connection, stored: StoredObject) -> None:
    encode = msgspec.json.encode
    row = (
        stored.key, stored.version, stored.size, stored.etag, stored.uploaded, encode(stored.metadata),
        encode(stored.checksums), stored.content, stored.blob,
    )  # fmt: skip
    connection.execute(_PUT, row)


def delete(connection: sqlite3.Connection, key: str) -> str | None:
    """The file of what was there."""
    row = connection.execute("DELETE FROM objects WHERE key = ? RETURNING blob", (key,)).fetchall()
    return row[0][0] if row else None


def listed(connection: sqlite3.Connection, page: Page) -> Listing:
    """Keys with the delimiter behind the prefix are folded into what they have in common up to it."""
    objects: list[StoredObject] = []
    prefixes: list[str] = []
    start = max(page.start, page.prefix)
    while True:
        found = [_object(row) for row in connection.execute(_NEXT, (start, _BATCH))]
        for stored in found:
            if not stored.key.startswith(page.prefix):
                return Listing(objects, prefixes, None)
            if len(objects) + len(prefixes) == page.limit:
                return Listing(objects, prefixes, stored.key)
            if (folded := _folded(stored.key, page)) is None:
                objects.append(stored)
                continue
            prefixes.append(folded)
            start = folded + LAST_CHARACTER  # no key of this folder is read
            break
        else:
            if len(found) < _BATCH:
                return Listing(objects, prefixes, None)
            start = found[-1].key + "\0"


def usage(connection: sqlite3.Connection) -> tuple[int, int]:
    count, size = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM objects").fetchone()
    return count, size


def named_blobs(connection: sqlite3.Connection) -> set[str]:
    """The files that some row names."""
    select = "SELECT blob FROM objects WHERE blob IS NOT NULL UNION ALL SELECT blob FROM parts"
    return {blob for (blob,) in connection.execute(select)}


def _folded(key: str, page: Page) -> str | None:
    at = key.find(page.delimiter, len(page.prefix)) if page.delimiter else -1
    return None if at < 0 else key[: at + len(page.delimiter)]


def _object(row: tuple[str, str, int, str, int, bytes, bytes, bytes | None, str | None]) -> StoredObject:
    key, version, size, etag, uploaded, metadata, checksums, content, blob = row
    known, digests = msgspec.json.decode(metadata, type=R2Metadata), msgspec.json.decode(checksums)
    return StoredObject(key, version, size, etag, uploaded, known, digests, content, blob)


__all__ = ["Listing", "Page", "delete", "find", "listed", "named_blobs", "put", "usage"]
