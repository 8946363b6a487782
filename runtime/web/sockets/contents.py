"""What a message may be made of, and how a socket may be closed."""

from __future__ import annotations

from runtime.web.blobs import Blob
from runtime.web.codings.texts import well_formed

Content = str | bytes
"""A message: text or binary."""

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
NO_CODE = 1005
ABNORMAL = 1006
_RESERVED = (1004, NO_CODE, ABNORMAL, 1015)
_MAX_REASON_BYTES = 123  # a Close frame holds no more


def content_of(message: object) -> Content:
    if isinstance(message, str):
        return message if message.isascii() else well_formed(message)
    if isinstance(message, bytes | bytearray | memoryview | Blob):
        return bytes(message)
    if message is None or isinstance(message, bool):
        return {None: "undefined", True: "true", False: "false"}[message]
    if isinstance(message, float) and message.is_integer():
        return str(int(message))
    try:
        return bytes(memoryview(message))  # type: ignore[arg-type]  # an array of numpy's, say
    except TypeError:
        return well_formed(str(message))


def check_closing(code: int | None, reason: str | None) -> None:
    if code is None:
        if reason is not None:
            raise TypeError("If you specify a WebSocket close reason, you must also specify a code.")
    elif not 1000 <= int(code) < 5000 or int(code) in _RESERVED:
        raise TypeError(f"Invalid WebSocket close code: {code}.")
    if reason is not None and len(str(reason).encode()) > _MAX_REASON_BYTES:
        raise TypeError(f"A WebSocket close reason cannot be longer than {_MAX_REASON_BYTES} bytes.")


__all__ = ["ABNORMAL", "MAX_MESSAGE_BYTES", "NO_CODE", "Content", "check_closing", "content_of"]
