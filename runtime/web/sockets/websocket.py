"""``WebSocket``: one end of a socket, in a worker."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from runtime.web.array_buffer import ArrayBuffer
from runtime.web.blobs import Blob
from runtime.web.globals.events import CloseEvent, ErrorEvent, Event, MessageEvent
from runtime.web.sockets.contents import MAX_MESSAGE_BYTES, NO_CODE, Content, check_closing, content_of

Listener = Callable[[Any], Any]
Runner = Callable[[contextvars.Context, Sequence[Listener], Event, Callable[[], None]], None]
"""``runner(context, listeners, event, done)`` calls them; ``done()`` once what they have begun is over."""

MAX_ATTACHMENT_BYTES = 16_384
_NOT_ACCEPTED = "You must call one of accept() or state.acceptWebSocket() on this WebSocket before sending messages."

NEW, ACCEPTED, HIBERNATING, RELEASED = "new", "accepted", "hibernating", "released"


class Closing(NamedTuple):
    """The other end has closed: with a Close frame (``clean``), or it is gone. ``error``: what went wrong."""

    code: int
    reason: str
    clean: bool
    error: str = ""


class Link(Protocol):
    """The way to the other end."""

    def send(self, content: Content) -> None: ...

    def close(self, code: int, reason: str) -> None: ...

    def accepted(self) -> None:
        """What comes is wanted."""

    def done(self, content: Content) -> None:
        """A message that came was dealt with."""

    def attach(self, attachment: bytes) -> None:
        """What is kept with the socket while it hibernates."""

    def over(self) -> None:
        """Neither end has anything to say any more."""

    def moved(self, socket: WebSocket) -> None:
        """What comes is another one's."""


def _call(context: contextvars.Context, listeners: Sequence[Listener], event: Event, done: Callable[[], None]) -> None:
    for listener in listeners:
        context.run(listener, event)
    done()


_runner: Runner = _call


def set_runner(runner: Runner | None) -> None:
    """Install what calls listeners in this process."""
    global _runner
    _runner = runner or _call


