"""ASGI's types, of HTTP alone, and those of a body: https://asgi.readthedocs.io/en/latest/specs/www.html"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypedDict

Headers = list[tuple[bytes, bytes]]  # names in lower case


class Scope(TypedDict):
    """One request's head. ``raw_path`` is as it was sent, ``path`` decoded and with ``root_path`` taken off."""

    type: str
    http_version: str
    method: str
    scheme: str
    path: str
    raw_path: bytes
    query_string: bytes
    root_path: str
    headers: Headers
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None


Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyStream(Protocol):
    """A body as it comes. Whoever has it closes it."""

    def __aiter__(self) -> BodyStream: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


Body = bytes | BodyStream | None

__all__ = ["Application", "Body", "BodyStream", "Headers", "Message", "Receive", "Scope", "Send"]
