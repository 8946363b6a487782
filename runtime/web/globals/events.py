"""Event and its kinds, of sockets as of everything else. DOM standard, section 2; HTML standard, 9.4; WebSockets, 4.

A worker makes them by name: ``CloseEvent("close", {"code": 1000})``. The runtime's own are made by ``of``: one for each
message of a socket, so that what such an event does not say costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

_BEGAN = time.perf_counter()


class Event:
    """``Event("name", {"cancelable": True})``. ``target`` is who dispatched it."""

    bubbles = cancelable = composed = defaultPrevented = stopped = False
    target: object = None
    type: str

    def __init__(self, type: str, init: Mapping[str, Any] | None = None, **options: object) -> None:
        self.type, self.timeStamp = str(type), _now()
        given = {**(init or {}), **options}
        for name in ("bubbles", "cancelable", "composed"):
            if given.get(name):
                setattr(self, name, True)
        self._begin(given)

    @classmethod
    def new(cls, type: str, init: Mapping[str, Any] | None = None, **options: object) -> Self:
        """The same, as Pyodide spells it."""
        return cls(type, init, **options)

    @classmethod
    def of(cls, type: str, target: object, **fields: object) -> Self:
        """One of the runtime's, with these attributes."""
        event = cls.__new__(cls)
        event.__dict__.update(fields, type=type, target=target)
        return event

    def _begin(self, given: Mapping[str, Any]) -> None:
        """What a kind of event takes from its ``init``."""

    @cached_property
    def timeStamp(self) -> float:
        """Milliseconds since this process began; of one of the runtime's, when it was first asked."""
        return _now()

    @property
    def currentTarget(self) -> Any:
        return self.target

    def preventDefault(self) -> None:
        self.defaultPrevented = self.cancelable or self.defaultPrevented

    def stopImmediatePropagation(self) -> None:
        self.stopped = True

    def stopPropagation(self) -> None:
        """There is no tree that it could go up."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.type}>"


class CustomEvent(Event):
    """``detail``: whatever its maker wants to say."""

    detail: Any = None

    def _begin(self, given: Mapping[str, Any]) -> None:
        self.detail = given.get("detail")


class MessageEvent(Event):
    """``data``: of a socket a text; of a binary message a Blob or an ArrayBuffer, as its ``binaryType`` says."""

    data: Any = None
    origin = lastEventId = ""

    @classmethod
    def received(cls, target: object, data: object) -> Self:
        """``of`` for what a socket gets, in a quarter of its time."""
        event = cls.__new__(cls)
        event.type, event.target, event.data = "message", target, data
        return event

    def _begin(self, given: Mapping[str, Any]) -> None:
        self.data, self.origin = given.get("data"), given.get("origin", "")
        self.lastEventId = given.get("lastEventId", "")


class CloseEvent(Event):
    """``wasClean``: both sides have said that it ends."""

    code, reason, wasClean = 0, "", False

    def _begin(self, given: Mapping[str, Any]) -> None:
        self.code, self.reason = given.get("code", 0), given.get("reason", "")
        self.wasClean = bool(given.get("wasClean"))


class ErrorEvent(Event):
    message: str = ""
    error: Any = None

    def _begin(self, given: Mapping[str, Any]) -> None:
        self.message, self.error = given.get("message", ""), given.get("error")


def _now() -> float:
    return (time.perf_counter() - _BEGAN) * 1000


__all__ = ["CloseEvent", "CustomEvent", "ErrorEvent", "Event", "MessageEvent"]
