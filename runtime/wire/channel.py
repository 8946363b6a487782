"""One end of a socketpair: frames in, frames out, and whose they are."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any
from weakref import WeakValueDictionary

from runtime.wire.errors import ChannelClosed, RemoteError, describe
from runtime.wire.frames import MALFORMED, Unpacker
from runtime.wire.outgoing import Outgoing
from runtime.wire.protocol import (
    ASK,
    CALL,
    CANCEL,
    DROP,
    END,
    ERROR,
    ITEM,
    PULL,
    RESULT,
    SOCKET,
    WINDOW,
    Asker,
    CallNumber,
    Frame,
    OfferedStream,
    Serving,
    SocketEnd,
    current_call,
)  # fmt: skip
from runtime.wire.push import PushSource
from runtime.wire.streams import PullSource, RemoteStream

_CLOSE_GRACE_S = 5.0  # for a peer to read what is queued, and for this end's tasks to end

Handler = Callable[[str, list[Any]], Awaitable[Any]]
Sources = Callable[[str, list[Any]], AsyncIterator[Any] | PushSource]


class Channel(Outgoing):
    """One end of the pair. ``sources(op, args)``, ``on_note(op, args)`` and ``on_close()`` are plain callables."""

    _stream: type[RemoteStream] = RemoteStream

    def __init__(
        self,
        handler: Handler,
        on_note: Callable[[str, list[Any]], None] | None = None,
        on_close: Callable[[], None] | None = None,
        sources: Sources | None = None,
    ) -> None:
        super().__init__()
        self._handler, self._on_note, self._on_close, self._sources = handler, on_note, on_close, sources
        self.unheard: Callable[[int], None] = lambda call: None
        """Told of each call of the peer's whose answer it did not hear: what that named is nobody's."""
        self._unpack = Unpacker()
        self._last_number = 0
        self._calls: dict[int, Asker] = {}
        self._serving: dict[int, Serving] = {}
        self._offers: dict[int, OfferedStream] = {}
        self.sockets: dict[int, SocketEnd] = {}  # by number, until their last frame
        self.opening: dict[int, SocketEnd] = {}  # by the call whose answer tells of them, until the peer has it
        # Weakly: a stream that its reader forgot must be collected, which closes the source behind it.
        self._reading: WeakValueDictionary[int, RemoteStream] = WeakValueDictionary()
        self.awaited: set[object] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    async def open(
        cls, sock: socket.socket, handler: Handler, *, on_note: Callable[[str, list[Any]], None] | None = None,
        on_close: Callable[[], None] | None = None, sources: Sources | None = None,
    ) -> Channel:  # fmt: skip
        """Speak over ``sock``, one end of an AF_UNIX stream pair; the channel owns it from here on."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(handler, on_note, on_close, sources), sock=sock)
        return channel

    @property
    def load(self) -> int:
        """Calls of the peer's that are not answered yet, and its streams that have not ended."""
        return len(self._serving) + len(self._offers)

    # What the two ends say to each other

    async def call(self, op: str, *args: object) -> Any:
        """Run ``op`` at the peer. Raises RemoteError, or ChannelClosed when the peer goes first."""
        if not self.is_open:
            raise ChannelClosed
        self._last_number = number = self._last_number + 1
        future = self._loop.create_future()
        self._calls[number] = future
        try:
            self.send([CALL, number, op, args])
            return await future
        except BaseException as error:
            self._calls.pop(number, None)
            if isinstance(error, asyncio.CancelledError):
                self._unwanted(number)
            raise

    def offer(self, source: AsyncIterator[Any]) -> int:
        """Let the peer pull from ``source``; the number is good for one ``read`` or one ``adopt``."""
        number = self._next_number()
        offer = self._offers[number] = PullSource(self, number, source)
        if self.closed.is_set():
            self._offers.pop(number)
            offer.drop()
        return number

    def ask(self, op: str, *args: object, window: int = WINDOW) -> RemoteStream:
        """The stream that the peer's ``sources(op, args)`` gives, which begins at once."""
        stream = self.read(-self._next_number(), window)
        stream.started = True
        self.send([ASK, stream.handle, op, args, window])
        return stream

    def offered(self, number: int) -> AsyncIterator[Any] | None:
        """An offered source that the peer has not read."""
        return None if (offer := self._offers.get(number)) is None else offer.unread()

    def adopt(self, number: int) -> AsyncIterator[Any] | None:
        """Take back such a source: the peer handed its number to us."""
        return None if self.offered(number) is None else self._offers.pop(number).unread()

    def discard(self, number: int) -> None:
        """Close an offered source unless the peer has begun to read it."""
        if (offer := self._offers.get(number)) is not None and offer.unread() is not None:
            self._offers.pop(number).drop()

    def read(self, handle: int, window: int = WINDOW) -> RemoteStream:
        """The peer's stream by its number. At most ``window`` items are on their way at a time."""
        stream = self._reading[handle] = self._stream(self, handle, window)
        if self.closed.is_set():
            stream._ended(ChannelClosed())
        return stream

    async def aclose(self) -> None:
        """Write what is queued, close the socket, end every handler and source."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
            try:
                async with asyncio.timeout(_CLOSE_GRACE_S):
                    await self.closed.wait()
            except TimeoutError:
                self._transport.abort()  # a peer that reads no more would keep it open for ever
        await self.closed.wait()
        if tasks := [each for each in (*self._tasks, *self._serving.values()) if isinstance(each, asyncio.Task)]:
            await asyncio.wait(tasks, timeout=_CLOSE_GRACE_S)

    # What the streams use

    def spawn(self, work: Coroutine[Any, Any, None], context: contextvars.Context | None = None) -> asyncio.Task[None]:
        return self._keep(self._loop.create_task(work, context=context))

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        """Until it is done. One that answers a call is kept by its number instead, which costs no callback."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def withdraw(self, number: int) -> None:
        self._offers.pop(number, None)

    def forget(self, handle: int) -> None:
        self._reading.pop(handle, None)

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _unwanted(self, number: int) -> None:
        """The answer to this call is waited for no more."""
        self.send([CANCEL, number])

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        flushes, self._flushes, kind = self._flushes, True, None
        try:
            for frame in self._unpack(data):
                kind = frame[0]
                self._receive(frame)
        except MALFORMED:
            self.abort()  # a peer that sends malformed frames is not one to go on with
        finally:
            if not flushes and kind == SOCKET:
                self._flush()  # whoever heard of it has answered
            elif not flushes:
                self._turns.add(self)  # behind the steps of the tasks that these frames begin, or wake

    def resume_writing(self) -> None:
        super().resume_writing()
        for offer in list(self._offers.values()):
            offer.wake()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.is_open = False
        self.closed.set()
        for asker in self._calls.values():
            if not asker.done():
                asker.set_exception(ChannelClosed())
        for stream in list(self._reading.values()):
            stream._ended(ChannelClosed())
        sockets, self.sockets = list(self.sockets.values()), {}
        for end in sockets:
            end.lost()
        offers, self._offers = list(self._offers.values()), {}
        for offer in offers:
            offer.drop()
        for serving in list(self._serving.values()):
            serving.cancel()
        if self._on_close is not None:
            self._on_close()

    def _receive(self, frame: Frame) -> None:
        kind, number = frame[0], frame[1]
        if kind == ITEM:
            if (stream := self._reading.get(number)) is not None:
                stream._arrived(frame[2])
        elif kind == SOCKET:
            if (end := self.sockets.get(number)) is not None:
                end.arrived(frame[2])
        elif kind == CALL:
            self._serving[number] = self._loop.create_task(self._answer(number, self._handler, frame[2], frame[3]))
        elif kind == RESULT:
            self._resolve(number, frame[2], None)
        elif kind == ERROR:
            self._resolve(number, None, RemoteError(*frame[2:]))
        elif kind == PULL:
            if (offer := self._offers.get(number)) is not None:
                offer.pull(frame[2])
            else:
                self.send([END, number, "LookupError", "the stream is gone", {}])
        elif kind == END:
            if (stream := self._reading.get(number)) is not None:
                stream._ended(RemoteError(*frame[2:]) if len(frame) > 2 else None)
        elif kind == DROP:
            if (offer := self._offers.pop(number, None)) is not None:
                offer.drop()
        elif kind == ASK:
            self._open_source(number, *frame[2:])
        elif kind == CANCEL:
            self._cancel_call(number)
        elif self._on_note is not None:
            self._on_note(frame[2], frame[3])

    def _open_source(self, handle: int, op: str, args: list[Any], credit: int) -> None:
        try:
            if self._sources is None:
                raise LookupError(f"no such stream: {op!r}")
            source = self._sources(op, args)
        except Exception as error:
            return self.send([END, handle, *describe(error)])
        if isinstance(source, PushSource):
            source.attach(self, handle)
            offer: OfferedStream = source
        else:
            offer = PullSource(self, handle, source)
        self._offers[handle] = offer
        offer.pull(credit)

    def _cancel_call(self, number: int) -> None:
        if (serving := self._serving.pop(number, None)) is not None:
            serving.cancel()
            if isinstance(serving, asyncio.Task):
                self._keep(serving)
            return
        # The answer crossed the cancellation on its way: nobody will have the socket, or read the streams, it named.
        if (end := self.opening.pop(number, None)) is not None:
            end.lost()
        for handle in [handle for handle, offer in self._offers.items() if offer.call == number]:
            self.discard(handle)
        self.unheard(number)

    def _resolve(self, number: int, value: object, error: Exception | None) -> None:
        asker = self._calls.pop(number, None)
        if asker is None or asker.done():
            return
        if error is None:
            asker.set_result(value)
        else:
            asker.set_exception(error)

    async def _answer(self, number: int, handler: Callable[..., Awaitable[Any]], *args: object) -> None:
        current_call.set(CallNumber(self.serial, number))
        try:
            self.send([RESULT, number, await handler(*args)])
        except BaseException as error:
            self.unheard(number)
            if not isinstance(error, Exception):
                raise
            self.send([ERROR, number, *describe(error)])
        finally:
            self._serving.pop(number, None)
