"""The opening handshake, on both sides. RFC 6455, section 4."""

from __future__ import annotations

import base64
import binascii
import os
from hashlib import sha1

from runtime.errors import RequestError, ScriptError
from runtime.supervisor.sockets import deflate
from runtime.supervisor.sockets.asked import asks
from runtime.supervisor.sockets.deflate import Deflate
from runtime.web.headers import RawHeaders

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = b"13"
_OURS = frozenset({
    b"connection", b"upgrade", b"sec-websocket-accept", deflate.HEADER, b"sec-websocket-key", b"sec-websocket-version",
    b"content-length", b"transfer-encoding",
})  # fmt: skip


def accepted(
    method: str, http_version: str, request: RawHeaders, answer: RawHeaders, deflates: bool
) -> tuple[RawHeaders, Deflate | None]:
    """The headers of the answer that opens the socket, and what is agreed on in them. Raises ScriptError where none was
    asked for, RequestError for an opening that is none."""
    if not asks(request):
        raise ScriptError(
            'Worker tried to return WebSocket in a response to a request which did not contain the header "Upgrade: '
            'websocket".'
        )
    if method != "GET" or http_version != "1.1":
        raise RequestError(400, "a WebSocket is opened by GET over HTTP/1.1")
    known = {name: value.strip() for name, value in request}
    if known.get(b"sec-websocket-version") != _VERSION:
        raise RequestError(426, "Sec-WebSocket-Version must be 13")
    key = known.get(b"sec-websocket-key", b"")
    if not _is_key(key):
        raise RequestError(400, "a WebSocket needs a Sec-WebSocket-Key of 16 bytes in base64")
    ours = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade"), (b"sec-websocket-accept", _answer(key))]
    agreed, told = deflate.accepted(request) if deflates else (None, b"")
    if agreed is not None:
        ours.append((deflate.HEADER, told))
    return [*ours, *(pair for pair in answer if pair[0] not in _OURS)], agreed


def opening(headers: RawHeaders, deflates: bool) -> tuple[RawHeaders, RawHeaders, bytes]:
    """What is left of the headers that ask another server for a socket, ours, and what it has to answer with."""
    key = base64.b64encode(os.urandom(16))
    ours = [
        (b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-version", _VERSION),
        (b"sec-websocket-key", key),
    ]  # fmt: skip
    if deflates and deflate.offered(headers):
        ours.append((deflate.HEADER, deflate.OFFER))
    return [pair for pair in headers if pair[0].lower() not in _OURS], ours, _answer(key)


def _answer(key: bytes) -> bytes:
    return base64.b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


__all__ = ["accepted", "opening"]
