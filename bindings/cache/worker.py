"""``js.caches`` as the worker sees it. Facts: docs/reference/bindings.md#cache-api.

https://developers.cloudflare.com/workers/runtime-apis/cache/
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import NoReturn

from bindings.cache import fetching
from bindings.cache.fetching import Send
from bindings.client import BindingClient, HostCaller, options_of
from runtime.values import JsException
from runtime.web import URL, ReadableStream, Request, Response

_PHRASES = {414: "URI Too Long", 416: "Range Not Satisfiable"}  # as Python has them since 3.13


class CacheStorage:
    """``caches.default``, and ``await caches.open(name)``."""

    def __init__(self, name: str, caller: HostCaller) -> None:
        self._caller = caller
        self.default = Cache("", caller)

    async def open(self, name: object) -> Cache:
        return Cache(f"named {name}", self._caller)

    async def _fetched(self, request: Request, send: Send) -> Response:
        """For ``fetch``: the answer to a GET, from the default cache where its ``cf`` allows that."""
        if not fetching.wanted(request):
            return await send(request)
        key = fetching.key_of(request)
        if (found := await self.default._find(key, request)) is not None:
            found.url = request.url
            return found
        answer = await send(request)
        await fetching.keep_a_copy(request, answer, self.default._keep)
        return answer

    def __repr__(self) -> str:
        return "<caches>"


class Cache(BindingClient):
    """What is asked for is a URL, or a Request; its method is GET, or nothing is there."""

    product = "Cache"

    async def match(self, request: object, options: object = None, **more: object) -> Response | None:
        """The answer that was put there and is fresh; None: there is none. With ``ignoreMethod`` any method is GET."""
        method, url, headers = _asked(request)
        if not _ignores_method("match", options, more) and method != "GET":
            return None
        return await self._matched(url, headers)

    async def _find(self, key: str, request: Request) -> Response | None:
        return await self._matched(_key(key), list(map(list, request.headers.raw())))

    async def _keep(self, key: str, response: Response, seconds: float | None) -> None:
        """For so long, whatever it says itself; None: as it says."""
        await self._put(_key(key), response, seconds)

    async def _matched(self, url: str, headers: list[list[bytes]]) -> Response | None:
        answer = await self._call("match", (self._name, url, headers))
        if answer is None:
            return None
        status, kept, body = answer if isinstance(answer, list) else (*answer.meta["head"], answer)
        return Response.from_parts(status, _phrase(status), kept, body)

    async def put(self, request: object, response: object) -> None:
        """Keep it for as long as its ``Cache-Control`` or ``Expires`` say. Its body is used."""
        method, url, _ = _asked(request)
        if not isinstance(response, Response):
            raise _type_error("Failed to execute 'put' on 'Cache': parameter 2 is not of type 'Response'.")
        if method != "GET":
            raise _type_error("Cannot cache response to non-GET request.")
        if response.status == 206:
            raise _type_error("Cannot cache response to a range request (206 Partial Content).")
        if "*" in (response.headers.get("vary") or ""):
            raise _type_error("Cannot cache response with 'Vary: *' header.")
        if response.body_used:
            what = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice."
            raise _type_error(what)
        await self._put(url, response, None)

    async def _put(self, url: str, response: Response, seconds: float | None) -> None:
        status, _, headers, body = response.to_parts()
        sent = body if body is None or isinstance(body, bytes) else ReadableStream(body)
        await self._call("put", (self._name, url, status, list(map(list, headers)), sent, seconds))

    async def delete(self, request: object, options: object = None, **more: object) -> bool:
        """Whether there was something."""
        method, url, _ = _asked(request)
        if not _ignores_method("delete", options, more) and method != "GET":
            return False
        return bool(await self._call("delete", (self._name, url)))

    async def _refuse(self, method: str) -> NoReturn:
        raise JsException(f"Failed to execute '{method}' on 'Cache': the method is not implemented.")

    async def add(self, *args: object, **options: object) -> NoReturn:
        await self._refuse("add")

    async def addAll(self, *args: object, **options: object) -> NoReturn:
        await self._refuse("addAll")

    async def keys(self, *args: object, **options: object) -> NoReturn:
        await self._refuse("keys")

    async def matchAll(self, *args: object, **options: object) -> NoReturn:
        await self._refuse("matchAll")


def _asked(request: object) -> tuple[str, str, list[list[bytes]]]:
    """(method, URL without its fragment, headers)."""
    if isinstance(request, Request):
        return request.method, _url(request.url), list(map(list, request.headers.raw()))
    return "GET", _url(str(request)), []


def _key(text: str) -> str:
    """A URL as ``match`` knows it, or any other text as it is."""
    try:
        return _url(text)
    except JsException:
        return text


def _url(text: str) -> str:
    try:
        url = URL(text)
    except TypeError:
        raise _type_error(f"Invalid URL: {text}") from None
    url.hash = ""
    return str(url.href)


def _ignores_method(method: str, options: object, more: Mapping[str, object]) -> bool:
    """Raises JsException."""
    args = () if options is None else (options,)
    given = options_of(args, more, f"'{method}' on 'Cache': parameter 2", "CacheQueryOptions")
    for field in ("ignoreSearch", "ignoreVary"):
        if given.get(field) is not None:
            raise JsException(f"The '{field}' field on 'CacheQueryOptions' is not implemented.")
    return bool(given.get("ignoreMethod"))


def _phrase(status: int) -> str:
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return ""


def _type_error(message: str) -> JsException:
    return JsException(message, "TypeError")


__all__ = ["Cache", "CacheStorage"]
