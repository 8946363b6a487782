"""Sockets between this process and the supervisor, which has their other ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from runtime.isolate.gates import before_sending
from runtime.values import JsException, from_wire, to_wire
from runtime.web.scope import current_ctx
from runtime.web.sockets import WebSocket
from runtime.web.sockets.contents import Content
from runtime.web.sockets.websocket import Closing
from runtime.wire import SOCKET, Channel
from runtime.wire.frames import decode, encode
from runtime.wire.protocol import current_call

_MESSAGE_BYTES = 128  # what a message counts besides its content, as the supervisor has it
_TOLD_BYTES = 16 * 1024  # that were dealt with, from which on the supervisor is told
_ABNORMAL = 1006
_MESSAGE = (str, bytes)


class SocketLink:
    """By its ``number``. ``lent``: it is the supervisor's until it is accepted. ``ended()`` is called once."""

    __slots__ = (
        "_call", "_channel", "_dealt", "_ended", "_kept", "_lent", "_unanswered", "_waiting", "answered", "number",
        "socket",
    )  # fmt: skip

    def __init__(
        self, channel: Channel, number: int, socket: WebSocket, ended: Callable[[], None], *, lent: bool = False
    ) -> None:
        self._channel, self.number, self.socket, self._ended, self._lent = channel, number, socket, ended, lent
        self._dealt = 0  # bytes of which the supervisor was not told
        self._waiting: list[Any] = []  # what may be sent once
        self._unanswered = False  # the supervisor has the answer that tells of this socket, and once
        self._kept: asyncio.Future[None] | None = None  # what an object has written before is on the disk
        self._call = current_call.get().number
        self.answered: int | None = None  # when the supervisor last answered in its place, in ms since 1970
        channel.sockets[number] = self

    # runtime.web.sockets.Link

    def send(self, content: Content) -> None:
        self._say(content)

    def close(self, code: int, reason: str) -> None:
        self._say([code, reason])

    def accepted(self) -> None:
        if self._lent:
            self._lent = False
            self._say(True)

    def done(self, content: Content) -> None:
        self._dealt += len(content) + _MESSAGE_BYTES
        if self._dealt >= _TOLD_BYTES:
            self._say(self._dealt)
            self._dealt = 0

    def attach(self, attachment: bytes) -> None:
        self._say({"attachment": attachment})

    def over(self) -> None:
        if self._channel.sockets.pop(self.number, None) is not None:
            self._say(None)
            self._ended()

    def moved(self, socket: WebSocket) -> None:
        self.socket = socket

    # runtime.wire.protocol.SocketEnd

    def arrived(self, content: Any) -> None:
        if self._unanswered:
            self._begin()
        if isinstance(content, _MESSAGE):
            self.socket.arrived(content)
        elif isinstance(content, list):
            self.socket.arrived(Closing(*content))
        elif content is not True:
            self.answered = content

    def lost(self) -> None:
        """Nobody has the other end."""
        if self._channel.sockets.pop(self.number, None) is not None:
            self.socket.arrived(Closing(_ABNORMAL, "", False))
            self._ended()

    def after_answer(self, early: Sequence[Content | Closing]) -> None:
        """The other end learns of this socket by an answer that is still to be sent: what is said waits for it."""
        self._waiting += [[item.code, item.reason] if isinstance(item, Closing) else item for item in early]
        self._unanswered = True
        self._channel.opening[self._call] = self

    def give_back(self) -> None:
        """It was not accepted, and goes elsewhere."""
        self._channel.sockets.pop(self.number, None)

    async def settled(self) -> None:
        """Once what was said is sent."""
        if self._kept is not None:
            await asyncio.wait([self._kept])

    def _begin(self) -> None:
        self._channel.opening.pop(self._call, None)
        self._unanswered = False
        self._flush()

    def _say(self, content: object) -> None:
        gate = before_sending.get()
        if self._kept is None and gate is not None and (waits := gate()) is not None:
            self._kept = asyncio.ensure_future(self._after(gate, waits))
        if self._unanswered or self._kept is not None:
            self._waiting.append(content)
        else:
            self._channel.send([SOCKET, self.number, content])

    async def _after(self, gate: Callable[[], Awaitable[None] | None], waits: Awaitable[None] | None) -> None:
        """What was written before is kept; or it is not, and what was said since is not for anyone to hear."""
        try:
            while waits is not None:
                await waits
                waits = gate()
        except Exception:
            self._waiting = [content for content in self._waiting if content is None]
        finally:
            self._kept = None
            self._flush()

    def _flush(self) -> None:
        if not (self._unanswered or self._kept is not None):
            waiting, self._waiting = self._waiting, []
            for content in waiting:
                self._channel.send([SOCKET, self.number, content])


def fetched(channel: Channel, number: int, protocol: str) -> WebSocket:
    """A socket that another server, or another worker, has answered with. It ends with the event that
    it was fetched in."""
    socket = WebSocket(protocol=protocol)
    link = SocketLink(channel, number, socket, lambda: None, lent=True)
    socket.connect(link)
    if (ctx := current_ctx.get(None)) is not None:
        ctx.at_over(link.over)
    return socket


def answered(channel: Channel, event: int, socket: WebSocket, ended: Callable[[], None]) -> int:
    """A request is answered with it: the number it was lent by; 0: it is of a pair of this worker's. ``ended`` is
    called once nothing of the answer is this process's any more. Raises TypeError."""
    early, link = socket.release(), socket.link
    if isinstance(link, SocketLink):
        link.give_back()
        ended()
        return link.number
    if socket.peer is None:
        raise TypeError("Can't return a WebSocket that has no other end.")
    new = SocketLink(channel, event, socket.peer, ended)
    new.after_answer(early)
    socket.peer.connect(new)
    return 0


def _opened(url: str, protocols: Any) -> WebSocket:
    from runtime.web.sockets.client import ClientWebSocket  # most workers open none

    return ClientWebSocket(url, protocols)


WebSocket.clone = (lambda value: encode(to_wire(value)), lambda kept: from_wire(decode(kept)))
WebSocket.failure = JsException
WebSocket.opener = _opened


__all__ = ["SocketLink", "answered", "fetched"]
