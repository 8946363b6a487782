"""Outbound WebSockets: asked for as any fetch is, with its rules and redirects; what answers 101 is a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

from msgspec.structs import replace
from websockets.exceptions import NegotiationError

from runtime.supervisor.outbound import FetchError, Outbound, OutboundAnswer
from runtime.supervisor.outbound.rules import RawHeaders
from runtime.supervisor.sockets import deflate, handshake
from runtime.supervisor.sockets.connection import Connection
from runtime.supervisor.sockets.deflate import Deflate
from runtime.supervisor.sockets.quota import Quota

_PATIENCE_S = 60.0  # in which a server takes what waits for it


class _Early:
    """aiohttp's parser of a connection that is HTTP's no more: what came with the answer."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """The connection itself says so."""


async def opened(
    outbound: Outbound, method: str, url: str, headers: RawHeaders, body: bytes | AsyncIterator[bytes] | None,
    redirect: str, quota: Quota, deflates: bool,
) -> OutboundAnswer:  # fmt: skip
    """An answer with a ``socket``, or the server's refusal. Raises FetchError, ScriptError beyond the quota."""
    if method != "GET":
        raise FetchError(url[:100], f"a WebSocket is asked for by GET, not {method}")
    kept, ours, proof = handshake.opening(headers, deflates)
    answer = await outbound.fetch(method, url, kept, body, redirect, hop=ours)
    if answer.status != 101:
        return answer
    try:
        if dict(answer.headers).get(b"sec-websocket-accept") != proof:
            raise FetchError(url[:100], "it answered 101 without opening a WebSocket")
        agreed = _agreed(url, answer, (deflate.HEADER, deflate.OFFER) in ours)
        quota.enter()
        return _with_socket(answer, quota, agreed)
    except BaseException:
        await answer.chunks.aclose()
        raise


def _agreed(url: str, answer: OutboundAnswer, offered: bool) -> Deflate | None:
    try:
        return deflate.agreed(answer.headers, offered)
    except NegotiationError as error:
        raise FetchError(url[:100], f"it answered 101 with extensions that it cannot have: {error}") from None


def _with_socket(answer: OutboundAnswer, quota: Quota, agreed: Deflate | None) -> OutboundAnswer:
    response = answer.chunks.response
    link, early = cast(Any, response.connection), _Early()
    protocol, transport = link.protocol, link.transport

    def ended(_: Connection) -> None:
        quota.open -= 1
        response.close()

    protocol.read_timeout = None
    protocol.set_parser(early, early)
    socket = Connection(transport, quota, _PATIENCE_S, ended, client=True, deflate=agreed)
    socket.early = early.data
    headers = [pair for pair in answer.headers if pair[0] != b"sec-websocket-accept"]
    return replace(answer, headers=headers, socket=socket)


__all__ = ["opened"]
