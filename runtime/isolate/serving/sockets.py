"""Sockets between this process and the supervisor, which has their other ends; and the listeners of sockets."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from runtime.isolate.script.errors import report
from runtime.isolate.serving.context import Context
from runtime.isolate.serving.worker import Worker
from runtime.web.scope import current_ctx
from runtime.web.sockets import Event, WebSocket
from runtime.web.sockets.websocket import Closing, Content
from runtime.wire import SOCKET, Channel
from runtime.wire.protocol import current_call

_MESSAGE_BYTES = 128  # what a message counts besides its content, as the supervisor has it
_TOLD_BYTES = 16 * 1024  # that were dealt with, from which on the supervisor is told
_FAILED, _ABNORMAL = 1011, 1006


class SocketLink:
    """By its ``number``. ``lent``: it is the supervisor's until it is accepted. ``ended()`` is called once."""

    __slots__ = ("_call", "_channel", "_dealt", "_ended", "_lent", "_waiting", "number", "socket")

    def __init__(
        self, channel: Channel, number: int, socket: WebSocket, ended: Callable[[], None], *, lent: bool = False
    ) -> None:
        self._channel, self.number, self.socket, self._ended, self._lent = channel, number, socket, ended, lent
        self._dealt = 0  # bytes of which the supervisor was not told
        self._waiting: list[Any] | None = None  # what may be sent once the supervisor has the answer
        self._call = current_call.get()
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

    def over(self) -> None:
        if self._channel.sockets.pop(self.number, None) is not None:
            self._say(None)
            self._ended()

    # runtime.wire.protocol.SocketEnd

    def arrived(self, content: Any) -> None:
        if self._waiting is not None:
            self._begin()
        if content is not True:
            self.socket.arrived(Closing(*content) if isinstance(content, list) else content)

    def lost(self) -> None:
        """Nobody has the other end."""
        if self._channel.sockets.pop(self.number, None) is not None:
            self.socket.arrived(Closing(_ABNORMAL, "", False))
            self._ended()

    def after_answer(self, early: Sequence[Content | Closing]) -> None:
        """The other end learns of this socket by an answer that is still to be sent: what is said waits for it."""
        self._waiting = [[item.code, item.reason] if isinstance(item, Closing) else item for item in early]
        self._channel.opening[self._call] = self

    def give_back(self) -> None:
        """It was not accepted, and goes elsewhere."""
        self._channel.sockets.pop(self.number, None)

    def _begin(self) -> None:
        self._channel.opening.pop(self._call, None)
        waiting, self._waiting = self._waiting or [], None
        for content in waiting:
            self._say(content)

    def _say(self, content: Any) -> None:
        if self._waiting is not None:
            self._waiting.append(content)
        else:
            self._channel.send([SOCKET, self.number, content])


def fetched(channel: Channel, number: int, protocol: str) -> WebSocket:
    """A socket to another server. It does not outlive the event that it was fetched in."""
    socket = WebSocket(protocol=protocol)
    link = SocketLink(channel, number, socket, lambda: None, lent=True)
    socket.connect(link)
    if (ctx := current_ctx.get(None)) is not None:
        ctx.at_over(link.over)
    return socket


def answered(channel: Channel, event: int, socket: WebSocket, ctx: Context) -> int:
    """A request is answered with it: the number it was lent by; 0: it is of a pair of this worker's. Raises
    TypeError."""
    early, link = socket.release(), socket.link
    if isinstance(link, SocketLink):
        link.give_back()
        ctx.responded()
        return link.number
    if socket.peer is None:
        raise TypeError("Can't return a WebSocket that has no other end.")
    new = SocketLink(channel, event, socket.peer, ctx.responded)
    new.after_answer(early)
    socket.peer.connect(new)
    return 0


class SocketEvents:
    """Calls the listeners of sockets, each message's within the limits of a request."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __call__(
        self, context: contextvars.Context, listeners: Sequence[Callable[[Any], Any]], event: Event,
        done: Callable[[], None],
    ) -> None:  # fmt: skip
        ctx = context.get(current_ctx)
        if self._worker.cpu_ms is not None and ctx is not None:
            task = context.copy().run(ctx.follow, self._metered(listeners, event), _what(event))
            task.add_done_callback(lambda _: done())
            return
        running = [task for listener in listeners if (task := _begun(context, ctx, listener, event)) is not None]
        if not running:
            return done()
        for task in running:
            task.add_done_callback(lambda _: done() if all(one.done() for one in running) else None)

    async def _metered(self, listeners: Sequence[Callable[[Any], Any]], event: Event) -> None:
        try:
            await self._worker.metered(_called(listeners, event))
        except BaseException:
            if isinstance(event.target, WebSocket) and event.target.readyState == WebSocket.OPEN:
                event.target.close(_FAILED, "the worker failed")
            raise


async def _called(listeners: Sequence[Callable[[Any], Any]], event: Event) -> None:
    results = []
    for listener in listeners:
        try:
            results.append(listener(event))
        except Exception as error:
            report(_what(event), error)
    for result in results:
        if inspect.isawaitable(result):
            try:
                await result
            except Exception as error:
                report(_what(event), error)


def _begun(
    context: contextvars.Context, ctx: Context | None, listener: Callable[[Any], Any], event: Event
) -> asyncio.Future[Any] | None:
    """What goes on of it."""
    try:
        result: Awaitable[Any] | None = context.run(listener, event)
    except BaseException as error:
        report(_what(event), error)
        return None
    if not inspect.isawaitable(result):
        return None
    if ctx is None:
        return context.run(asyncio.ensure_future, result)
    return context.run(ctx.follow, result, _what(event))


def _what(event: Event) -> str:
    return f"a listener of a WebSocket's {event.type} event failed"


__all__ = ["SocketEvents", "SocketLink", "answered", "fetched"]
