"""``/_w/NAME/rest``: a worker by its name, where it has no address of its own. It sees ``/rest``."""

from __future__ import annotations

import sys
from collections.abc import Callable

from runtime.supervisor.http.app import App
from runtime.supervisor.http.asgi import Receive, Scope, Send
from runtime.supervisor.http.dispatch import Dispatch
from runtime.supervisor.http.exchange import Exchange

WORKER_PREFIX = "/_w/"


def name_in(scope: Scope) -> str | None:
    """The worker's that the path names; a name needs no decoding."""
    path = scope["path"]
    return path.removeprefix(WORKER_PREFIX).partition("/")[0] if path.startswith(WORKER_PREFIX) else None


def below(scope: Scope, name: str) -> Scope:
    """What is asked of that worker; its path is empty for ``/_w/NAME``."""
    prefix = WORKER_PREFIX + name
    path, raw = scope["path"].removeprefix(prefix), scope["raw_path"].removeprefix(prefix.encode())
    return {**scope, "path": path, "raw_path": raw, "root_path": prefix}


class ByName:
    """The ASGI application of several workers: ``/_w/NAME/`` is each one's that ``find`` knows, everything else
    ``app``'s."""

    def __init__(self, app: App, find: Callable[[str], Dispatch | None]) -> None:
        self._app, self._find = app, find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = name_in(scope) if scope["type"] == "http" else None
        if name is None or (dispatch := self._find(name)) is None:
            return await self._app(scope, receive, send)
        await serve(dispatch, below(scope, name), receive, send)

    def at_once(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """As ``Dispatch.at_once``, of ``app``."""
        return name_in(scope) is None and self._app.at_once(scope, receive, send)


async def serve(dispatch: Dispatch, scope: Scope, receive: Receive, send: Send) -> None:
    """``/_w/NAME`` is no place below which a page's relative links would be the worker's."""
    if scope["path"]:
        return await dispatch(scope, receive, send)
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    headers = [(b"location", scope["root_path"].encode() + b"/" + query)]

    async def run(exchange: Exchange) -> None:
        await exchange.answer(308, headers, None)

    await dispatch.serve(Exchange(scope, receive, send, sys.maxsize), run)


__all__ = ["WORKER_PREFIX", "ByName", "below", "name_in", "serve"]
