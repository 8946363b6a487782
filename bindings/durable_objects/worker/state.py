"""``ctx`` of an object. https://developers.cloudflare.com/durable-objects/api/state/"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, NoReturn, Protocol, TypeVar
from weakref import WeakSet

from bindings.durable_objects.ids import DurableObjectId
from bindings.durable_objects.storage.file import ObjectFile
from bindings.durable_objects.storage.storage import DurableObjectStorage, Gate
from bindings.durable_objects.worker.errors import reset
from bindings.durable_objects.worker.sockets import Hibernating
from bindings.messages import CallError
from runtime.isolate.serving.context import DurableObjectAbort, Releasable, Tasks
from runtime.web.sockets import WebSocket, WebSocketRequestResponsePair

T = TypeVar("T")
_NO_REASON = "Application called abort() to reset Durable Object."


class Holder(Gate, Protocol):
    """The object in memory."""

    @property
    def id(self) -> DurableObjectId: ...

    @property
    def file(self) -> ObjectFile: ...

    @property
    def sockets(self) -> Hibernating: ...

    def block_while(self, work: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]: ...

    def reset(self, error: CallError) -> None: ...


class DurableObjectState:
    """It is the same for all of an object's events."""

    def __init__(self, holder: Holder, tasks: Tasks, exports: Callable[[], object]) -> None:
        self._holder, self._tasks, self._exports = holder, tasks, exports
        self._held: WeakSet[Releasable] = WeakSet()
        self._mine: set[asyncio.Future[Any]] = set()
        self.id = holder.id
        self.props: dict[str, Any] = {}
        self.storage = DurableObjectStorage(holder.file, holder)

    @property
    def exports(self) -> Any:
        """This worker's own entrypoints as bindings."""
        return self._exports()

    @property
    def busy(self) -> bool:
        """For the runtime: a ``waitUntil`` task goes on."""
        return bool(self._mine)

    def wait_until(self, work: Awaitable[Any]) -> None:
        """Nothing of an object is ended by an answer: this keeps it in memory until ``work`` is done, and says what it
        raises."""
        if not isinstance(work, Awaitable):
            raise TypeError(f"ctx.waitUntil wants an awaitable, not {type(work).__name__}: call the function")
        self.follow(work)

    def follow(self, work: Awaitable[Any], what: str = "ctx.waitUntil: a task failed") -> asyncio.Future[Any]:
        """For the runtime: the same; ``what`` heads what it raises."""
        task = self._tasks.add(work, what)
        self._mine.add(task)
        task.add_done_callback(partial(self._mine.discard))
        return task

    def at_over(self, close: Callable[[], None]) -> None:
        """For the runtime: an object is not over when an event of it is."""

    def holds(self, held: Releasable) -> None:
        """For the runtime: let go of what is another worker's once the object is reset; it is kept no longer than the
        object keeps it."""
        self._held.add(held)

    def cancel(self) -> None:
        """For the runtime: the object is reset."""
        for task in list(self._mine):
            task.cancel()
        for one in list(self._held):
            one.release()

    def blockConcurrencyWhile(self, work: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """``await`` it for the result. No other event begins until ``work()`` has ended; where that raises, the object
        is reset."""
        return self._holder.block_while(work)

    def acceptWebSocket(self, socket: WebSocket, tags: object = None) -> None:
        """The supervisor keeps it, whether the object is in memory or not: its events are ``webSocketMessage``,
        ``webSocketClose`` and ``webSocketError`` of the class. ``tags``: ten at most."""
        self._holder.sockets.accept(socket, tags)

    def getWebSockets(self, tag: str | None = None) -> list[WebSocket]:
        """Those that were accepted so and are open; those with this tag."""
        return self._holder.sockets.all(tag)

    def getTags(self, socket: WebSocket) -> list[str]:
        """Raises JsException."""
        return self._holder.sockets.tags(socket)

    def setWebSocketAutoResponse(self, pair: WebSocketRequestResponsePair | None = None) -> None:
        """Answer this text without the object. None: no more."""
        self._holder.sockets.set_pair(pair)

    def getWebSocketAutoResponse(self) -> WebSocketRequestResponsePair | None:
        return self._holder.sockets.pair

    def getWebSocketAutoResponseTimestamp(self, socket: WebSocket) -> datetime | None:
        """When that was last done for this one."""
        return self._holder.sockets.answered(socket)

    def setHibernatableWebSocketEventTimeout(self, milliseconds: float | None = None) -> None:
        """How long one event of a socket may take; None or 0: as long as any. Raises ValueError."""
        self._holder.sockets.set_timeout(milliseconds)

    def getHibernatableWebSocketEventTimeout(self) -> int | None:
        return self._holder.sockets.timeout

    def abort(self, reason: object = None) -> NoReturn:
        """Memory is gone, and what is not kept yet. Raises DurableObjectAbort."""
        text = _NO_REASON if reason is None else str(reason)
        self._holder.reset(reset(text))
        raise DurableObjectAbort(text)

    def pass_through_on_exception(self) -> None:
        """Accepted: nothing is behind an object."""

    waitUntil = wait_until
    passThroughOnException = pass_through_on_exception


__all__ = ["DurableObjectState"]
