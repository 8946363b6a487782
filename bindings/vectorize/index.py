"""One Vectorize index: a SQLite file that keeps it, and its vectors in memory to search in.

All work is done in the file's own thread, one piece after the other, each in a transaction. Vectors are read from the
file when they are first asked for, and again after another process (a ``pilot vectorize`` command) has written to it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar

from bindings.sqlite import Database
from bindings.vectorize import rows, shapes
from bindings.vectorize.errors import INVALID, QUERY_DIMENSIONS, VectorizeError
from bindings.vectorize.search.filters import parse_filter
from bindings.vectorize.search.matrix import Floats, as_floats
from bindings.vectorize.search.memory import Memory
from bindings.vectorize.settings import IndexConfig, PropertyType

T = TypeVar("T")
Mutation: TypeAlias = Callable[[sqlite3.Connection, Memory], None]
MAX_METADATA_INDEXES = 10
PAGE_SIZE = 1000  # vectors of a list
UNCOMMITTED = "uncommitted"  # in place of a mutation's id: what is in memory may not be in the file


class VectorIndex:
    def __init__(self, path: Path, config: IndexConfig) -> None:
        self.config = config
        self._database = Database(path, rows.STEPS, durable=True)
        self._memory: Memory | None = None
        self._mutation: str | None = None  # the one up to which it is in memory

    async def aclose(self) -> None:
        await self._database.aclose()

    # What a worker, a command or a route asks for. All raise VectorizeError.

    def insert(self, given: object, limit: int = shapes.MAX_VECTORS_A_CALL) -> asyncio.Future[str]:
        """Add those vectors whose ids are new. The mutation's id."""
        return self._mutate("VECTOR_INSERT", self._putting(given, limit, replace=False))

    def upsert(self, given: object, limit: int = shapes.MAX_VECTORS_A_CALL) -> asyncio.Future[str]:
        """Add vectors, and replace those of the same id as a whole. The mutation's id."""
        return self._mutate("VECTOR_UPSERT", self._putting(given, limit, replace=True))

    def delete(self, given: object, limit: int = shapes.MAX_VECTORS_A_CALL) -> asyncio.Future[str]:
        """The mutation's id, also where there was no such vector."""

        def delete(connection: sqlite3.Connection, memory: Memory) -> None:
            for id in dict.fromkeys(shapes.parse_ids(given, limit)):
                if id in memory.position_of:
                    connection.execute("DELETE FROM vectors WHERE id = ?", (id,))
                    memory.remove(id)

        return self._mutate("VECTOR_DELETE", delete)

    def query(self, vector: object, options: object) -> asyncio.Future[dict[str, object]]:
        """``{"count", "matches": [{"id", "score", "namespace"?, "values"?, "metadata"?}]}``."""

        def search(connection: sqlite3.Connection) -> dict[str, object]:
            values = shapes.parse_values(vector, self.config.dimensions, "invalid query vector", QUERY_DIMENSIONS)
            return self._query(connection, as_floats(values), options)

        return self._do("VECTOR_QUERY", search)

    def query_by_id(self, id: object, options: object) -> asyncio.Future[dict[str, object]]:
        """As ``query``, with the values of a vector that is kept."""

        def search(connection: sqlite3.Connection) -> dict[str, object]:
            row = connection.execute("SELECT floats FROM vectors WHERE id = ?", (shapes.parse_id(id),)).fetchone()
            if row is None:
                raise VectorizeError(INVALID, f'there is no vector with the id "{id}"')
            return self._query(connection, rows.read_floats(row[0]), options)

        return self._do("VECTOR_QUERY", search)

    def get(self, given: object, limit: int = shapes.MAX_VECTORS_A_CALL) -> asyncio.Future[list[dict[str, object]]]:
        """The vectors of these ids with values and metadata, in this order; ids that are not kept are left out."""

        def read(connection: sqlite3.Connection) -> list[dict[str, object]]:
            kept = rows.details(connection, ids := shapes.parse_ids(given, limit), "all", values=True)
            return [{"id": id, **kept[id]} for id in dict.fromkeys(ids) if id in kept]

        return self._do("VECTOR_GET", read)

    def describe(self) -> asyncio.Future[dict[str, object]]:
        """``{"dimensions", "vectorCount", "processedUpToDatetime", "processedUpToMutation"}``."""

        def read(connection: sqlite3.Connection) -> dict[str, object]:
            about = dict(connection.execute("SELECT key, value FROM about"))
            [count] = connection.execute("SELECT count(*) FROM vectors").fetchone()
            return {
                "dimensions": self.config.dimensions, "vectorCount": count,
                "processedUpToDatetime": about.get("time"), "processedUpToMutation": about.get("mutation"),
            }  # fmt: skip

        return self._do("INDEX_GET", read)

    def list_ids(self, after: int = 0, count: int = PAGE_SIZE) -> asyncio.Future[tuple[list[str], int | None, int]]:
        """The ids of one page, where the next one starts (None: nowhere), and how many there are in all."""

        def read(connection: sqlite3.Connection) -> tuple[list[str], int | None, int]:
            select = "SELECT id, row FROM vectors WHERE row > ? ORDER BY row LIMIT ?"
            page = connection.execute(select, (after, count + 1)).fetchall()
            [total] = connection.execute("SELECT count(*) FROM vectors").fetchone()
            return [id for id, _ in page[:count]], page[count - 1][1] if len(page) > count else None, total

        return self._do("VECTOR_GET", read)

    def create_metadata_index(self, property: str, kind: PropertyType) -> asyncio.Future[str]:
        """Of vectors that are put from now on, ``property`` can be filtered by. Nested ones are named with dots."""
        return self._mutate("INDEX_GET", lambda connection, memory: _add_property(connection, memory, property, kind))

    def add_metadata_indexes(self, properties: Mapping[str, PropertyType]) -> asyncio.Future[str]:
        """Those of them that are missing."""

        def add(connection: sqlite3.Connection, memory: Memory) -> None:
            for property, kind in properties.items():
                if property not in memory.columns:
                    _add_property(connection, memory, property, kind)

        return self._mutate("INDEX_GET", add)

    def delete_metadata_index(self, property: str) -> asyncio.Future[str]:
        def delete(connection: sqlite3.Connection, memory: Memory) -> None:
            if not connection.execute("DELETE FROM metadata_indexes WHERE property = ?", (property,)).rowcount:
                raise VectorizeError(INVALID, f'there is no metadata index on "{property}"')
            del memory.columns[property]

        return self._mutate("INDEX_GET", delete)

    def metadata_indexes(self) -> asyncio.Future[dict[str, PropertyType]]:
        return self._do("INDEX_GET", rows.properties)

    # In the thread

    def _do(self, operation: str, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        def named(connection: sqlite3.Connection) -> T:
            try:
                return work(connection)
            except VectorizeError as error:
                raise error.during(operation) from None

        return self._database.do(named)

    def _mutate(self, operation: str, work: Mutation) -> asyncio.Future[str]:
        def mutation(connection: sqlite3.Connection) -> str:
            memory, before = self._ready(connection), self._mutation
            self._mutation = UNCOMMITTED
            try:
                work(connection, memory)
            except VectorizeError:  # raised before anything is changed
                self._mutation = before
                raise
            self._mutation = rows.acknowledge(connection)
            return self._mutation

        return self._do(operation, mutation)

    def _ready(self, connection: sqlite3.Connection) -> Memory:
        """What is in memory, as new as the file."""
        mutation = rows.last_mutation(connection)
        if self._memory is None or mutation != self._mutation:
            self._memory, self._mutation = self._read(connection), mutation
        return self._memory

    def _read(self, connection: sqlite3.Connection) -> Memory:
        memory = Memory(self.config.dimensions, self.config.metric, rows.properties(connection))
        for ids, values, namespaces, indexed in rows.pages(connection, self.config.dimensions):
            memory.extend(ids, values, namespaces, indexed)
        return memory

    def _putting(self, given: object, limit: int, *, replace: bool) -> Mutation:
        def put(connection: sqlite3.Connection, memory: Memory) -> None:
            for vector in shapes.parse_vectors(given, self.config.dimensions, limit):
                if not replace and vector.id in memory.position_of:
                    continue
                values, indexed = as_floats(vector.values), rows.indexed_of(vector.metadata, memory.columns)
                rows.put(connection, vector, values, indexed)
                memory.put(vector.id, values, vector.namespace, indexed)

        return put

    def _query(self, connection: sqlite3.Connection, values: Floats, given: object) -> dict[str, object]:
        options = shapes.parse_options(given)
        conditions, memory = parse_filter(options.filter), self._ready(connection)
        found = memory.search(values, options.top_k, options.namespace, conditions)
        details = rows.details(connection, [id for id, _ in found], options.metadata, values=options.values)
        matches = [{"id": id, "score": match.score, **details[id]} for id, match in found]
        return {"count": len(matches), "matches": matches}


def _add_property(connection: sqlite3.Connection, memory: Memory, property: str, kind: PropertyType) -> None:
    if property in memory.columns:
        raise VectorizeError(INVALID, f'there is a metadata index on "{property}" already')
    if len(memory.columns) >= MAX_METADATA_INDEXES:
        raise VectorizeError(INVALID, f"an index has at most {MAX_METADATA_INDEXES} metadata indexes")
    connection.execute("INSERT INTO metadata_indexes VALUES (?, ?)", (property, kind))
    memory.add_property(property, kind)


__all__ = ["VectorIndex"]