class WebSocket:
    """Made by ``WebSocketPair``, or had of a fetched Response. ``accept()`` it, or return it in a Response.

    ``send`` does not wait: a client that is too slow for what is sent loses its socket."""

    __slots__ = (
        "__weakref__", "_aborted", "_closed_in", "_closed_out", "_context", "_early", "_error", "_half_open", "_link",
        "_listeners", "_ons", "_over", "attachment", "binaryType", "extensions", "peer", "protocol", "state",
        "url",
    )  # fmt: skip
    blob: ClassVar[type[Blob]] = Blob  # what a binary message is
    clone: ClassVar[tuple[Callable[[Any], bytes], Callable[[bytes], Any]]]  # a value to bytes, and back
    failure: ClassVar[type[Exception]] = Exception  # (message, name of JavaScript's)
    opener: ClassVar[Callable[[str, Any], WebSocket]]
    CONNECTING = READY_STATE_CONNECTING = 0
    OPEN = READY_STATE_OPEN = 1
    CLOSING = READY_STATE_CLOSING = 2
    CLOSED = READY_STATE_CLOSED = 3

    def __init__(self, link: Link | None = None, protocol: str = "", url: str | None = None) -> None:
        self._link, self.state = link, NEW
        self.binaryType, self.url, self.protocol, self.extensions = "blob", url, protocol, ""
        self._listeners: dict[str, list[tuple[Listener, bool]]] = {}
        self._ons: dict[str, Listener | None] | None = None
        self._early: deque[Content | Closing] = deque()  # what comes before it is accepted
        self._closed_in = self._closed_out = self._aborted = self._half_open = self._over = False
        self._error = False
        self.attachment: bytes | None = None  # for the runtime, as ``serializeAttachment`` has made it
        self._context: contextvars.Context | None = None
        self.peer: WebSocket | None = None  # for the runtime: the other one of a pair

    # What a worker uses

    @classmethod
    def new(cls, url: str, protocols: str | Iterable[str] | None = None) -> WebSocket:
        """A connection to another server, by its ``ws`` or ``wss`` URL: its ``open`` event, then what that sends."""
        return cls.opener(url, protocols)

    @property
    def readyState(self) -> int:
        if self._error or self._aborted or (self._closed_in and self._closed_out):
            return self.CLOSED
        return self.CLOSING if self._closed_in or self._closed_out else self.OPEN

    def accept(self, options: Mapping[str, Any] | None = None, *, allowHalfOpen: bool = False) -> None:
        """From now on this worker has the socket. Raises TypeError."""
        if self.state == RELEASED:
            raise TypeError("Can't accept() WebSocket that was already used in a response.")
        if self.state == HIBERNATING:
            raise TypeError("Can't accept() WebSocket after enabling hibernation.")
        if self.state == ACCEPTED:
            return
        self._half_open = bool(dict(options or {}).get("allowHalfOpen", allowHalfOpen))
        self.state, self._context = ACCEPTED, contextvars.copy_context()
        if self._link is not None:
            self._link.accepted()
        while self._early:
            self._heard(self._early.popleft())

    def send(self, message: object) -> None:
        """A text, or binary: bytes, a Blob. Anything else becomes text, as in JavaScript. Raises TypeError."""
        if self._closed_out:
            raise TypeError("Can't call WebSocket send() after close().")
        content = content_of(message)
        if self._aborted or self._error or self.state == RELEASED:
            return
        if self._link is None or self.state == NEW:
            raise TypeError(_NOT_ACCEPTED)
        if len(content) > MAX_MESSAGE_BYTES:
            raise TypeError(f"Message is too large: {len(content)} > {MAX_MESSAGE_BYTES}")
        self._link.send(content)

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Raises TypeError for a code that no Close frame may have."""
        if self._closed_out or self._aborted or self._error or self.state == RELEASED:
            return
        if self._link is None or self.state == NEW:
            raise TypeError(_NOT_ACCEPTED)
        check_closing(code, reason)
        self._closed_out = True
        self._link.close(NO_CODE if code is None else int(code), str(reason or ""))
        self._settle()

    def serializeAttachment(self, value: object) -> None:
        """Keep a copy of ``value`` with the socket, for as long as that is open. Raises JsException beyond 16,384
        bytes."""
        kept = self.clone[0](value)
        if len(kept) > MAX_ATTACHMENT_BYTES:
            raise self.failure(
                f"A WebSocket 'attachment' cannot be larger than {MAX_ATTACHMENT_BYTES} bytes."
                f"'attachment' was {len(kept)} bytes."
            )
        self.attachment = kept
        if self.state == HIBERNATING and self._link is not None:
            self._link.attach(kept)

    def deserializeAttachment(self) -> Any:
        """A copy of what was kept; None before anything was."""
        return None if self.attachment is None else self.clone[1](self.attachment)

    def addEventListener(self, type: str, listener: Any, options: Mapping[str, Any] | bool | None = None) -> None:
        """``listener(event)``, a coroutine function or a plain one, or an object with ``handleEvent``."""
        once = bool(options.get("once")) if isinstance(options, Mapping) else False
        known = self._listeners.setdefault(str(type), [])
        listener = getattr(listener, "handleEvent", listener)
        if all(other is not listener for other, _ in known):
            known.append((listener, once))

    def removeEventListener(self, type: str, listener: object, options: object = None) -> None:
        listener = getattr(listener, "handleEvent", listener)
        known = self._listeners.get(str(type), [])
        known[:] = [entry for entry in known if entry[0] is not listener]

    onmessage = property(lambda self: self._on("message"), lambda self, value: self._set_on("message", value))
    onclose = property(lambda self: self._on("close"), lambda self, value: self._set_on("close", value))
    onerror = property(lambda self: self._on("error"), lambda self, value: self._set_on("error", value))

    def __repr__(self) -> str:
        return f"<WebSocket {('connecting', 'open', 'closing', 'closed')[self.readyState]}>"

    # What the other end has to say

    def arrived(self, content: Content | Closing) -> None:
        """For the runtime: it has come."""
        if self.state == ACCEPTED:
            self._heard(content)
        else:
            self._early.append(content)

    @property
    def link(self) -> Link | None:
        """For the runtime."""
        return self._link

    def hibernate(self) -> None:
        """For the runtime: another keeps it, and says what comes of it. Raises TypeError."""
        if self.state != NEW:
            raise TypeError("Tried to make an api::WebSocket hibernatable when it was in an incompatible state.")
        self.state = HIBERNATING

    def restore(self, attachment: bytes | None, closed: bool) -> None:
        """For the runtime: it hibernated before. ``closed``: it was closed from this end."""
        self.state, self.attachment, self._closed_out = HIBERNATING, attachment, closed

    def ends(self, clean: bool) -> None:
        """For the runtime, of one that hibernates: the other end has closed, or is gone."""
        self._closed_in, self._aborted = True, not clean

    def connect(self, link: Link) -> None:
        """For the runtime: where the other end is from here on."""
        self._link = link
        if self.state == ACCEPTED:
            link.accepted()

    def moved(self, socket: WebSocket) -> list[Content | Closing]:
        """For the runtime: what it was is ``socket`` from here on. What has come for it."""
        early, socket._link = self.release(), self._link
        if self._link is not None:
            self._link.moved(socket)
        return early

    def release(self) -> list[Content | Closing]:
        """For the runtime: it is another's to deal with. What has come for it. Raises TypeError."""
        if self.state == RELEASED:
            raise TypeError("Can't return WebSocket that was already used in a response.")
        if self.state != NEW:
            call = "accept()" if self.state == ACCEPTED else "acceptWebSocket()"
            raise TypeError(f"Can't return WebSocket in a Response after calling {call}.")
        self.state = RELEASED
        early, self._early = list(self._early), deque()
        return early

    def _heard(self, content: Content | Closing) -> None:
        if not isinstance(content, Closing):
            return self._run(MessageEvent.received(self, self._data(content)), lambda: self._done(content))
        self._closed_in = True
        if not content.clean:
            self._aborted = True
        elif not self._closed_out and not self._half_open and self._link is not None:
            self._closed_out = True
            self._link.close(content.code, content.reason)
        if content.error:
            self._error = True
            failed = ErrorEvent.of("error", self, message=content.error, error=Exception(content.error))
            self._run(failed, lambda: None)
        told = {"code": content.code, "reason": content.reason, "wasClean": content.clean}
        self._run(CloseEvent.of("close", self, **told), self._settle)

    def _data(self, content: Content) -> object:
        if isinstance(content, str):
            return content
        return ArrayBuffer(content) if self.binaryType == "arraybuffer" else self.blob([content])

    def _run(self, event: Event, done: Callable[[], None]) -> None:
        known = self._listeners.get(event.type, [])
        listeners = [listener for listener, _ in known]
        if any(once for _, once in known):
            known[:] = [entry for entry in known if not entry[1]]
        if (on := self._on(event.type)) is not None:
            listeners.append(on)
        if not listeners or self._context is None:
            return done()
        _runner(self._context, listeners, event, done)

    def _done(self, content: Content) -> None:
        if self._link is not None:
            self._link.done(content)

    def _settle(self) -> None:
        if self._link is not None and not self._over and (self._aborted or (self._closed_in and self._closed_out)):
            self._over = True
            self._link.over()

    def _on(self, type: str) -> Listener | None:
        return None if self._ons is None else self._ons.get(type)

    def _set_on(self, type: str, listener: Listener | None) -> None:
        self._ons = {**(self._ons or {}), type: listener}


__all__ = [
    "ACCEPTED", "HIBERNATING", "NEW", "RELEASED", "Closing", "Content", "Link", "WebSocket",
    "set_runner",
]  # fmt: skip
