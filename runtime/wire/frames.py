"""How frames lie in the stream of bytes: a 4-byte little-endian length, and a msgpack array of frames."""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.wire.protocol import Frame

MAX_FRAME_BYTES = 64 * 1024 * 1024  # bytes
GATHERED_BYTES = 60 * 1024  # of frames in one message; a larger frame is one by itself
LENGTH_BYTES = 4
_ARRAY32, _ARRAY32_BYTES = b"\xdd", 5  # msgpack: this byte, and the number of elements in four more

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode


def well_formed(value: object) -> Any:
    """Half a surrogate pair, which makes ``encode`` raise UnicodeEncodeError, becomes U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {well_formed(key): well_formed(item) for key, item in value.items()}
    return [well_formed(item) for item in value] if isinstance(value, list | tuple) else value


def encode_well_formed(value: object) -> bytes:
    """As ``encode``, of texts that may have half a surrogate pair."""
    try:
        return encode(value)
    except UnicodeEncodeError:
        return encode(well_formed(value))


def packed(frames: list[bytes], size: int) -> tuple[bytes, ...]:
    """Encoded frames, ``size`` bytes in all, under one length: the parts of a message."""
    return (size + _ARRAY32_BYTES).to_bytes(4, "little"), _ARRAY32, len(frames).to_bytes(4, "big"), *frames


class Unpacker:
    """Bytes in, as they come; whole frames out. Raises for what is none: see ``MALFORMED``."""

    def __init__(self) -> None:
        self._partial = bytearray()  # a message that is not whole yet; grows in place, for it may be large

    def __call__(self, data: bytes) -> list[Frame]:
        if not self._partial:
            if int.from_bytes(data[:LENGTH_BYTES], "little") == len(data) - LENGTH_BYTES:  # as nearly always
                whole: list[Frame] = decode(data[LENGTH_BYTES:])
                return whole
            frames, end = _frames(data)
            self._partial += data[end:]
            return frames
        self._partial += data
        frames, end = _frames(self._partial)
        del self._partial[:end]
        return frames


def _frames(data: bytes | bytearray) -> tuple[list[Frame], int]:
    """The frames of all whole messages, and where those end."""
    frames: list[Frame] = []
    at, end = 0, len(data)
    with memoryview(data) as view:
        while end - at >= 4:
            size = int.from_bytes(view[at : at + 4], "little")
            if size > MAX_FRAME_BYTES + _ARRAY32_BYTES:
                raise ValueError(f"{size} bytes at once")
            if end - at - 4 < size:
                break
            frames += decode(view[at + 4 : at + 4 + size])
            at += 4 + size
    return frames, at


MALFORMED = (msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
