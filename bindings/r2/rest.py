"""R2 over Cloudflare's REST API, below ``r2/buckets``.

Facts: docs/reference/bindings.md#r2-over-rest. https://developers.cloudflare.com/api/resources/r2/
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import msgspec

from bindings.base import ProductContext
from bindings.r2 import rows
from bindings.r2.errors import R2Error, no_bucket
from bindings.r2.limits import BUCKET_NAME
from bindings.r2.model import FIELDS, StoredObject, moment, parse_key, parse_metadata
from bindings.r2.options.checksums import Digest
from bindings.r2.product import buckets
from bindings.r2.store import Bucket
from bindings.rest import Api, ApiError, Entry, Listed, body_of, number_of, query_of
from bindings.storage.blobs import BlobStream
from bindings.storage.resources import About, Resources
from runtime.web import Request, Response

TAKEN, BAD_NAME, NOT_EMPTY, NO_OBJECT = 10004, 10005, 10008, 10007
MAX_PAGE = 1000
_ONE = "{bucket}"
_OBJECT = f"{_ONE}/objects/{{key:path}}"


class NewBucket(msgspec.Struct):
    name: str


class R2Rest:
    """The handlers, on the buckets of a supervisor or of a command."""

    def __init__(self, resources: Resources[Bucket], find: Callable[[str], Bucket | None]) -> None:
        self._resources, self._find = resources, find

    def entries(self) -> list[Entry]:
        return [
            ("GET", "", self.buckets),
            ("POST", "", self.create),
            ("GET", _ONE, self.bucket),
            ("DELETE", _ONE, self.remove),
            ("GET", f"{_ONE}/usage", self.usage),
            ("GET", f"{_ONE}/objects", self.objects),
            ("GET", _OBJECT, self.get),
            ("PUT", _OBJECT, self.put),
            ("DELETE", _OBJECT, self.delete),
        ]

    async def buckets(self, request: Request) -> Listed:
        query = query_of(request)
        names = [about for about in self._resources.all() if query.get("name_contains", "") in about.id]
        size = number_of(query, "per_page", MAX_PAGE, 1, MAX_PAGE)
        page = [about for about in names if about.id > query.get("cursor", "")]
        more = {"cursor": page[size - 1].id} if len(page) > size else {}
        return Listed({"buckets": [_shown(about) for about in page[:size]]}, {"per_page": size, **more})

    async def create(self, request: Request) -> object:
        name = (await body_of(request, NewBucket)).name
        if not BUCKET_NAME.fullmatch(name):
            raise ApiError(400, BAD_NAME, "The specified bucket name is not valid.")
        if self._resources.about(name) is not None:
            raise ApiError(409, TAKEN, "The bucket you tried to create already exists, and you own it.")
        return _shown(self._resources.create(name).about)

    async def bucket(self, request: Request, bucket: str) -> object:
        return _shown(self._bucket(bucket).about)

    async def remove(self, request: Request, bucket: str) -> object:
        count, _ = await self._bucket(bucket).usage()
        if count:
            raise ApiError(409, NOT_EMPTY, "The bucket you tried to delete is not empty.")
        await self._resources.remove(bucket)
        return {}

    async def usage(self, request: Request, bucket: str) -> object:
        count, size = await self._bucket(bucket).usage()
        return {"objectCount": str(count), "payloadSize": str(size)}

    async def objects(self, request: Request, bucket: str) -> Listed:
        query = query_of(request)
        after = base64.b64decode(query.get("cursor", "")).decode("utf-8", "replace")
        start = after or (f"{query['start_after']}\0" if query.get("start_after") else "")
        limit = number_of(query, "per_page", MAX_PAGE, 1, MAX_PAGE)
        page = rows.Page(query.get("prefix", ""), query.get("delimiter", ""), start, limit)
        listing = await self._bucket(bucket).list(page)
        cursor = base64.b64encode(listing.last.encode()).decode() if listing.last else ""
        info = {"cursor": cursor, "is_truncated": bool(cursor), "delimited": list(listing.prefixes), "per_page": limit}
        return Listed([_listed(stored) for stored in listing.objects], info)

    async def get(self, request: Request, bucket: str, key: str) -> Response:
        if (found := await self._bucket(bucket).get(key)) is None:
            raise ApiError(404, NO_OBJECT, "The specified key does not exist.")
        body = found.stored.content if found.file is None else BlobStream(found.file)
        headers = {"etag": f'"{found.stored.etag}"', "content-length": str(found.stored.size), **_http(found.stored)}
        return Response(body, headers=headers)

    async def put(self, request: Request, bucket: str, key: str) -> object:
        given = {"httpMetadata": [list(pair) for pair in request.headers.items() if pair[0].lower() in FIELDS.values()]}
        store, body = self._bucket(bucket), request.body
        try:
            content = b"" if body is None else aiter(body)
            stored = await store.put(parse_key(key), content, parse_metadata(given), Digest())
        except R2Error as error:
            raise ApiError(400, error.code, str(error)) from None
        assert stored is not None
        return _listed(stored)

    async def delete(self, request: Request, bucket: str, key: str) -> object:
        await self._bucket(bucket).delete([key])
        return {"key": key}

    def _bucket(self, name: str) -> Bucket:
        if (found := self._find(name)) is None:
            missing = no_bucket()
            raise ApiError(404, missing.code, str(missing))
        return found


def api(context: ProductContext) -> Api:
    """Of a supervisor."""
    resources = buckets(context)
    return Api("r2/buckets", R2Rest(resources, resources.find).entries())


def local_api(state: Path) -> tuple[Api, Resources[Bucket]]:
    """Of a state folder, for a command: a bucket that is named is there."""
    resources = Resources(state, "r2", Bucket)
    return Api("r2/buckets", R2Rest(resources, lambda name: _named(resources, name)).entries()), resources


def _named(resources: Resources[Bucket], name: str) -> Bucket | None:
    return resources.get(name) if BUCKET_NAME.fullmatch(name) else None


def _shown(about: About) -> dict[str, object]:
    return {"name": about.id, "creation_date": about.created, "location": "local", "storage_class": "Standard"}


def _listed(stored: StoredObject) -> dict[str, object]:
    modified = moment(stored.uploaded).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "key": stored.key, "size": stored.size, "etag": stored.etag, "last_modified": modified,
        "storage_class": stored.metadata.storage_class or "Standard", "http_metadata": stored.metadata.http,
        "custom_metadata": stored.metadata.custom,
    }  # fmt: skip


def _http(stored: StoredObject) -> dict[str, str]:
    return {FIELDS[field]: value for field, value in stored.metadata.http.items() if field != "cacheExpiry"} or {
        "content-type": "application/octet-stream"
    }


__all__ = ["api", "local_api"]
