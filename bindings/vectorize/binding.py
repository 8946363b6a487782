"""``env.VECTORIZE``, the host's half: one configured binding. Calls go to the index of that name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bindings.base import CallError
from bindings.storage.resources import About
from bindings.vectorize.indexes import Indexes, config_of
from bindings.vectorize.settings import PropertyType

if TYPE_CHECKING:
    from bindings.vectorize.index import VectorIndex


class VectorizeBinding:
    client = "bindings.vectorize.worker:VectorizeIndex"
    client_args: Mapping[str, Any] = {}

    def __init__(
        self, name: str, index_name: str, indexes: Indexes, properties: Mapping[str, PropertyType] | None = None
    ) -> None:
        self.name, self._index_name, self._indexes = name, index_name, indexes
        self.explored = {"name": index_name}
        self._properties = dict(properties or {})  # that need a metadata index, until they have one

    def describe(self) -> tuple[str, str]:
        about = self._indexes.kept.about(self._index_name)
        return "Vectorize", f"{self._index_name}: {_details(about)}"

    async def call(self, method: str, args: Sequence[Any]) -> object:
        serve = _METHODS.get(method)
        if serve is None:
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        index = self._indexes.get(self._index_name)
        if self._properties:
            await index.add_metadata_indexes(self._properties)
            self._properties = {}
        return await serve(index, *args[:2], *[None] * (2 - len(args)))


def _details(about: About | None) -> str:
    if about is None:
        return "not created yet"
    config = config_of(about)
    return f"{config.dimensions} dimensions, {config.metric}"


async def _insert(index: VectorIndex, vectors: object, _: object) -> object:
    return {"mutationId": await index.insert(vectors)}


async def _upsert(index: VectorIndex, vectors: object, _: object) -> object:
    return {"mutationId": await index.upsert(vectors)}


async def _query(index: VectorIndex, values: object, options: object) -> object:
    return await index.query(values, options)


async def _query_by_id(index: VectorIndex, id: object, options: object) -> object:
    return await index.query_by_id(id, options)


async def _get(index: VectorIndex, ids: object, _: object) -> object:
    return await index.get(ids)


async def _delete(index: VectorIndex, ids: object, _: object) -> object:
    return {"mutationId": await index.delete(ids)}


async def _describe(index: VectorIndex, *_: object) -> object:
    return await index.describe()


_METHODS: dict[str, Callable[[VectorIndex, object, object], Awaitable[object]]] = {
    "insert": _insert, "upsert": _upsert, "query": _query, "queryById": _query_by_id, "getByIds": _get,
    "deleteByIds": _delete, "describe": _describe,
}  # fmt: skip

__all__ = ["VectorizeBinding"]
