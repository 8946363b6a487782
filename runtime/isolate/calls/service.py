"""Another worker's entrypoint, or one of its own: ``await env.AUTH.fetch(request)``, ``await env.AUTH.check(1)``.

https://developers.cloudflare.com/workers/runtime-apis/bindings/service-bindings/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any

from runtime.isolate import ambient
from runtime.isolate.calls.line import Line
from runtime.isolate.calls.unpacking import CalledStream
from runtime.isolate.gates import until_kept
from runtime.isolate.remote import fits_inline, reference
from runtime.isolate.script.entrypoints import DEFAULT
from runtime.isolate.serving.sockets import fetched
from runtime.values import JsException
from runtime.web import URL, Request, Response
from runtime.web.fetching import send

_MAX_REDIRECTS = 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BODYLESS = frozenset({204, 205, 304})


class Service:
    """What ``binding`` has at ``address``. Reading any attribute but ``fetch`` gives a method to call: whether there is
    such a one, the other worker says then. Each call has an instance of the class to itself."""

    def __init__(self, line: Line, binding: str, address: object = None) -> None:
        self._line, self._at = line, (binding, address)

    async def fetch(self, resource: object, init: Mapping[str, Any] | None = None, **options: Any) -> Response:
        """What that ``fetch`` answers to ``resource``, an absolute URL or a Request. A body that nobody reads passes
        this worker by. Raises TypeError for a URL that is none, JsException with what the other raises."""
        if not isinstance(resource, Request) or init is not None or options:
            resource = _request(resource, init, options)
        return await send(resource, self._followed)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("__"):  # what copy, pickle and others look for
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, method: str, /, *args: object, **options: object) -> Awaitable[Any]:
        return self._line.call(*self._at, method, args, options)

    async def _followed(self, request: Request) -> Response:
        """For the runtime: the answer. A redirect leads to this worker too, whatever its host."""
        for hop in range(_MAX_REDIRECTS + 1):
            response = await self._ask(request)
            location = response.headers.get("location") if response.status in _REDIRECTS else None
            if location is None or request.redirect == "manual":
                return response
            if request.redirect == "error" or hop == _MAX_REDIRECTS:
                break
            request = _redirected(request, response, location)
        raise JsException(f"{request.url} leads elsewhere, and redirect is {request.redirect!r}", "TypeError")

    async def _ask(self, request: Request) -> Response:
        await until_kept()
        method, url, headers, body = request.to_parts()
        stream = None
        if body is not None and not fits_inline(body):
            stream, body = reference(self._line.channel, body), None
        answer = await self._line.request(*self._at, method, url, headers, body, stream)
        status, text, answered, content = answer
        if isinstance(content, list):
            response = Response.from_parts(status, text, answered, None, url=url)
            response.web_socket = fetched(self._line.channel, content[1], "")
            return response
        if isinstance(content, int):
            content = CalledStream(self._line.channel.read(content))
        if method == "HEAD" or status in _BODYLESS:
            if isinstance(content, CalledStream):
                await content.aclose()
            content = None
        return Response.from_parts(status, text, answered, content, url=url)

    def _place(self) -> tuple[str, object]:
        """For the runtime: the binding, and the address there."""
        return self._at

    def __repr__(self) -> str:
        return f"<Fetcher {self._at[0]}>"


def _request(resource: object, init: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Request:
    try:
        return Request(resource, init, **options)
    except TypeError:
        if isinstance(resource, str) and not URL.can_parse(resource):
            raise JsException(f"Invalid URL: {resource}", "TypeError") from None
        raise


def _redirected(request: Request, response: Response, location: str) -> Request:
    """Fetch standard, "HTTP-redirect fetch"; a body has been sent, and is not sent again."""
    drops = response.status == 303 or (response.status in (301, 302) and request.method == "POST")
    method = "GET" if drops and request.method != "HEAD" else request.method
    if not drops and request.body_used:
        raise JsException("A request with a one-time-use body encountered a redirect requiring the body", "TypeError")
    url = URL(location, request.url).href
    return Request(url, method=method, headers=request.headers, redirect=request.redirect)


class _Loopback(Service):
    """One of ``ctx.exports``; called with ``{"props": …}``, the same with these props."""

    def __init__(self, line: Line, entrypoint: str, props: Mapping[str, Any] | None = None) -> None:
        super().__init__(line, "", [entrypoint, dict(props or {})])
        self._entrypoint = entrypoint

    def __call__(self, options: Mapping[str, Any] | None = None, /, **more: Any) -> _Loopback:
        return _Loopback(self._line, self._entrypoint, {**(options or {}), **more}.get("props"))


class Exports:
    """``ctx.exports``: a binding for each entrypoint of this worker, that of ``Default`` is ``default``; for a class of
    which a product keeps instances, that product's."""

    def __init__(self, line: Line, names: Collection[str]) -> None:
        self._line = line
        self._names = {_exported(name): name for name in names}

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            raise AttributeError(f"ctx.exports has no {name!r}; it has: {', '.join(self._names) or 'nothing'}")
        return ambient.find(ambient.EXPORT + name) or _Loopback(self._line, self._names[name])

    def __getitem__(self, name: str) -> Any:
        return self.__getattr__(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def keys(self) -> list[str]:
        return list(self._names)


def _exported(name: str) -> str:
    return "default" if name == DEFAULT else name


__all__ = ["Exports", "Service"]
