"""What an application is told of a request. https://asgi.readthedocs.io/en/latest/specs/www.html"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from runtime.web import URL, Request
from runtime.web.scope import current_root

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

ASGI_VERSION = {"version": "3.0", "spec_version": "2.4"}


def is_websocket(request: Request) -> bool:
    return (request.headers.get("upgrade") or "").lower() == "websocket"


def http(request: Request, env: object) -> dict[str, Any]:
    return {"type": "http", "method": request.method, **_common(request, env, ("http", "https"))}


def websocket(request: Request, env: object) -> dict[str, Any]:
    asked = (request.headers.get("sec-websocket-protocol") or "").split(",")
    return {
        "type": "websocket",
        "subprotocols": [name.strip() for name in asked if name.strip()],
        "extensions": {"websocket.http.response": {}},
        **_common(request, env, ("ws", "wss")),
    }


def _common(request: Request, env: object, schemes: tuple[str, str]) -> dict[str, Any]:
    url, root = URL(request.url), current_root.get()
    secure = url.protocol == "https:"
    return {
        "asgi": ASGI_VERSION,
        "http_version": "1.1",
        "scheme": schemes[secure],
        "path": unquote(root + url.pathname),
        "raw_path": (root + url.pathname).encode(),
        "query_string": url.search.removeprefix("?").encode(),
        "root_path": root,
        "headers": request.headers.raw(),
        "server": (url.hostname, int(url.port or (443 if secure else 80))),
        "client": _client(request),
        "env": env,
    }


def _client(request: Request) -> tuple[str, int] | None:
    address = request.headers.get("cf-connecting-ip")
    return None if address is None else (address, 0)


__all__ = ["ASGI_VERSION", "App", "Message", "Receive", "Send", "http", "is_websocket", "websocket"]
