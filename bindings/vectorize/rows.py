"""The rows of an index's file."""

from __future__ import annotations

import datetime
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from bindings.vectorize.search.columns import indexable
from bindings.vectorize.search.matrix import Floats
from bindings.vectorize.settings import PropertyType
from bindings.vectorize.shapes import Vector

PAGE_ROWS = 1000
LITTLE_ENDIAN = np.dtype("<f4")

STEPS = (
    """
    CREATE TABLE vectors (
        row INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        namespace TEXT,
        floats BLOB NOT NULL,
        metadata BLOB,
        indexed BLOB
    );
    CREATE TABLE metadata_indexes (property TEXT PRIMARY KEY, kind TEXT NOT NULL);
    CREATE TABLE about (key TEXT PRIMARY KEY, value)
    """,
)
"""``floats``: little-endian, 32 bits; ``metadata``: a JSON object; ``indexed``: a JSON object, what is indexed of each
property that had a metadata index when the vector was put."""

_PUT = """
    INSERT INTO vectors (id, namespace, floats, metadata, indexed) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
    namespace = excluded.namespace, floats = excluded.floats, metadata = excluded.metadata, indexed = excluded.indexed
"""


class Page(NamedTuple):
    ids: Sequence[str]
    values: Floats  # a row each
    namespaces: Sequence[str | None]
    indexed: Sequence[bytes | None]


def put(connection: sqlite3.Connection, vector: Vector, values: Floats, indexed: bytes | None) -> None:
    floats = values.astype(LITTLE_ENDIAN).tobytes()
    connection.execute(_PUT, (vector.id, vector.namespace, floats, vector.metadata, indexed))


def details(
    connection: sqlite3.Connection, ids: Sequence[str], metadata: str, *, values: bool
) -> dict[str, dict[str, object]]:
    """Of each id that is kept its namespace, and what is wanted of its values and metadata."""
    column = {"all": "metadata", "indexed": "indexed", "none": "NULL"}[metadata]
    select = f"SELECT id, namespace, {'floats' if values else 'NULL'}, {column} FROM vectors WHERE id = ?"
    rows = (connection.execute(select, (id,)).fetchone() for id in ids)
    return {row[0]: _present(*row[1:]) for row in rows if row}


def _present(namespace: str | None, floats: bytes | None, metadata: bytes | None) -> dict[str, object]:
    present: dict[str, object] = {}
    if namespace is not None:
        present["namespace"] = namespace
    if floats is not None:
        present["values"] = read_floats(floats).tolist()
    if metadata is not None:
        present["metadata"] = msgspec.json.decode(metadata)
    return present


def indexed_of(metadata: bytes | None, properties: Iterable[str]) -> bytes | None:
    """What of a vector's metadata is indexed: ``{"property": value}``, nested ones under their dotted name."""
    given = msgspec.json.decode(metadata) if metadata else {}
    kept = {name: indexable(value) for name in properties if (value := _nested(given, name)) is not None}
    return msgspec.json.encode({name: value for name, value in kept.items() if value is not None}) if kept else None


def _nested(given: object, name: str) -> object:
    for part in name.split("."):
        given = given.get(part) if isinstance(given, dict) else None
    return given


def acknowledge(connection: sqlite3.Connection) -> str:
    mutation, now = str(uuid.uuid4()), datetime.datetime.now(datetime.UTC)
    about = {"mutation": mutation, "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())
    return mutation


def pages(connection: sqlite3.Connection, dimensions: int) -> Iterator[Page]:
    """All vectors, in the order in which they were added."""
    cursor = connection.execute("SELECT id, floats, namespace, indexed FROM vectors ORDER BY row")
    while page := cursor.fetchmany(PAGE_ROWS):
        ids, floats, namespaces, indexed = zip(*page, strict=True)
        yield Page(ids, read_floats(b"".join(floats)).reshape(len(ids), dimensions), namespaces, indexed)


def properties(connection: sqlite3.Connection) -> dict[str, PropertyType]:
    rows = connection.execute("SELECT property, kind FROM metadata_indexes ORDER BY rowid")
    return dict(rows.fetchall())


def read_floats(blob: bytes) -> Floats:
    return np.frombuffer(blob, LITTLE_ENDIAN).astype(np.float32)


def last_mutation(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM about WHERE key = 'mutation'").fetchone()
    return row[0] if row else None
