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
_KNOWN_CHARS = 256  # of a URL that is kept
ASGI_VERSION = {"version": "3.0", "spec_version": "2.4"}


def of(request: Request, env: object, state: Mapping[str, Any]) -> dict[str, Any]:
    """The scope of an HTTP request; ``type`` says if it asks for a WebSocket."""
    headers, root = request.raw_headers(), current_root.get()
    url, known = request.url, dict(headers)
    scheme, server, path, raw_path, query = (_known if len(url) <= _KNOWN_CHARS else _asked)(url, root)
    address = known.get(b"cf-connecting-ip")
    return {
        "type": "websocket" if known.get(b"upgrade", b"").lower() == b"websocket" else "http",
        "method": str(request.method),  # whose type extensions in C insist on
        "asgi": ASGI_VERSION,
        "http_version": "1.1",
        "scheme": scheme,
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
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


def _asked(url: str, root: str) -> tuple[str, tuple[str, int], str, bytes, bytes]:
    """Its scheme, host and port, path, that as it was sent, query."""
    plain = _PLAIN.fullmatch(url)
    if plain is None or "/." in plain[2] or "/%2" in plain[2]:  # the path may lead up
        known = URL(url)
        origin, asked, query = known.origin, known.pathname, known.search.removeprefix("?")
    else:
        origin, asked, query = plain.groups()
    path = root + asked
    return *_server(origin), unquote(path) if "%" in path else path, path.encode(), (query or "").encode()


_known = lru_cache(256)(_asked)  # the same few, again and again


@lru_cache(256)  # the same few, again and again
def _server(origin: str) -> tuple[str, tuple[str, int]]:
    """Its scheme, its host and port."""
    url = URL(origin)
    scheme = url.protocol.removesuffix(":")
    return scheme, (url.hostname, int(url.port or (443 if scheme == "https" else 80)))


__all__ = ["ASGI_VERSION", "App", "Message", "Receive", "Send", "of", "of_websocket"]
