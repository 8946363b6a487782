"""The two ends of a stream: a ``PullSource`` where its source is, a ``RemoteStream`` where it is read."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from runtime.wire.errors import describe
from runtime.wire.protocol import DROP, END, ITEM, PULL, UNLIMITED, Frame, StreamChannel, current_call

_NONE: deque[Any] = deque(maxlen=0)  # of all streams that have nothing left to read: an empty one has 0.6 KB


class Flowing(Protocol):
    """What may be read without anybody who reads."""

    @property
    def flows(self) -> bool:
        """False: this one takes a reader."""

    def flow(self, take: Callable[[Any], bool], ended: Callable[[], None], held: Callable[[], None]) -> None:
        """``take(item)`` is given each item as it comes, and ``ended()`` is told that it was the last. Where ``take``
        returns False, or the source breaks off, that and the rest is for a reader, who is asked for by ``held()``. An
        empty item asks whether there could be another."""

    def hold(self) -> None:
        """What flows is for a reader from here on; ``held`` is called."""

    def drop(self) -> None:
        """No more is wanted of what flows."""


class RemoteStream:
    """The peer's stream, read once. ``handle`` is the peer's number for it; ``started`` says whether it was read."""

    __slots__ = (
        "__weakref__", "_channel", "_error", "_flow", "_granted", "_items", "_open", "_sink", "_waiter", "_window",
        "handle", "started",
    )  # fmt: skip

    def __init__(self, channel: StreamChannel, handle: int, window: int) -> None:
        self._channel, self.handle, self._window = channel, handle, window
        self._items = _NONE
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._open, self.started, self._granted = True, False, 0
        self._sink: Callable[[Any], bool] | None = None
        self._flow: tuple[Callable[[], None], Callable[[], None]] | None = None  # ended, held

    def __aiter__(self) -> RemoteStream:
        return self

    async def __anext__(self) -> Any:
        if not self.started:
            self._start()
        while not self._items:
            if not self._open:
                raise self._error or StopAsyncIteration
            await self._wait()
        item = self._items.popleft()
        self._grant(item)
        return item

    def attach_sink(self, sink: Callable[[Any], bool]) -> None:
        """Ask ``sink(item)`` first when an item comes and the reader waits with nothing left to read: True when it
        has dealt with it, and no task need be woken."""
        self._sink = sink

    flows = True

    def flow(self, take: Callable[[Any], bool], ended: Callable[[], None], held: Callable[[], None]) -> None:
        """As of ``Flowing``."""
        if not self.started:
            self._start()
        self._sink, self._flow = take, (ended, held)
        while self._items:
            if not take(self._items[0]):
                return self._stop_flow()[1]()
            self._grant(self._items.popleft())
        self._items = _NONE
        if not self._open:
            self._tell_end()

    def hold(self) -> None:
        """As of ``Flowing``."""
        self._stop_flow()[1]()

    @property
    def waiting(self) -> int:
        """How many items have arrived that nobody has taken."""
        return len(self._items)

    def take_ready(self) -> list[Any]:
        """Every item that has already arrived: how a slow reader catches up in one step."""
        items = list(self._items)
        for item in items:
            self._grant(item)
        self._items.clear()
        return items

    async def aclose(self) -> None:
        """No more is wanted: the peer closes its source."""
        self.drop()

    def drop(self) -> None:
        """``aclose`` for callers that cannot await."""
        self._items.clear()
        self._flow = None
        if self._open:
            self._channel.send([DROP, self.handle])
            self._ended(None)

    def release(self) -> None:
        """Forget the stream without closing the peer's source: its number is being handed back."""
        self._channel.forget(self.handle)
        self._open = False

    def __del__(self) -> None:
        # A stream nobody holds will never be read: free the engine behind it.
        if self._open:
            self._channel.drop_later(self.handle)

    def _start(self) -> None:
        self.started = True
        if self._open:
            self._channel.send([PULL, self.handle, self._window])

    def _grant(self, item: Any) -> None:
        """``item`` has been taken: the peer may send another."""
        if self._window == UNLIMITED or not self._open:
            return
        self._granted += 1
        if self._granted * 2 >= self._window:
            self._channel.send([PULL, self.handle, self._granted])
            self._granted = 0

    async def _wait(self) -> None:
        self._waiter, self._items = asyncio.get_running_loop().create_future(), _NONE
        self._channel.awaited.add(self)  # or the collector could take it, and its reader with it
        try:
            await self._waiter
        finally:
            self._channel.awaited.discard(self)
            self._waiter = None  # cancelled, it would hold the exception, and that the frames that hold this stream

    def _arrived(self, item: Any) -> None:
        if self._sink is not None and (self._flow or self._waiter) and not self._items and self._sink(item):
            return self._grant(item)
        self._keep(item)

    def _keep(self, item: Any) -> None:
        """Until it is read."""
        if self._items is _NONE:
            self._items = deque()
        self._items.append(item)
        self._wake()

    def _ended(self, error: BaseException | None) -> None:
        self._open, self._error = False, error
        self._channel.forget(self.handle)
        self._tell_end()

    def _tell_end(self) -> None:
        if self._flow is not None and self._error is None:
            return self._stop_flow()[0]()
        self._wake()
        self._sink = None  # which may hold this

    def _wake(self) -> None:
        if self._flow is not None:
            self._stop_flow()[1]()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _stop_flow(self) -> tuple[Callable[[], None], Callable[[], None]]:
        assert self._flow is not None
        told, self._flow, self._sink = self._flow, None, None
        return told


