"""One object in memory: its instance, its gates, and how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from bindings.durable_objects.ids import DurableObjectId
from bindings.durable_objects.storage.failures import Stale
from bindings.durable_objects.storage.file import ObjectFile
from bindings.durable_objects.worker.errors import STALE, STORAGE_FAILED, WAITED_TOO_LONG, raised, reset
from bindings.durable_objects.worker.sockets import Hibernating
from bindings.durable_objects.worker.state import DurableObjectState
from bindings.messages import CallError
from runtime.isolate.gates import before_sending
from runtime.isolate.meter import CpuExceeded
from runtime.isolate.serving.context import DurableObjectAbort
from runtime.isolate.serving.worker import Worker
from runtime.web.scope import current_ctx

T = TypeVar("T")
SOCKET_HANDLERS = ("webSocketMessage", "webSocketClose", "webSocketError")
MAX_BLOCK_S = 30.0  # that blockConcurrencyWhile may take
CPU_SPENT = "Durable Object exceeded its CPU time limit and was reset."
_inside: ContextVar[object] = ContextVar("inside", default=None)  # the block that what runs here belongs to


class Instance:
    """``gone(instance)`` is called when it is reset: the next event makes another one."""

    def __init__(
        self,
        worker: Worker,
        cls: type[Any],
        id: DurableObjectId,
        path: Path,
        ring: Callable[[int | None], Awaitable[object]],
        gone: Callable[[Instance], None],
    ) -> None:
        self.id, self.cls = id, cls
        self._worker, self._gone = worker, gone
        self.file = ObjectFile(path, ring, self._storage_failed, id.name, lambda: worker.channel.load <= 1)
        self.sockets = Hibernating(worker.channel, cls.__name__, str(id))
        self._restored = not any(hasattr(cls, name) for name in SOCKET_HANDLERS)  # or there is nothing to be
        self.state = DurableObjectState(self, worker.tasks, worker.exports)
        self.broken: CallError | None = None
        self.events = 0  # in hand, streams of answers among them
        self.used = time.monotonic()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._object: Any = None
        self._blocks: list[object] = []  # the innermost last
        self._opens: asyncio.Future[None] | None = None
        self._rings_since: int | None = None  # how often its alarm had been set when the handler began

    @property
    def idle(self) -> bool:
        """Nothing of it goes on."""
        return not self.events and not self.state.busy and self.file.kept() is None

    # Events

    async def deal(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """``work(object)``, once it may begin; done once what it has written is kept. Raises CallError, and what ends
        it from outside."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.events += 1
        before_sending.set(self.file.kept)
        current_ctx.set(self.state)
        try:
            return await self._dealt(work)
        except asyncio.CancelledError:
            if self.broken is None:
                raise
            task.uncancel()
            raise self.broken from None
        finally:
            self._tasks.discard(task)
            self.events -= 1
            self.used = time.monotonic()

    async def _dealt(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        try:
            if self._object is None or self._blocks:
                await self._begun()
            result = await self._worker.metered(work(self._object))
            if (waits := self.file.keep()) is not None:
                await waits
        except CpuExceeded:
            self.reset(reset(CPU_SPENT))
            raise
        except (DurableObjectAbort, Exception) as error:
            await self._failed(error)
        if self.broken is not None:
            raise self.broken
        return result

    async def _failed(self, error: BaseException) -> None:
        """An answer that tells of a failure waits for the disk as well."""
        if self.broken is None and (waits := self.file.kept()) is not None:
            await asyncio.wait([asyncio.ensure_future(waits)])
        raise self.broken or raised(error) from None

    async def _begun(self) -> None:
        """Its constructor has returned, and nobody blocks it."""
        while self._object is None and self.broken is None:
            if self._blocks:  # another event is at it, and may be cancelled
                await self.entered()
            elif not self._restored:
                await self.alone(self.sockets.restore)
                self._restored = True
            else:
                await self._worker.metered(self._construct())
        await self.entered()
        if self.broken is not None:
            raise self.broken

    async def _construct(self) -> None:
        try:
            self._object = self.cls(self.state, self._worker.env)
        except BaseException as error:
            self.reset(raised(error))
            raise

    # The gates

    async def entered(self) -> None:
        """Once nobody else's block holds this event up."""
        while self._blocks and _inside.get() is not self._blocks[-1]:
            self._opens = self._opens or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._opens)

    async def alone(self, work: Callable[[], Awaitable[T]]) -> T:
        """No other event goes on meanwhile."""
        await self.entered()
        block = object()
        self._blocks.append(block)
        token = _inside.set(block)
        try:
            return await work()
        finally:
            _inside.reset(token)
            self._unblock(block)

    def block_while(self, work: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """The same from now on, awaited or not; if it raises, the object is reset."""
        block = object()
        self._blocks.append(block)
        return asyncio.ensure_future(self._blocking(block, work))

    async def _blocking(self, block: object, work: Callable[[], Awaitable[T]]) -> T:
        _inside.set(block)
        try:
            async with asyncio.timeout(MAX_BLOCK_S):
                return await work()
        except TimeoutError:
            self.reset(reset(WAITED_TOO_LONG))
            raise
        except BaseException as error:
            self.reset(raised(error, durableObjectReset=True))
            raise
        finally:
            self._unblock(block)

    def _unblock(self, block: object) -> None:
        self._blocks.remove(block)
        opens, self._opens = self._opens, None
        if opens is not None and not opens.done():
            opens.set_result(None)

    # The alarm

    @property
    def rings(self) -> bool:
        return self._rings_since == self.file.alarms_set

    def ring(self) -> None:
        """Its handler begins."""
        self._rings_since = self.file.alarms_set

    def rang(self) -> bool:
        """Its handler has ended. Whether the alarm is still the one that rang."""
        same, self._rings_since = self.rings, None
        return same

    # Its end

    def reset(self, error: CallError) -> None:
        """Memory is gone, and what is not kept yet; whoever waits for an answer gets ``error``."""
        if self.broken is not None:
            return
        self.broken = error
        self.file.undo()
        self._gone(self)
        self.state.cancel()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        if self._opens is not None and not self._opens.done():
            self._opens.set_result(None)

    def _storage_failed(self, error: BaseException) -> None:
        self.reset(reset(STALE if isinstance(error, Stale) else f"{STORAGE_FAILED} ({error})"))


__all__ = ["Instance"]
