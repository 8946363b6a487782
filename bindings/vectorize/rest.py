"""Vectorize over Cloudflare's REST API, below ``vectorize/v2/indexes``.

Facts: docs/reference/bindings.md#vectorize-over-rest. https://developers.cloudflare.com/api/resources/vectorize/
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.base import ProductContext
from bindings.rest import Api, ApiError, Entry, body_of, number_of, query_of
from bindings.storage.resources import About, Resources
from bindings.vectorize.errors import DUPLICATE_INDEX, INDEX_NOT_FOUND, INVALID, VectorizeError
from bindings.vectorize.indexes import Indexes, config_of, parse_config, parse_name
from bindings.vectorize.product import indexes
from bindings.vectorize.shapes import MAX_VECTORS_A_REQUEST, parse_property
from runtime.web import Blob, Request

if TYPE_CHECKING:
    from bindings.vectorize.index import VectorIndex

MAX_PAGE = 1000
STATUSES = {INDEX_NOT_FOUND: 404, DUPLICATE_INDEX: 409}  # of the others: 400
_ONE = "{name}"


class NewIndex(msgspec.Struct):
    name: str
    config: Any
    description: str = ""


class Ids(msgspec.Struct):
    ids: list[str]


class Property(msgspec.Struct, rename="camel"):
    property_name: str
    index_type: str = "string"


class VectorizeRest:
    """The handlers, on the indexes of a supervisor or of a command."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    def entries(self) -> list[Entry]:
        handlers: list[Entry] = [
            ("GET", "", self.list),
            ("POST", "", self.create),
            ("GET", _ONE, self.get),
            ("DELETE", _ONE, self.delete),
            ("GET", f"{_ONE}/info", self.info),
            ("GET", f"{_ONE}/list", self.vectors),
            ("POST", f"{_ONE}/insert", self.insert),
            ("POST", f"{_ONE}/upsert", self.upsert),
            ("POST", f"{_ONE}/query", self.query),
            ("POST", f"{_ONE}/get_by_ids", self.get_by_ids),
            ("POST", f"{_ONE}/delete_by_ids", self.delete_by_ids),
            ("POST", f"{_ONE}/metadata_index/create", self.create_property),
            ("GET", f"{_ONE}/metadata_index/list", self.properties),
            ("POST", f"{_ONE}/metadata_index/delete", self.delete_property),
        ]
        return [(method, path, _named(handler)) for method, path, handler in handlers]

    async def list(self, request: Request) -> object:
        return [_shown(about) for about in self._indexes.kept.all()]

    async def create(self, request: Request) -> object:
        given = await body_of(request, NewIndex)
        return _shown(self._indexes.create(parse_name(given.name), parse_config(given.config), given.description))

    async def get(self, request: Request, name: str) -> object:
        self._indexes.get(name)
        about = self._indexes.kept.about(name)
        return about and _shown(about)

    async def delete(self, request: Request, name: str) -> object:
        self._indexes.get(name)
        await self._indexes.kept.remove(name)
        return None

    async def info(self, request: Request, name: str) -> object:
        return await self._indexes.get(name).describe()

    async def vectors(self, request: Request, name: str) -> object:
        query = query_of(request)
        count = number_of(query, "count", 100, 1, MAX_PAGE)
        after = number_of(query, "cursor", 0, 0, 2**63 - 1)
        ids, following, total = await self._indexes.get(name).list_ids(after, count)
        more = {} if following is None else {"nextCursor": str(following)}
        vectors = [{"id": id} for id in ids]
        return {"count": len(ids), "isTruncated": bool(more), "totalCount": total, "vectors": vectors, **more}

    async def insert(self, request: Request, name: str) -> object:
        index = self._indexes.get(name)
        return {"mutationId": await index.insert(await _vectors(request), MAX_VECTORS_A_REQUEST)}

    async def upsert(self, request: Request, name: str) -> object:
        index = self._indexes.get(name)
        return {"mutationId": await index.upsert(await _vectors(request), MAX_VECTORS_A_REQUEST)}

    async def query(self, request: Request, name: str) -> object:
        index, given = self._indexes.get(name), await body_of(request, dict[str, Any])
        if given.get("vectorId") is not None:
            return await index.query_by_id(given["vectorId"], given)
        return await index.query(given.get("vector"), given)

    async def get_by_ids(self, request: Request, name: str) -> object:
        return await self._indexes.get(name).get((await body_of(request, Ids)).ids)

    async def delete_by_ids(self, request: Request, name: str) -> object:
        index = self._indexes.get(name)
        return {"mutationId": await index.delete((await body_of(request, Ids)).ids, MAX_VECTORS_A_REQUEST)}

    async def create_property(self, request: Request, name: str) -> object:
        index, given = self._indexes.get(name), await body_of(request, Property)
        return {"mutationId": await index.create_metadata_index(*parse_property(given.property_name, given.index_type))}

    async def properties(self, request: Request, name: str) -> object:
        found = await self._indexes.get(name).metadata_indexes()
        rows = [{"propertyName": property, "indexType": kind} for property, kind in found.items()]
        return {"metadataIndexes": rows}

    async def delete_property(self, request: Request, name: str) -> object:
        index, given = self._indexes.get(name), await body_of(request, Property)
        return {"mutationId": await index.delete_metadata_index(given.property_name)}


def api(context: ProductContext) -> Api:
    """Of a supervisor."""
    return Api("vectorize/v2/indexes", VectorizeRest(indexes(context)).entries())


def local_api(state: Path) -> tuple[Api, Resources[VectorIndex]]:
    """Of a state folder, for a command."""
    found = Indexes(state)
    return Api("vectorize/v2/indexes", VectorizeRest(found).entries()), found.kept


def _named(handler: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    """Its VectorizeErrors are the API's."""

    @functools.wraps(handler)
    async def named(*args: object, **path: object) -> object:
        try:
            return await handler(*args, **path)
        except VectorizeError as error:
            raise ApiError(STATUSES.get(error.code, 400), error.code, error.text) from None

    return named


def _shown(about: About) -> dict[str, object]:
    config = config_of(about)
    return {
        "name": about.id, "description": about.facts.get("description", ""), "created_on": about.created,
        "modified_on": about.created, "config": {"dimensions": config.dimensions, "metric": config.metric},
    }  # fmt: skip


async def _vectors(request: Request) -> list[Any]:
    """A line of JSON each, as the body or as the form's field ``vectors``. Raises VectorizeError."""
    if "multipart/form-data" in (request.headers.get("content-type") or ""):
        field = (await request.form_data()).get("vectors")
        content = bytes(field) if isinstance(field, Blob) else str(field or "").encode()
    else:
        content = await request.bytes()
    try:
        return msgspec.json.Decoder().decode_lines(content)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise VectorizeError(INVALID, f"the vectors are not a line of JSON each: {error}") from None


__all__ = ["api", "local_api"]
