"""The opening handshake, on both sides. RFC 6455, section 4."""

from __future__ import annotations

import base64
import binascii
import os
from hashlib import sha1

from runtime.errors import RequestError, ScriptError
from runtime.web.headers import RawHeaders

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = b"13"
_OURS = frozenset({
    b"connection", b"upgrade", b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-key",
    b"sec-websocket-version", b"content-length", b"transfer-encoding",
})  # fmt: skip


def asks(headers: RawHeaders) -> bool:
    """Whether a request with these headers asks for a WebSocket."""
    return any(name.lower() == b"upgrade" and value.strip().lower() == b"websocket" for name, value in headers)


def accepted(method: str, http_version: str, request: RawHeaders, answer: RawHeaders) -> RawHeaders:
    """The headers of the answer that opens the socket. Raises ScriptError where none was asked for, RequestError for
    an opening that is none."""
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
    return [*ours, *(pair for pair in answer if pair[0] not in _OURS)]


def opening(headers: RawHeaders) -> tuple[RawHeaders, bytes]:
    """The headers that ask another server for a socket, and what it has to answer with."""
    key = base64.b64encode(os.urandom(16))
    ours = [
        (b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-version", _VERSION),
        (b"sec-websocket-key", key),
    ]  # fmt: skip
    return [*(pair for pair in headers if pair[0].lower() not in _OURS), *ours], _answer(key)


def _answer(key: bytes) -> bytes:
    return base64.b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


__all__ = ["accepted", "asks", "opening"]
