"""What type checkers are told of ``env.NAME`` of a KV namespace: ``worker.py`` does it."""

from collections.abc import AsyncIterator
from typing import Any, Literal, TypedDict, overload

from runtime.values import JsDict
from runtime.web import ReadableStream

class KVGetOptions(TypedDict, total=False):
    type: Literal["text", "json", "arrayBuffer", "stream"]
    cacheTtl: int | None

class KVPutOptions(TypedDict, total=False):
    expiration: int | None
    expirationTtl: int | None
    metadata: object

class KVListOptions(TypedDict, total=False):
    prefix: str | None
    limit: int | None
    cursor: str | None

_Value = str | bytes | bytearray | memoryview | ReadableStream | AsyncIterator[bytes] | float | bool | None

class KVNamespace:
    @overload
    async def get(self, key: str, type: Literal["text"] = ..., *, cacheTtl: int | None = ...) -> str | None: ...
    @overload
    async def get(self, key: str, type: Literal["json"], *, cacheTtl: int | None = ...) -> Any: ...
    @overload
    async def get(self, key: str, type: Literal["arrayBuffer"], *, cacheTtl: int | None = ...) -> memoryview | None: ...
    @overload
    async def get(self, key: str, type: Literal["stream"], *, cacheTtl: int | None = ...) -> ReadableStream | None: ...
    @overload
    async def get(self, key: str, type: KVGetOptions) -> Any: ...
    @overload
    async def get(
        self, key: list[str], type: Literal["text", "json"] | KVGetOptions = ..., *, cacheTtl: int | None = ...
    ) -> JsDict: ...
    async def getWithMetadata(
        self,
        key: str | list[str],
        type: Literal["text", "json", "arrayBuffer", "stream"] | KVGetOptions = ...,
        *,
        cacheTtl: int | None = ...,
    ) -> JsDict: ...
    async def put(
        self,
        key: str,
        value: _Value,
        options: KVPutOptions = ...,
        *,
        expiration: int | None = ...,
        expirationTtl: int | None = ...,
        metadata: object = ...,
    ) -> None: ...
    async def delete(self, key: str) -> None: ...
    async def list(
        self,
        options: KVListOptions = ...,
        *,
        prefix: str | None = ...,
        limit: int | None = ...,
        cursor: str | None = ...,
    ) -> JsDict: ...
