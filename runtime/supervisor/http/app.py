"""The ASGI application: the products' own routes first, for whom ``admission`` lets in, then the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import msgspec

from bindings.base import Route
from runtime import web
from runtime.api import envelope
from runtime.errors import RequestError
from runtime.supervisor.http import pages
from runtime.supervisor.http.admission import OwnNames, header
from runtime.supervisor.http.asgi import Body, Receive, Scope, Send
from runtime.supervisor.http.dispatch import Dispatch
from runtime.supervisor.http.exchange import Exchange

if TYPE_CHECKING:
    from starlette.routing import Route as Matcher


class App:
    """``routes()`` are matched on the decoded path, and answer to ``names`` alone; everything else is the worker's.
    They are made for the first request whose path begins as one of ``paths``, as all of theirs do: most of what they
    need is needed by nothing else, and most workers are asked for nothing there."""

    def __init__(
        self,
        dispatch: Dispatch,
        paths: Iterable[str],
        routes: Callable[[], Iterable[Route]],
        body_limit: Callable[[], int],
        names: OwnNames,
    ) -> None:
        self._dispatch, self._limit, self._names = dispatch, body_limit, names
        self._paths, self._make = tuple(dict.fromkeys(paths)), routes

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["path"].startswith(self._paths):
            for matcher, route in self._routes:
                match, child_scope = matcher.matches(cast(dict[str, Any], scope))
                if match.name == "FULL" and route.when():
                    return self._serve(route, child_scope["path_params"], scope, receive, send)
        return self._dispatch(scope, receive, send)

    def at_once(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """As ``Dispatch.at_once``."""
        return not scope["path"].startswith(self._paths) and self._dispatch.at_once(scope, receive, send)

    @cached_property
    def _routes(self) -> list[tuple[Matcher, Route]]:
        routes = list(self._make())
        lost = [route.path for route in routes if not route.path.startswith(self._paths)]
        assert not lost, f"nobody would be led to {lost}"
        return [(_matcher(route), route) for route in routes]

    async def _serve(self, route: Route, params: dict[str, Any], scope: Scope, receive: Receive, send: Send) -> None:
        try:
            exchange, body = self._exchange(scope, receive, send, route.body_limit or self._limit())
        except ValueError:
            return await self._dispatch(scope, receive, send)  # which refuses it

        async def run(exchange: Exchange) -> None:
            exchange.watch()
            try:
                response = self._refusal(route, scope)
                if response is None:
                    url, caller = _url(scope), _caller(scope)
                    request = web.Request.from_parts(scope["method"], url, scope["headers"], body, cf=caller)
                    response = await route.handler(request, **params)
                status, _, headers, content = response.to_parts()
                if not isinstance(content, bytes | None):
                    exchange.uses(content)
                await exchange.answer(status, headers, cast(Body, content))
            finally:
                exchange.unwatch()

        await self._dispatch.serve(exchange, run)

    def _refusal(self, route: Route, scope: Scope) -> web.Response | None:
        """For whom this route is not: in JSON, where clients of every API find the message; a page for a browser."""
        try:
            self._names.check(scope, None if route.origins is None else route.origins())
        except RequestError as error:
            if pages.wants_html(header(scope["headers"], b"accept") or ""):
                raise
            body = envelope.failure([{"code": error.status, "message": str(error)}])
            content = msgspec.json.encode({**body, "error": {"message": str(error)}})
            return web.Response(content, status=error.status, headers={"content-type": "application/json"})
        return None

    def _exchange(
        self, scope: Scope, receive: Receive, send: Send, limit: int
    ) -> tuple[Exchange, AsyncIterator[bytes] | None]:
        """With the request's body. One that is too large fails when it is read: a product refuses in its own words."""
        try:
            exchange = Exchange(scope, receive, send, limit)
        except RequestError as error:
            return Exchange({**scope, "headers": []}, receive, send, limit), _failing(error)
        return exchange, None if exchange.inbound.done else exchange.inbound.chunks()


async def _failing(error: Exception) -> AsyncIterator[bytes]:
    raise error
    yield b""  # type: ignore[unreachable]  # which makes this a generator


def _caller(scope: Scope) -> dict[str, str]:
    """Who asks: ``peer`` is their address."""
    return {"peer": scope["client"][0]} if scope["client"] else {}


def _url(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return f"{scope['scheme']}://localhost{scope['raw_path'].decode('latin-1')}" + (f"?{query}" if query else "")


def _matcher(route: Route) -> Matcher:
    from starlette.routing import Route as Matcher

    async def unused(request: object) -> None: ...

    matcher = Matcher(route.path, unused, methods=[route.method])
    if route.method == "*":
        matcher.methods = None  # left out of the call above, it would be GET
    return matcher
