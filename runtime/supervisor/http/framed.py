"""A request as a process is told of it, and what that has answered, which may be anything."""

from __future__ import annotations

from typing import Any, cast

from runtime.errors import ScriptError
from runtime.supervisor.http.asgi import Body, Headers, Scope
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.http.heads import check_size, host, pairs
from runtime.wire import MAX_CHUNK, Channel, flowing

WireBody = bytes | list[Any] | None  # a stream travels as [whose it is, its number], a socket likewise
_NO_ANSWER = "the worker's process sent an answer that is none"


def event_of(exchange: Exchange) -> tuple[int, str, str, Headers]:
    scope = exchange.scope
    headers, query = scope["headers"], scope["query_string"]
    check_size(headers)
    url = f"{scope['scheme']}://{host(scope, exchange.named)}{scope['raw_path'].decode('latin-1')}"
    if query:
        url += "?" + query.decode("latin-1")
    return exchange.number, exchange.method, url, headers


def origin_of(scope: Scope) -> tuple[str, str, str]:
    """(the client's address, its version of HTTP, the path under which the worker is served)."""
    client = scope["client"]
    return client[0] if client else "", scope["http_version"], scope["root_path"]


def parts_of(answer: object) -> tuple[int, Headers, WireBody]:
    """What a process answered, which may be anything. Raises ``ScriptError``."""
    if not isinstance(answer, list) or len(answer) < 4 or not isinstance(answer[0], int):
        raise ScriptError(_NO_ANSWER)
    status, _, headers, body = answer[:4]
    if not (body is None or isinstance(body, bytes)) and not _is_reference(body):
        raise ScriptError(_NO_ANSWER)
    if body is not None and len(body) > MAX_CHUNK:
        raise ScriptError(f"an answer of {len(body)} bytes at once; {MAX_CHUNK} are allowed")
    return status, pairs(headers), body


def flows(channel: Channel, answer: object) -> bool:
    """Whether the body of what a process answered comes by itself, once ``body_of`` has it: the process makes it, or
    it is a stream of ours that does."""
    if not isinstance(answer, list) or len(answer) < 4 or type(answer[0]) is not int or not _is_reference(answer[3]):
        return False
    owner, number = answer[3]
    return owner == "mine" or (owner == "yours" and flowing(channel.offered(number)) is not None)


def _is_reference(body: object) -> bool:
    """Whether it names a stream, or a socket."""
    return (
        isinstance(body, list)
        and len(body) == 2
        and body[0] in ("mine", "yours", "socket")
        and isinstance(body[1], int)
    )


def body_of(channel: Channel, body: WireBody, exchange: Exchange) -> Body:
    """A body that is ours already is not fetched: its source comes out of the channel's keeping."""
    if body is None or isinstance(body, bytes):
        return body
    owner, number = body
    if owner == "mine":
        return channel.read(number)
    source = channel.adopt(number)
    if source is None:
        raise ScriptError("the response's stream was already used", remedy="Return a stream to one response only.")
    exchange.uses(source)
    return cast(Body, source)


__all__ = ["WireBody", "body_of", "event_of", "flows", "origin_of", "parts_of"]