def sink_of(source: object) -> Callable[[Callable[..., bool]], None] | None:
    """``attach_sink``, as of ``RemoteStream``, of a source that has it."""
    return getattr(source, "attach_sink", None)


def flowing(source: object) -> Flowing | None:
    """The source, if it is one that needs no reader."""
    return source if getattr(source, "flows", False) else None  # type: ignore[return-value]


class PullSource:
    """A local source that the peer may pull from."""

    __slots__ = ("begun", "call", "channel", "context", "credit", "flow", "handle", "more", "source", "task")

    def __init__(self, channel: StreamChannel, handle: int, source: AsyncIterator[Any]) -> None:
        self.channel, self.handle, self.source = channel, handle, source
        self.context = contextvars.copy_context()  # the source runs as if where it was offered
        call = current_call.get()
        self.call = call.number if call.channel == channel.serial else 0
        self.credit, self.begun = 0, False
        self.more: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None
        self.flow: Flowing | None = None  # the source, while it needs no task

    def unread(self) -> AsyncIterator[Any] | None:
        return self.source if self.task is None and self.flow is None else None

    def pull(self, credit: int) -> None:
        self.credit = UNLIMITED if credit == UNLIMITED else self.credit + credit
        if (source := self.unread()) is None:
            self.wake()
        elif (flow := flowing(source)) is not None:
            self.begun, self.flow = True, flow
            flow.flow(self._send, self._flowed, self._read)
        else:
            self._read()

    def wake(self) -> None:
        if self.more is not None and not self.more.done():
            self.more.set_result(None)

    def drop(self) -> None:
        if self.flow is not None:
            self.flow.drop()
        if self.task is not None:
            self.task.cancel()
        if not self.begun:  # a task that never ran its first step has no ``finally`` to run
            self.channel.spawn(_close(self.source))

    def _read(self) -> None:
        self.begun, self.flow = False, None
        self.task = self.channel.spawn(self._pump(), self.context)

    def _flowed(self) -> None:
        """All of it."""
        self.channel.withdraw(self.handle)
        self.channel.send([END, self.handle])

    async def _pump(self) -> None:
        end: Frame = [END, self.handle]
        self.begun = True
        attach_sink = sink_of(self.source)
        try:
            async for item in self.source:
                while not self._send(item):
                    self.more = asyncio.get_running_loop().create_future()
                    await self.more
                if attach_sink is not None:
                    attach_sink(self._send)
                    attach_sink = None
        except Exception as error:
            end += describe(error)
        finally:
            self.channel.withdraw(self.handle)
            self.channel.send(end)
            self.task = None  # or, cancelled, it and the streams that the source was reading would hold each other
            await _close(self.source)

    def _send(self, item: Any) -> bool:
        """False: the peer has not asked for it yet, or does not read what it has asked for."""
        if self.credit == 0 or self.channel.congested:
            return False
        if item != b"":
            self.credit -= self.credit != UNLIMITED
            self.channel.send([ITEM, self.handle, item])
        return True


async def _close(source: object) -> None:
    aclose = getattr(source, "aclose", None)
    if aclose is not None:
        await aclose()
