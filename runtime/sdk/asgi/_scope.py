"""What an application is told of a request. https://asgi.readthedocs.io/en/latest/specs/www.html"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from runtime.web import URL, Request
from runtime.web.scope import current_root

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# What the parser would leave as it is: two thirds of the time that a scope takes is its.
_PLAIN = re.compile(r"(https?://[^/?#@\\]+)(/[-A-Za-z0-9._~!$&'()*+,;=:@%/]*)(?:\?([-A-Za-z0-9._~!$&()*+,;=:@%/?]*))?")
ASGI_VERSION = {"version": "3.0", "spec_version": "2.4"}


def of(request: Request, env: object, state: Mapping[str, Any]) -> dict[str, Any]:
    """The scope of an HTTP request; ``type`` says if it asks for a WebSocket."""
    headers, root = request.raw_headers(), current_root.get()
    origin, asked, query = _asked(request.url)
    known, path, (scheme, server) = dict(headers), root + asked, _server(origin)
    address = known.get(b"cf-connecting-ip")
    return {
        "type": "websocket" if known.get(b"upgrade", b"").lower() == b"websocket" else "http",
        "method": request.method,
        "asgi": ASGI_VERSION,
        "http_version": "1.1",
        "scheme": scheme,
        "path": unquote(path) if "%" in path else path,
        "raw_path": path.encode(),
        "query_string": query.encode() if query else b"",
        "root_path": root,
        "headers": headers,
        "server": server,
        "client": (address.decode("latin-1"), 0) if address is not None else None,
        "env": env,
        "state": {**state},
    }


def of_websocket(scope: dict[str, Any], request: Request) -> dict[str, Any]:
    """From ``of``."""
    asked = (request.headers.get("sec-websocket-protocol") or "").split(",")
    scope.pop("method")
    return {
        **scope,
        "type": "websocket",
        "scheme": {"http": "ws", "https": "wss"}[scope["scheme"]],
        "subprotocols": [name.strip() for name in asked if name.strip()],
        "extensions": {"websocket.http.response": {}},
    }


def _asked(url: str) -> tuple[str, str, str | None]:
    """Its origin, path and query."""
    plain = _PLAIN.fullmatch(url)
    if plain is None or "/." in plain[2] or "/%2" in plain[2]:  # the path may lead up
        known = URL(url)
        return known.origin, known.pathname, known.search.removeprefix("?")
    return plain.groups()  # type: ignore[return-value]


@lru_cache(256)  # the same few, again and again
def _server(origin: str) -> tuple[str, tuple[str, int]]:
    """Its scheme, its host and port."""
    url = URL(origin)
    scheme = url.protocol.removesuffix(":")
    return scheme, (url.hostname, int(url.port or (443 if scheme == "https" else 80)))


__all__ = ["ASGI_VERSION", "App", "Message", "Receive", "Send", "of", "of_websocket"]
