"""``env.NAME`` of an R2 bucket, the host's half: checks what the worker asks, and asks the bucket."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from bindings.base import CallError, HostStream, WorkerStream
from bindings.r2 import errors, rows
from bindings.r2.errors import R2Error
from bindings.r2.model import parse_key, parse_metadata
from bindings.r2.options.checksums import Digest, parse_named
from bindings.r2.options.conditions import parse_condition
from bindings.r2.options.ranges import Range, resolve
from bindings.r2.options.ssec import key_md5
from bindings.r2.store import Bucket, Content, Found, limited
from bindings.r2.uploads import MAX_PART_BYTES
from bindings.sqlite import StoreError, disk_error
from bindings.storage.blobs import BlobStream
from bindings.storage.resources import Resources
from runtime.values import js_integer, js_string

MAX_PAGE = 1000
MAX_PARTS = 10_000
INLINE_BYTES = 64 * 1024  # of content that travels with its object; more is a stream


class R2Binding:
    """One ``[[r2_buckets]]``."""

    client = "bindings.r2.worker:R2Bucket"
    client_args: Mapping[str, Any] = {}

    def __init__(self, name: str, bucket: str, buckets: Resources[Bucket]) -> None:
        self.name, self._bucket_name, self._buckets = name, bucket, buckets
        self._methods: dict[str, Callable[..., Awaitable[object]]] = {
            "head": self._head, "get": self._get, "put": self._put, "delete": self._delete, "list": self._list,
            "createMultipartUpload": self._create, "uploadPart": self._upload_part,
            "completeMultipartUpload": self._complete, "abortMultipartUpload": self._abort,
        }  # fmt: skip

    @property
    def explored(self) -> Mapping[str, object]:
        return {"bucket": self._bucket_name}

    def describe(self) -> tuple[str, str]:
        return "R2 bucket", self._bucket_name

    @property
    def _bucket(self) -> Bucket:
        """Asked for each time: someone may have removed it meanwhile, and made it again. Raises R2Error."""
        if (found := self._buckets.find(self._bucket_name)) is None:
            raise errors.no_bucket()
        return found

    async def call(self, method: str, args: Sequence[Any]) -> object:
        if (serve := self._methods.get(method)) is None:
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        try:
            return await serve(*args)
        except R2Error as error:
            raise error.during(method) from None
        except (StoreError, OSError) as error:
            raise CallError("Error", f"{method}: {disk_error(error)} (10001)", code=10001) from None

    async def _head(self, key: object) -> object:
        stored = await self._bucket.head(parse_key(key))
        return stored and stored.to_wire()

    async def _get(self, key: object, options: object = None) -> object:
        """``[object, content]``, a stream of it whose meta has the object; None: there is none. The content is None
        where the condition does not hold."""
        given, name = _options(options), parse_key(key)
        condition, ssec = parse_condition(given.get("onlyIf")), key_md5(given.get("ssecKey"))
        if (found := await self._bucket.get(name)) is None:
            return None
        try:
            ssec.check(found.stored)
            if condition is not None and not condition.holds(found.stored):
                return _headed(found)
            return await _part(found, resolve(given.get("range"), found.stored))
        except BaseException:
            if found.file is not None:
                found.file.close()
            raise

    async def _put(self, key: object, value: object, options: object = None) -> object:
        given, name = _options(options), parse_key(key)
        content = b"" if value is None else _content(value, "'put' on 'R2Bucket'")
        metadata = parse_metadata(given, key_md5(given.get("ssecKey")).md5)
        condition, digest = parse_condition(given.get("onlyIf"), "PutOptions"), Digest(parse_named(given))
        stored = await self._bucket.put(name, content, metadata, digest, condition)
        return stored and stored.to_wire(ranged=False)

    async def _delete(self, keys: object) -> None:
        await self._bucket.delete([parse_key(key) for key in (keys if isinstance(keys, list) else [keys])])

    async def _list(self, options: object = None) -> object:
        given = _options(options)
        prefix, delimiter, cursor, after = (
            _text(given, name) for name in ("prefix", "delimiter", "cursor", "startAfter")
        )
        start = _after(cursor) if cursor else f"{after}\0" if after else ""
        include = _included(given.get("include"))
        listing = await self._bucket.list(rows.Page(prefix, delimiter, start, _limit(given.get("limit"))))
        fields = {"http": "httpMetadata" in include, "custom": "customMetadata" in include, "ranged": False}
        return {
            "objects": [stored.to_wire(**fields) for stored in listing.objects],
            "delimitedPrefixes": list(listing.prefixes),
            "cursor": listing.last and base64.b64encode(listing.last.encode()).decode(),
        }

    async def _create(self, key: object, options: object = None) -> str:
        given, name = _options(options), parse_key(key)
        metadata = parse_metadata(given, key_md5(given.get("ssecKey")).md5)
        return await self._bucket.uploads.create(name, metadata)

    async def _upload_part(self, key: object, upload: object, number: object, value: object, *_: object) -> object:
        part, content = _part_number(number), _content(value, "'uploadPart' on 'R2MultipartUpload'")
        chunks = limited(_once(content) if isinstance(content, bytes) else content, MAX_PART_BYTES)
        return [part, await self._bucket.uploads.put_part(js_string(upload), parse_key(key), part, chunks)]

    async def _complete(self, key: object, upload: object, parts: object) -> object:
        name, id, bucket = parse_key(key), js_string(upload), self._bucket
        chosen = await bucket.uploads.choose(id, name, _named(parts))
        size = sum(part.size for part in chosen.parts)
        joined = await asyncio.to_thread(bucket.uploads.join, chosen.parts) if size else None
        content = Content(size, {}, b"" if joined is None else None, joined)
        stored = await bucket.place(name, content, chosen.metadata, chosen.etag, {})
        await bucket.uploads.end(id)
        return stored and stored.to_wire(ranged=False)

    async def _abort(self, key: object, upload: object) -> None:
        await self._bucket.uploads.end(js_string(upload))


def _headed(found: Found) -> object:
    if found.file is not None:
        found.file.close()
    return [found.stored.to_wire(), None]


async def _part(found: Found, part: Range) -> object:
    head = found.stored.to_wire(part.offset, part.length)
    if found.file is None:
        content = found.stored.content or b""
        return [head, content[part.offset : part.offset + part.length]]
    if part.length > INLINE_BYTES:
        return HostStream(BlobStream(found.file, part.offset, part.length), {"object": head})
    content = await asyncio.to_thread(found.file.part, part.offset, part.length)
    found.file.close()
    return [head, content]


def _options(options: object) -> Mapping[str, Any]:
    return options if isinstance(options, dict) else {}


def _text(given: Mapping[str, Any], name: str) -> str:
    """ "" where it is not given. Raises CallError."""
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise errors.wrong_field(name, "ListOptions", "string")
    return value or ""


def _included(given: object) -> Sequence[object]:
    """Raises CallError."""
    if given is not None and not isinstance(given, list):
        raise errors.wrong_field("include", "ListOptions", "Array")
    for name in given or ():
        if name not in ("httpMetadata", "customMetadata"):
            raise CallError("RangeError", f"Unsupported include value {js_string(name)}")
    return given or ()


def _part_number(given: object) -> int:
    """A number, or its text. Raises CallError."""
    if not 1 <= (number := js_integer(given)) <= MAX_PARTS:
        what = f"Part number must be between 1 and {MAX_PARTS} (inclusive). Actual value was: {number}"
        raise errors.type_error(what)
    return number


def _content(value: object, call: str) -> bytes | AsyncIterator[bytes]:
    """Raises CallError."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | WorkerStream):
        return value
    text = "parameter 2 is not of type 'JsReadableStream or ArrayBuffer or ArrayBufferView or string or Blob'."
    raise errors.type_error(f"Failed to execute {call}: {text}")


def _limit(given: object) -> int:
    if given is None:
        return MAX_PAGE
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MAX_PAGE:
        raise errors.bad_page()
    return given


def _after(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, validate=True).decode()
    except (binascii.Error, ValueError):
        raise R2Error(10020, "The cursor is none of this bucket's.") from None


def _named(parts: object) -> list[tuple[int, str]]:
    if not isinstance(parts, list):
        what = "Failed to execute 'complete' on 'R2MultipartUpload': parameter 1 is not of type 'Array'."
        raise errors.type_error(what)
    for at, part in enumerate(parts):
        if not isinstance(part, dict):
            what = f"Incorrect type for array element {at}: the provided value is not of type 'UploadedPart'."
            raise errors.type_error(what)
    return [(_part_number(part.get("partNumber")), js_string(part.get("etag"))) for part in parts]


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


__all__ = ["R2Binding"]
