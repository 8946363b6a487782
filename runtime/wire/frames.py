"""How frames lie in the stream of bytes: a 4-byte little-endian length, and a msgpack array of frames."""

from __future__ import annotations

from typing import Any

import msgspec

MAX_FRAME = 64 * 1024 * 1024
_ARRAY, _HEAD = b"\xdd", 5  # msgpack's array 32: this byte, and the number of frames in four more

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def packed(frames: list[bytes], size: int) -> bytes:
    """Encoded frames, ``size`` bytes in all, under one length."""
    return b"".join(((size + _HEAD).to_bytes(4, "little"), _ARRAY, len(frames).to_bytes(4, "big"), *frames))


class Unpacker:
    """Bytes in, as they come; whole frames out. Raises for what is none: see ``NONSENSE``."""

    def __init__(self) -> None:
        self._rest = bytearray()  # of a message that is not whole yet; grows in place, a message may be large

    def __call__(self, data: bytes) -> list[list[Any]]:
        if not self._rest:
            found, end = _frames(data)
            self._rest += data[end:]
            return found
        self._rest += data
        found, end = _frames(self._rest)
        del self._rest[:end]
        return found


def _frames(data: bytes | bytearray) -> tuple[list[list[Any]], int]:
    """The frames of all whole messages, and where those end."""
    found: list[list[Any]] = []
    at, end = 0, len(data)
    with memoryview(data) as view:
        while end - at >= 4:
            size = int.from_bytes(view[at : at + 4], "little")
            if size > MAX_FRAME + _HEAD:
                raise ValueError(f"{size} bytes at once")
            if end - at - 4 < size:
                break
            found += _decode(view[at + 4 : at + 4 + size])
            at += 4 + size
    return found, at


NONSENSE = (msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
