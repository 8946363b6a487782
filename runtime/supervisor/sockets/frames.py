"""Frames on a connection, both ways. RFC 6455, section 5; of extensions, permessage-deflate (``deflate``).

A connection that rests costs nothing here but the reader itself, which is why this is not ``websockets.protocol``: that
has several kilobytes of its own for each, and answers a Close frame where a worker may have to.
"""

from __future__ import annotations

import os
from struct import Struct

from websockets.utils import apply_mask as _slow_mask

from runtime.supervisor.sockets.deflate import Deflate, inflated
from runtime.supervisor.sockets.ends import (
    INVALID_DATA,
    NO_CODE,
    PROTOCOL_ERROR,
    TOO_LARGE,
    Content,
    Violation,
    is_sendable,
)

try:
    from websockets.speedups import apply_mask
except ImportError:  # where its wheel has no compiled part
    apply_mask = _slow_mask

MESSAGE, CLOSE, PING, PONG = 0, 8, 9, 10
_CONTINUATION, _TEXT, _BINARY = 0, 1, 2
_MAX_CONTROL = 125  # bytes
_FIN, _RESERVED, _DEFLATED, _MASKED = 0x80, 0x70, 0x40, 0x80
_SHORT, _LONG, _CODE = Struct("!H"), Struct("!Q"), Struct("!H")

Event = tuple[int, Content | tuple[int, str]]
"""(MESSAGE, its content), (PING or PONG, bytes) or (CLOSE, (code, reason))."""


class Reader:
    """Bytes in, as they come; events out, as they are wanted. ``masked``: the peer is a client. ``limit``: bytes of a
    message. ``deflates``: it may deflate them."""

    __slots__ = ("_at", "_deflates", "_kind", "_limit", "_masked", "_parts", "_rest", "_size")

    def __init__(self, masked: bool, limit: int, deflates: bool = False) -> None:
        self._masked, self._limit, self._deflates = masked, limit, deflates
        self._rest: bytes | bytearray = b""  # what has come and was not looked at, from ``_at`` on
        self._parts: list[bytes] | None = None  # of a message that is not whole
        self._at = self._kind = self._size = 0  # kind and size: of that message

    @property
    def held(self) -> int:
        """Bytes that are kept here."""
        return self._size + len(self._rest) - self._at

    def feed(self, data: bytes) -> None:
        if self._rest:
            self._compact()
            self._rest += data
        else:
            self._rest = data

    def next(self) -> Event | None:
        """None: the next one is not whole. Raises Violation, which nothing comes after."""
        while True:
            frame = self._frame()
            if frame is None:
                self._compact()
                return None
            event = self._event(*frame)
            if event is not None:
                return event

    def _compact(self) -> None:
        """What was looked at is kept no more."""
        if self._at == len(self._rest):
            self._rest = b""
        elif self._at or not isinstance(self._rest, bytearray):
            self._rest = bytearray(memoryview(self._rest)[self._at :])  # which grows in place, for it may be large
        self._at = 0

    def _frame(self) -> tuple[int, bytes] | None:
        """(first byte, payload)."""
        data = self._rest
        head = self._head(data, self._at, len(data))
        if head is None:
            return None
        first, start, size, mask = head
        if len(data) - start < size:
            return None
        payload = bytes(memoryview(data)[start : start + size])
        self._at = start + size
        return first, apply_mask(payload, mask) if mask else payload

    def _head(self, data: bytes | bytearray, at: int, end: int) -> tuple[int, int, int, bytes] | None:
        """(first byte, where the payload begins, its size, its mask); None: not whole yet."""
        if end - at < 2:
            return None
        first, size = data[at], data[at + 1] & 0x7F
        masked, start = data[at + 1] >= _MASKED, at + 2
        if masked != self._masked:
            raise Violation(PROTOCOL_ERROR, "incorrect masking")
        if size > _MAX_CONTROL:
            form = _SHORT if size == 126 else _LONG
            if end - start < form.size:
                return None
            size = form.unpack_from(data, start)[0]
            start += form.size
        self._check(first, size)
        if not masked:
            return first, start, size, b""
        return (first, start + 4, size, bytes(data[start : start + 4])) if end - start >= 4 else None

    def _check(self, first: int, size: int) -> None:
        opcode = first & 0x0F
        if first & _RESERVED and not self._is_deflated(first):
            raise Violation(PROTOCOL_ERROR, "reserved bits must be 0")
        if opcode >= CLOSE:
            if opcode > PONG or size > _MAX_CONTROL or not first & _FIN:
                raise Violation(PROTOCOL_ERROR, "invalid control frame")
        elif opcode > _BINARY or (opcode == _CONTINUATION) != (self._parts is not None):
            raise Violation(PROTOCOL_ERROR, "unexpected frame")
        elif self._size + size > self._limit:
            raise Violation(TOO_LARGE, f"Message is too large: {self._size + size} > {self._limit}")

    def _is_deflated(self, first: int) -> bool:
        return self._deflates and first & _RESERVED == _DEFLATED and first & 0x0F in (_TEXT, _BINARY)

    def _event(self, first: int, payload: bytes) -> Event | None:
        opcode = first & 0x0F
        if opcode >= CLOSE:
            return (opcode, _closing(payload)) if opcode == CLOSE else (opcode, payload)
        if self._parts is None and first & _FIN:
            return MESSAGE, self._content(first, payload)
        return self._fragment(first, payload)

    def _fragment(self, first: int, payload: bytes) -> Event | None:
        if self._parts is None:
            self._parts, self._kind = [], first
        self._parts.append(payload)
        self._size += len(payload) + _PART_BYTES
        if not first & _FIN:
            return None
        whole = b"".join(self._parts)
        self._parts, self._size = None, 0
        return MESSAGE, self._content(self._kind, whole)

    def _content(self, first: int, whole: bytes) -> Content:
        if first & _DEFLATED:
            whole = inflated(whole, self._limit)
        return _text(whole) if first & 0x0F == _TEXT else whole


