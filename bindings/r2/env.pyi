"""What type checkers are told of ``env.NAME`` of an R2 bucket: ``worker.py`` does it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, TypedDict

from bindings.r2.objects import R2Object, R2ObjectBody
from runtime.values import JsDict
from runtime.web import Blob, Headers, ReadableStream

_Body = str | bytes | bytearray | memoryview | Blob | ReadableStream | AsyncIterator[bytes] | None
_HttpMetadata = Mapping[str, Any] | Headers
_Conditional = Mapping[str, Any] | Headers

class R2GetOptions(TypedDict, total=False):
    range: Mapping[str, int] | Headers
    onlyIf: _Conditional
    ssecKey: object

class R2PutOptions(TypedDict, total=False):
    onlyIf: _Conditional
    httpMetadata: _HttpMetadata
    customMetadata: Mapping[str, str]
    md5: str | bytes
    sha1: str | bytes
    sha256: str | bytes
    sha384: str | bytes
    sha512: str | bytes
    storageClass: str
    ssecKey: object

class R2ListOptions(TypedDict, total=False):
    limit: int
    prefix: str
    cursor: str
    delimiter: str
    startAfter: str
    include: Sequence[Literal["httpMetadata", "customMetadata"]]

class R2Bucket:
    async def head(self, key: str) -> R2Object | None: ...
    async def get(
        self,
        key: str,
        options: R2GetOptions = ...,
        *,
        range: Mapping[str, int] | Headers = ...,
        onlyIf: _Conditional = ...,
        ssecKey: object = ...,
    ) -> R2ObjectBody | None: ...
    async def put(
        self,
        key: str,
        value: _Body,
        options: R2PutOptions = ...,
        *,
        onlyIf: _Conditional = ...,
        httpMetadata: _HttpMetadata = ...,
        customMetadata: Mapping[str, str] = ...,
        md5: str | bytes = ...,
        sha1: str | bytes = ...,
        sha256: str | bytes = ...,
        sha384: str | bytes = ...,
        sha512: str | bytes = ...,
        storageClass: str = ...,
        ssecKey: object = ...,
    ) -> R2Object | None: ...
    async def delete(self, keys: str | Sequence[str]) -> None: ...
    async def list(
        self,
        options: R2ListOptions = ...,
        *,
        limit: int = ...,
        prefix: str = ...,
        cursor: str = ...,
        delimiter: str = ...,
        startAfter: str = ...,
        include: Sequence[Literal["httpMetadata", "customMetadata"]] = ...,
    ) -> JsDict: ...
    async def createMultipartUpload(
        self,
        key: str,
        options: Mapping[str, Any] = ...,
        *,
        httpMetadata: _HttpMetadata = ...,
        customMetadata: Mapping[str, str] = ...,
        storageClass: str = ...,
        ssecKey: object = ...,
    ) -> R2MultipartUpload: ...
    def resumeMultipartUpload(self, key: str, uploadId: str) -> R2MultipartUpload: ...

class R2MultipartUpload:
    key: str
    uploadId: str
    async def uploadPart(self, partNumber: int, value: _Body) -> JsDict: ...
    async def complete(self, parts: Sequence[Mapping[str, Any]]) -> R2Object: ...
    async def abort(self) -> None: ...
