"""What a socket is made of: two ends, joined."""

from __future__ import annotations

from typing import Protocol

NORMAL, AWAY, PROTOCOL_ERROR, NO_CODE, ABNORMAL, INVALID_DATA, TOO_LARGE, FAILED, RESTARTS, TRY_LATER = (
    1000, 1001, 1002, 1005, 1006, 1007, 1009, 1011, 1012, 1013,
)  # fmt: skip
"""Close codes (RFC 6455, section 7.4.1). 1005 and 1006 are never sent: there was none; there was no Close frame."""

LEFT = "WebSocket disconnected without sending Close frame."

Content = str | bytes
"""A message: text or binary."""


class Violation(Exception):
    """What the peer may not send, with the code to close with."""

    def __init__(self, code: int, why: str) -> None:
        self.code = code
        super().__init__(why)


class End(Protocol):
    """One end. Each method but ``begin`` is what the other end has to say."""

    other: End | None

    def begin(self) -> None:
        """It is joined: what has come is for ``other``."""

    def take(self, content: Content) -> None:
        """A message."""

    def close(self, code: int, reason: str) -> None:
        """It has begun to close, or answers this end's having done so."""

    def lose(self, code: int, reason: str, error: str = "") -> None:
        """It is gone, without more. ``error``: what went wrong, if that was it."""

    def hold(self, full: bool) -> None:
        """It can take no more for now; False: it can again."""


def is_sendable(code: int) -> bool:
    """Whether a Close frame may have this code."""
    return 3000 <= code < 5000 or (1000 <= code < 1015 and code not in (1004, NO_CODE, ABNORMAL))


def join(one: End, other: End) -> None:
    one.other, other.other = other, one
    one.begin()
    other.begin()


__all__ = [
    "ABNORMAL", "AWAY", "FAILED", "INVALID_DATA", "LEFT", "NORMAL", "NO_CODE", "PROTOCOL_ERROR", "RESTARTS",
    "TOO_LARGE", "TRY_LATER", "Content", "End", "Violation", "is_sendable", "join",
]  # fmt: skip
