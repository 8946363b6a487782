"""KV over Cloudflare's REST API, below ``storage/kv``: namespaces, keys, values, and several at once.

Facts: docs/reference/bindings.md#kv-over-rest. https://developers.cloudflare.com/api/resources/kv/
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bindings.base import ProductContext
from bindings.kv import checks
from bindings.kv.checks import Refused, WrongName
from bindings.kv.product import namespaces
from bindings.kv.store import Entry, KVStore
from bindings.rest import Api, ApiError, Listed, body_of, number_of, page_of, query_of
from bindings.rest import Entry as Route
from bindings.storage.resources import About, Resources
from runtime.web import Blob, Request, Response

NO_KEY, NO_NAMESPACE, TAKEN, BAD_REQUEST = 10009, 10013, 10014, 10029
MAX_BULK_WRITES = 10_000  # keys of one bulk put or delete
_ONE = "namespaces/{id}"


class Title(msgspec.Struct):
    title: str


class Pair(msgspec.Struct):
    """One of a bulk put."""

    key: str
    value: str
    base64: bool = False
    expiration: int | None = None
    expiration_ttl: int | None = None
    metadata: Any = None


class Wanted(msgspec.Struct, rename="camel"):
    """A bulk get."""

    keys: list[str]
    type: str = "text"
    with_metadata: bool = False


class Bulk(msgspec.Struct):
    """All of them, or the call is refused."""

    successful_key_count: int
    unsuccessful_keys: list[str] = []


class KVRest:
    """The handlers, on the namespaces of a supervisor or of a command."""

    def __init__(self, resources: Resources[KVStore], find: Callable[[str], KVStore | None]) -> None:
        self._resources, self._find = resources, find

    def entries(self) -> list[Route]:
        return [
            ("GET", "namespaces", self.namespaces),
            ("POST", "namespaces", self.create),
            ("GET", _ONE, self.namespace),
            ("PUT", _ONE, self.rename),
            ("DELETE", _ONE, self.remove),
            ("GET", f"{_ONE}/keys", self.keys),
            ("GET", f"{_ONE}/values/{{key:path}}", self.value),
            ("PUT", f"{_ONE}/values/{{key:path}}", self.put),
            ("DELETE", f"{_ONE}/values/{{key:path}}", self.delete),
            ("GET", f"{_ONE}/metadata/{{key:path}}", self.metadata),
            ("PUT", f"{_ONE}/bulk", self.bulk_put),
            ("DELETE", f"{_ONE}/bulk", self.bulk_delete),
            ("POST", f"{_ONE}/bulk/delete", self.bulk_delete),
            ("POST", f"{_ONE}/bulk/get", self.bulk_get),
        ]

    async def namespaces(self, request: Request) -> Listed:
        query = query_of(request)
        found = self._resources.all()
        if query.get("order") == "id":
            found.sort(key=lambda about: about.id)
        if query.get("direction") == "desc":
            found.reverse()
        return page_of([_shown(about) for about in found], query)

    async def create(self, request: Request) -> object:
        title = await self._free_title(request)
        return _shown(self._resources.create(uuid.uuid4().hex, title).about)

    async def namespace(self, request: Request, id: str) -> object:
        return _shown(self._store(id).about)

    async def rename(self, request: Request, id: str) -> object:
        store = self._store(id)
        store.about = msgspec.structs.replace(store.about, name=await self._free_title(request))
        self._resources.describe(store.about)
        return _shown(store.about)

    async def remove(self, request: Request, id: str) -> object:
        if not await self._resources.remove(id):
            raise _no_namespace()
        return {}

    async def keys(self, request: Request, id: str) -> Listed:
        query = query_of(request)
        limit = number_of(query, "limit", checks.MAX_PAGE, 1, checks.MAX_PAGE)
        page = await self._store(id).list(query.get("prefix", ""), limit, query.get("cursor", ""))
        shown = [
            {"name": key.name}
            | ({} if key.expiration is None else {"expiration": key.expiration})
            | ({} if key.metadata is None else {"metadata": msgspec.Raw(key.metadata.encode())})
            for key in page.keys
        ]
        return Listed(shown, {"count": len(shown), "cursor": page.cursor or ""})

    async def value(self, request: Request, id: str, key: str) -> Response:
        if (found := await self._store(id).get(_key(key))) is None:
            raise ApiError(404, NO_KEY, "get: 'key not found'")
        return Response(found.stream(), headers={"content-type": "application/octet-stream"})

    async def metadata(self, request: Request, id: str, key: str) -> object:
        if (found := await self._store(id).get(_key(key))) is None:
            raise ApiError(404, NO_KEY, "get: 'key not found'")
        found.close()
        return None if found.metadata is None else msgspec.Raw(found.metadata.encode())

    async def put(self, request: Request, id: str, key: str) -> object:
        store, query = self._store(id), query_of(request)
        times = {name: int(query[name]) if query[name].isdigit() else 0 for name in _TIMES if query.get(name)}
        try:
            expiration = checks.expiration(times.get("expiration_ttl", ...), times.get("expiration", ...))
            if "multipart/form-data" in (request.headers.get("content-type") or ""):
                form = await request.form_data()
                given = form.get("value")
                content = bytes(given) if isinstance(given, Blob) else str(given or "").encode()
                await store.put(_key(key), content, expiration, _form_metadata(form.get("metadata")))
            else:
                body = request.body
                await store.put(_key(key), b"" if body is None else aiter(body), expiration)
        except (Refused, TypeError) as error:
            raise _refused(error) from None
        return None

    async def delete(self, request: Request, id: str, key: str) -> object:
        await self._store(id).delete([_key(key)])
        return None

    async def bulk_put(self, request: Request, id: str) -> Bulk:
        store, pairs = self._store(id), await body_of(request, list[Pair])
        _check_many(pairs)
        await store.put_many([_entry(pair) for pair in pairs])
        return Bulk(len(pairs))

    async def bulk_delete(self, request: Request, id: str) -> Bulk:
        store, keys = self._store(id), await body_of(request, list[str])
        _check_many(keys)
        await store.delete([_key(key) for key in keys])
        return Bulk(len(keys))

    async def bulk_get(self, request: Request, id: str) -> object:
        store, wanted = self._store(id), await body_of(request, Wanted)
        if not 1 <= len(wanted.keys) <= checks.MAX_BULK:
            raise ApiError(400, BAD_REQUEST, f"You can request 1 to {checks.MAX_BULK} keys")
        values: dict[str, object] = {}
        for key in wanted.keys:
            found = await store.get(_key(key))
            if found is None:
                values[key] = None
                continue
            value = _decoded(key, await found.whole(), wanted.type)
            metadata = None if found.metadata is None else msgspec.Raw(found.metadata.encode())
            values[key] = {"value": value, "metadata": metadata} if wanted.with_metadata else value
        return {"values": values}

    async def _free_title(self, request: Request) -> str:
        title = (await body_of(request, Title)).title
        if not title or len(title) > checks.MAX_KEY_BYTES:
            raise ApiError(400, BAD_REQUEST, "a namespace needs a title of 1 to 512 characters")
        if any(about.name == title for about in self._resources.all()):
            raise ApiError(400, TAKEN, "A namespace with this account ID and title already exists.")
        return title

    def _store(self, id: str) -> KVStore:
        if (store := self._find(id)) is None:
            raise _no_namespace()
        return store


_TIMES = ("expiration", "expiration_ttl")


def api(context: ProductContext) -> Api:
    """Of a supervisor."""
    resources = namespaces(context)
    return Api("storage/kv", KVRest(resources, resources.find).entries())


def local_api(state: Path) -> tuple[Api, Resources[KVStore]]:
    """Of a state folder, for a command: a namespace that is named is there."""
    resources = Resources(state, "kv", KVStore)
    return Api("storage/kv", KVRest(resources, resources.get).entries()), resources


def _shown(about: About) -> dict[str, object]:
    return {"id": about.id, "title": about.name, "supports_url_encoding": True}


def _no_namespace() -> ApiError:
    return ApiError(404, NO_NAMESPACE, "namespace not found")


def _refused(error: Exception) -> ApiError:
    return ApiError(getattr(error, "status", 400), BAD_REQUEST, str(error))


def _key(key: str) -> str:
    """Raises ApiError."""
    try:
        name = checks.key_name(key)
        checks.check_length(name)
    except (Refused, WrongName) as error:
        raise _refused(error) from None
    return name


def _check_many(items: Sequence[object]) -> None:
    if len(items) > MAX_BULK_WRITES:
        raise ApiError(400, BAD_REQUEST, f"at most {MAX_BULK_WRITES} keys at a time")


def _entry(pair: Pair) -> Entry:
    """Raises ApiError."""
    try:
        value = base64.b64decode(pair.value, validate=True) if pair.base64 else pair.value.encode()
        checks.check_value(len(value))
        expiration = checks.expiration(_given(pair.expiration_ttl), _given(pair.expiration))
        return Entry(_key(pair.key), value, expiration, checks.metadata_text(pair.metadata))
    except (Refused, TypeError, binascii.Error) as error:
        raise ApiError(getattr(error, "status", 400), BAD_REQUEST, f"{pair.key!r:.100}: {error}") from None


def _given(number: int | None) -> object:
    return ... if number is None else number


def _form_metadata(field: object) -> str | None:
    """The form's field, JSON as text. Raises Refused."""
    text = bytes(field).decode("utf-8", "replace") if isinstance(field, Blob) else str(field or "")
    try:
        return checks.metadata_text(msgspec.json.decode(text)) if text else None
    except msgspec.MsgspecError:
        raise Refused(400, "the metadata is not valid JSON") from None


def _decoded(key: str, value: bytes, kind: str) -> object:
    if kind == "text":
        return value.decode("utf-8", "replace")
    try:
        return msgspec.json.decode(value)
    except msgspec.MsgspecError:
        raise ApiError(400, BAD_REQUEST, f"the value of {key!r:.100} is not JSON") from None


__all__ = ["NO_KEY", "api", "local_api"]
