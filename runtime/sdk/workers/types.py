"""Names for annotations, as the SDK has them."""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPMethod
from typing import Any, NoReturn, Protocol, TypedDict

from runtime.isolate.serving.context import DurableObjectAbort
from runtime.values import JsDict
from runtime.web import Blob, FormData, Headers, ReadableStream, URLSearchParams

JSBody = Blob | bytes | FormData | ReadableStream | URLSearchParams
Body = str | FormData | JSBody
BlobValue = str | bytes | Blob
FormDataValue = str | Blob
HeadersInit = dict[str, str] | list[tuple[str, str]] | Headers


class Context(Protocol):
    """``ctx``."""

    def waitUntil(self, work: Awaitable[Any]) -> None: ...


class DurableObjectContext(Context, Protocol):
    """``ctx`` of a Durable Object."""

    id: Any
    storage: Any

    def abort(self, reason: str | None = None) -> NoReturn: ...


class RequestInitCfProperties(TypedDict, total=False):
    """``cf`` of an outbound request. What is honoured here: docs/bindings/cache-api.md."""

    apps: bool | None
    cacheEverything: bool | None
    cacheKey: str | None
    cacheTags: list[str] | None
    cacheTtl: int
    cacheTtlByStatus: dict[str, int]
    image: object
    mirage: bool | None
    polish: str | None
    resolveOverride: str | None
    scrapeShield: bool | None
    webp: bool | None


class FetchKwargs(TypedDict, total=False):
    """Options of ``fetch`` and ``Request``."""

    headers: HeadersInit | None
    body: Body | None
    method: HTTPMethod | str | None
    redirect: str | None
    cf: RequestInitCfProperties | None


__all__ = [
    "BlobValue", "Body", "Context", "DurableObjectAbort", "DurableObjectContext", "FetchKwargs",
    "FormDataValue", "HeadersInit", "JSBody",
    "JsDict", "RequestInitCfProperties",
]  # fmt: skip
