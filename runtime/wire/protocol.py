"""What the two ends agree on: the kinds of frames, and what a stream may ask of the channel it is in."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Coroutine
from typing import Any, NamedTuple, Protocol

CALL, RESULT, ERROR, CANCEL, NOTE, PULL, ITEM, END, DROP, ASK, SOCKET = range(11)
UNLIMITED = -1  # as a window, or as credit
WINDOW = 32  # items on their way at a time

Frame = list[Any]  # [kind, number of the call or stream, ...]


class CallNumber(NamedTuple):
    """Of a call that a peer has made. ``channel``: which of this process's channels it came by; 0: there is no call."""

    channel: int
    number: int


NO_CALL = CallNumber(0, 0)
current_call: contextvars.ContextVar[CallNumber] = contextvars.ContextVar("current_call", default=NO_CALL)


class StreamChannel(Protocol):
    """A channel, as its streams know it."""

    serial: int
    """Tells it from the process's others."""

    awaited: set[object]
    """Streams that a reader waits for: the channel's own references to them are weak."""

    congested: bool
    """The peer reads more slowly than it is written to: what it has asked for waits."""

    def send(self, frame: Frame) -> None: ...

    def spawn(
        self, work: Coroutine[Any, Any, None], context: contextvars.Context | None = None
    ) -> asyncio.Task[None]: ...

    def withdraw(self, number: int) -> None:
        """The stream that is offered as ``number`` is over."""

    def forget(self, handle: int) -> None:
        """The stream that is read as ``handle`` is over."""

    def drop_later(self, handle: int) -> None:
        """``send`` a DROP from a destructor, which may run in any thread and after the loop has closed."""


class Asker(Protocol):
    """Who waits for the answer to a call: a future, or what passes it on at once."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: Exception, /) -> None: ...


class Serving(Protocol):
    """What makes the answer to a call: a task, or who has passed it on."""

    def cancel(self) -> object: ...


class OfferedStream(Protocol):
    """A stream of this end that the peer may read."""

    @property
    def call(self) -> int:
        """The number of the peer's call that it was offered in; 0: in none."""

    def unread(self) -> AsyncIterator[Any] | None:
        """Its source, if there is one and the peer has not begun to read."""

    def pull(self, credit: int) -> None:
        """The peer is ready for ``credit`` items more."""

    def wake(self) -> None:
        """The channel is congested no more."""

    def drop(self) -> None:
        """The peer wants no more, or has gone."""


class SocketEnd(Protocol):
    """What this end has of a socket (``SOCKET`` frames). They hold a message as text or bytes; ``[code, reason, clean,
    error]``: the other end has closed, or is gone; a number: so many bytes were dealt with; True: begin;
    None: this was the last frame."""

    def arrived(self, content: Any) -> None: ...

    def lost(self) -> None:
        """The channel is closed, or the peer will not have the socket."""


__all__ = [
    "ASK", "CALL", "CANCEL", "DROP", "END", "ERROR", "ITEM", "NOTE", "PULL", "RESULT", "SOCKET", "UNLIMITED", "WINDOW",
    "Asker", "CallNumber", "Frame", "OfferedStream", "Serving", "SocketEnd", "StreamChannel", "current_call",
]  # fmt: skip
