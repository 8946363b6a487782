"""What a bucket answers: an object's metadata, with its body or without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from email.utils import format_datetime
from typing import Any

from bindings.r2.model import FIELDS
from runtime.values import JsDict, JsException, from_json, from_wire
from runtime.values.dates import Moment
from runtime.web import Blob, Headers, ReadableStream

_Bytes = bytes  # inside the class, "bytes" is a method
_USED = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice."


class R2Object:
    """https://developers.cloudflare.com/r2/api/workers/workers-api-reference/#r2object-definition"""

    def __init__(self, head: Mapping[str, Any]) -> None:
        self.key: str = head["key"]
        self.version: str = head["version"]
        self.size: int = head["size"]
        self.etag: str = head["etag"]
        self.httpEtag = f'"{self.etag}"'
        self.uploaded = Moment.fromtimestamp(head["uploaded"].timestamp())  # of those that are listed, a Date upstream
        self.httpMetadata = JsDict({field: from_wire(head["http"].get(field)) for field in FIELDS})
        self.customMetadata = JsDict(head["custom"])
        self.range = head["range"] and JsDict(zip(("offset", "length", "suffix"), (*head["range"], None), strict=True))
        self.checksums = R2Checksums(head["checksums"])
        self.storageClass: str = head["storageClass"]
        self.ssecKeyMd5: str | None = head["ssecKeyMd5"]
        self._expires = head["http"].get("cacheExpiry")

    def writeHttpMetadata(self, headers: Headers) -> None:
        """Set in ``headers`` what ``httpMetadata`` has."""
        for field, name in FIELDS.items():
            if field != "cacheExpiry" and self.httpMetadata[field] is not None:
                headers.set(name, self.httpMetadata[field])
        if self._expires is not None:
            headers.set("expires", format_datetime(self._expires, usegmt=True))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r}, {self.size} bytes>"


class R2ObjectBody(R2Object):
    """Its body can be read once, or returned: ``Response(obj.body)``."""

    def __init__(self, head: Mapping[str, Any], content: bytes | AsyncIterator[bytes]) -> None:
        super().__init__(head)
        self.body = ReadableStream(content, length=head["range"][1])

    @property
    def bodyUsed(self) -> bool:
        return self.body.disturbed

    async def text(self) -> str:
        return _decoded(await self._read())

    async def json(self) -> Any:
        return from_json(await self._read())

    async def blob(self) -> Blob:
        return Blob([await self._read()], type=self.httpMetadata.contentType or "")

    async def arrayBuffer(self) -> memoryview:
        return memoryview(await self._read())

    async def bytes(self) -> memoryview:
        return memoryview(await self._read())

    async def _read(self) -> _Bytes:
        if self.body.disturbed:
            raise JsException(_USED, "TypeError")
        return b"".join([chunk async for chunk in self.body])


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "replace")


class R2Checksums:
    """Bytes, of those that are known; else None."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        self._digests = digests
        self.md5, self.sha1, self.sha256, self.sha384, self.sha512 = (
            memoryview(bytes.fromhex(digests[name])) if name in digests else None
            for name in ("md5", "sha1", "sha256", "sha384", "sha512")
        )

    def toJSON(self) -> JsDict:
        """In hex."""
        return JsDict({name: self._digests.get(name) for name in ("md5", "sha1", "sha256", "sha384", "sha512")})


__all__ = ["R2Checksums", "R2Object", "R2ObjectBody"]
