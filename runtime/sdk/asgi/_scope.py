"""What an application is told of a request. https://asgi.readthedocs.io/en/latest/specs/www.html"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from runtime.web import URL, Request
from runtime.web.scope import current_root

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# What the parser would leave as it is: two thirds of the time that a scope takes is its.
_PLAIN = re.compile(
    r"(https?)://([^/?#@\\]+)(/[-A-Za-z0-9._~!$&'()*+,;=:@%/]*)(?:\?([-A-Za-z0-9._~!$&()*+,;=:@%/?]*))?"
)
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
    asked, root = _asked(request.url), current_root.get()
    return {
        "asgi": ASGI_VERSION,
        "http_version": "1.1",
        "scheme": schemes[asked.secure],
        "path": unquote(root + asked.path),
        "raw_path": (root + asked.path).encode(),
        "query_string": asked.query.encode(),
        "root_path": root,
        "headers": request.headers.raw(),
        "server": asked.server,
        "client": _client(request),
        "env": env,
    }


class _Asked(NamedTuple):
    secure: bool
    path: str
    query: str
    server: tuple[str, int]


def _asked(url: str) -> _Asked:
    plain = _PLAIN.fullmatch(url)
    if plain is None or "/." in plain[3] or "/%2" in plain[3]:  # the path may lead up
        known = URL(url)
        return _Asked(known.protocol == "https:", known.pathname, known.search.removeprefix("?"), _server(known.origin))
    return _Asked(plain[1] == "https", plain[3], plain[4] or "", _server(f"{plain[1]}://{plain[2]}"))


@lru_cache(256)  # the same few, again and again
def _server(origin: str) -> tuple[str, int]:
    url = URL(origin)
    return url.hostname, int(url.port or (443 if url.protocol == "https:" else 80))


def _client(request: Request) -> tuple[str, int] | None:
    address = request.headers.get("cf-connecting-ip")
    return None if address is None else (address, 0)


__all__ = ["ASGI_VERSION", "App", "Message", "Receive", "Send", "http", "is_websocket", "websocket"]
