"""permessage-deflate, RFC 7692: whether it is spoken, and a message to what is sent of it and back.

*Without context takeover*, either way: each message stands for itself. So a socket at rest has no window of its own, of
which zlib's are 300 KB, and a message is inflated in one piece, of which no more is made than a message may have.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache

from websockets.exceptions import InvalidHeader, InvalidHeaderValue, NegotiationError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from runtime.supervisor.sockets.ends import INVALID_DATA, TOO_LARGE, Violation
from runtime.web.headers import RawHeaders

HEADER = b"sec-websocket-extensions"
_NAME = ServerPerMessageDeflateFactory.name
_SERVER = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
_CLIENT = ClientPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True, client_max_window_bits=None
)
OFFER = build_extension([(_NAME, list(_CLIENT.get_request_params()))]).encode()
_TAIL = b"\x00\x00\xff\xff"  # which ends every deflated message, and is not sent
_SMALL_BYTES = 128  # less than that hardly gets smaller
_LARGE_BYTES = 256 * 1024  # more than that holds every other socket up for milliseconds: it is sent as it is
_SMALLEST_WINDOW, _LARGEST_WINDOW = 9, 15  # bits
_LEVEL = 3  # 6 takes twice as long, for a tenth less


class Deflate:
    """Of one connection. ``window``: bits of the largest that the peer can inflate."""

    __slots__ = ("_window",)

    def __init__(self, window: int) -> None:
        self._window = window

    def deflated(self, payload: bytes) -> bytes | None:
        """None: it is sent as it is."""
        size = len(payload)
        if not _SMALL_BYTES <= size <= _LARGE_BYTES:
            return None
        window = min(self._window, max(_SMALLEST_WINDOW, size.bit_length()))  # a larger one has to be cleared first
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -window, max(1, window - 7))
        packed = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
        return packed[: -len(_TAIL)] if len(packed) - len(_TAIL) < size else None


def inflated(payload: bytes, limit: int) -> bytes:
    """Raises Violation."""
    unpacker = zlib.decompressobj(-_LARGEST_WINDOW)
    try:
        content = unpacker.decompress(payload + _TAIL, limit + 1)
    except zlib.error:
        raise Violation(INVALID_DATA, "a message that cannot be inflated") from None
    if len(content) > limit:
        raise Violation(TOO_LARGE, f"Message is too large: it inflates to more than {limit}")
    return content


def accepted(request: RawHeaders) -> tuple[Deflate | None, bytes]:
    """Of what a client offers, the first that can be: and how it is answered."""
    for name, params in _extensions(request):
        if name == _NAME:
            try:
                answer, agreed = _SERVER.process_request_params(params, [])
            except NegotiationError:
                continue
            return _of(agreed.local_max_window_bits), build_extension([(_NAME, answer)]).encode()
    return None, b""


def offered(headers: RawHeaders) -> bool:
    """Whether a worker's headers would have it offered to another server."""
    return any(name == _NAME for name, _ in _extensions(headers))


def agreed(answer: RawHeaders, offered: bool) -> Deflate | None:
    """What another server has made of ``OFFER``, if it was made. Raises NegotiationError."""
    found = _extensions(answer)
    if not found:
        return None
    if not offered or len(found) > 1 or found[0][0] != _NAME:
        raise NegotiationError("it speaks extensions that it was not offered")
    return _of(_CLIENT.process_response_params(found[0][1], []).local_max_window_bits)


@cache
def _of(window: int) -> Deflate:
    """Those of most sockets are the same."""
    return Deflate(window)


def _extensions(headers: RawHeaders) -> list[tuple[str, Sequence[tuple[str, str | None]]]]:
    """(name, parameters) of each; none of a header that is none."""
    found: list[tuple[str, Sequence[tuple[str, str | None]]]] = []
    for name, value in headers:
        if name.lower() == HEADER:
            try:
                found += parse_extension(value.decode("latin-1"))
            except (InvalidHeader, InvalidHeaderValue):
                continue
    return found


__all__ = ["HEADER", "OFFER", "Deflate", "accepted", "agreed", "inflated", "offered"]
