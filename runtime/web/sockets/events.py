"""What the listeners of a socket are called with. https://websockets.spec.whatwg.org/ and the DOM standard."""

from __future__ import annotations

from typing import Any

from runtime.web.array_buffer import ArrayBuffer


class Event:
    """``target`` is the socket."""

    __slots__ = ("target", "type")

    def __init__(self, type: str, target: object = None) -> None:
        self.type, self.target = type, target

    @property
    def currentTarget(self) -> Any:
        return self.target

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.type}>"


class MessageEvent(Event):
    """``data``: a text; of a binary message a Blob, or an ArrayBuffer as the socket's ``binaryType`` says."""

    __slots__ = ("data",)

    def __init__(self, target: object, data: object) -> None:
        self.type, self.target, self.data = "message", target, data


class CloseEvent(Event):
    __slots__ = ("code", "reason", "wasClean")

    def __init__(self, target: object, code: int, reason: str, clean: bool) -> None:
        super().__init__("close", target)
        self.code, self.reason, self.wasClean = code, reason, clean


class ErrorEvent(Event):
    __slots__ = ("error", "message")

    def __init__(self, target: object, message: str) -> None:
        super().__init__("error", target)
        self.message, self.error = message, Exception(message)


__all__ = ["ArrayBuffer", "CloseEvent", "ErrorEvent", "Event", "MessageEvent"]