_PART_BYTES = 64  # what a fragment costs besides its content


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Violation(INVALID_DATA, "text that is not UTF-8") from None


def _closing(payload: bytes) -> tuple[int, str]:
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise Violation(PROTOCOL_ERROR, "invalid Close frame")
    code = _CODE.unpack_from(payload)[0]
    if not is_sendable(code):
        raise Violation(PROTOCOL_ERROR, f"invalid close code {code}")
    return code, _text(payload[2:])


def message(content: Content, mask: bool, deflate: Deflate | None = None) -> bytes:
    """The frame of a whole message."""
    opcode, payload = (_TEXT, content.encode()) if isinstance(content, str) else (_BINARY, content)
    if deflate is not None and (packed := deflate.deflated(payload)) is not None:
        return _frame(opcode | _DEFLATED, packed, mask)
    return _frame(opcode, payload, mask)


def closing(code: int, reason: str, mask: bool) -> bytes:
    payload = b"" if code == NO_CODE else _CODE.pack(code) + _shortened(reason)
    return _frame(CLOSE, payload, mask)


def pong(payload: bytes, mask: bool) -> bytes:
    return _frame(PONG, payload, mask)


def _frame(opcode: int, payload: bytes, mask: bool) -> bytes:
    size, flag = len(payload), _MASKED if mask else 0
    if size <= _MAX_CONTROL:
        head = bytes((_FIN | opcode, flag | size))
    elif size < 1 << 16:
        head = bytes((_FIN | opcode, flag | 126)) + _SHORT.pack(size)
    else:
        head = bytes((_FIN | opcode, flag | 127)) + _LONG.pack(size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + apply_mask(payload, key)


def _shortened(reason: str) -> bytes:
    """As much of it as a Close frame holds."""
    return reason.encode()[: _MAX_CONTROL - 2].decode(errors="ignore").encode()


__all__ = ["CLOSE", "MESSAGE", "PING", "PONG", "Reader", "Violation", "closing", "message", "pong"]
