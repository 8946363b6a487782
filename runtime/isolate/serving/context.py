"""``ctx``: what belongs to one event. https://developers.cloudflare.com/workers/runtime-apis/context/"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from runtime.isolate.script.errors import report
from runtime.isolate.suspending import is_wanted, suspendable

T = TypeVar("T")


class Tasks:
    """The ``waitUntil`` tasks of one isolate: they outlive their response, but not by more than ``limit`` s."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.loop = asyncio.get_running_loop()
        self.closers: list[Callable[[], Awaitable[None]]] = []  # called once nothing runs any more
        self._running: set[asyncio.Future[Any]] = set()

    def add(self, work: Awaitable[Any], what: str) -> asyncio.Future[Any]:
        """``what`` is said to have failed when it does."""
        contained = _contained(work)
        task = asyncio.ensure_future(suspendable(contained) if is_wanted() else contained)
        self._running.add(task)
        task.add_done_callback(partial(self._finished, what))
        return task

    async def drain(self) -> None:
        """Until every task is done or has had its time; then what was to be closed is."""
        while self._running:
            await asyncio.wait(self._running)
        for close in self.closers:
            await close()

    def expire(self, tasks: list[asyncio.Future[Any]]) -> None:
        """The response is out: from here on the clock runs."""
        pending = [task for task in tasks if not task.done()]
        if pending:
            self.loop.call_later(self.limit, self._cancel, pending)

    def _cancel(self, tasks: list[asyncio.Future[Any]]) -> None:
        for task in tasks:
            if task.cancel():
                self._running.discard(task)  # one that will not go keeps nothing else alive
                print(f"▲ ctx.waitUntil: a task was cancelled {self.limit:g} s after its response", file=sys.stderr)

    def _finished(self, what: str, task: asyncio.Future[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            report(what, error)


class DurableObjectAbort(BaseException):
    """``ctx.abort()`` of an object: no ``except Exception`` holds it up."""


class Releasable(Protocol):
    """Something of another worker's."""

    def release(self) -> None: ...


class Context:
    """``props`` is empty unless another worker called this one."""

    def __init__(self, tasks: Tasks, exports: Callable[[], object]) -> None:
        self._tasks = tasks
        self._mine: list[asyncio.Future[Any]] = []
        self._responded = False
        self._at_over: list[Callable[[], None]] = []
        self._held: WeakSet[Releasable] | None = None
        self._exports = exports
        self.props: dict[str, Any] = {}

    def wait_until(self, work: Awaitable[Any]) -> None:
        """Keep ``work`` running after the response. Raises ``TypeError`` for what cannot be awaited."""
        if not isinstance(work, Awaitable):
            raise TypeError(f"ctx.waitUntil wants an awaitable, not {type(work).__name__}: call the function")
        if threading.current_thread() is threading.main_thread():
            self.follow(work)
        else:  # a handler that is a plain function
            self._tasks.loop.call_soon_threadsafe(self.follow, work, context=contextvars.copy_context())

    @property
    def exports(self) -> Any:
        """This worker's own entrypoints as bindings: ``await ctx.exports.Named.method()``."""
        return self._exports()

    @property
    def busy(self) -> bool:
        """For the runtime: a task goes on."""
        return any(not task.done() for task in self._mine)

    def pass_through_on_exception(self) -> None:
        """Accepted as on Workers. There is no origin server behind a local worker, so an exception still
        answers 500."""

    def responded(self) -> None:
        """For the runtime: the event's answer is out."""
        if not self._responded:
            self._responded = True
            if self._mine:
                self._tasks.expire(self._mine)
            self._settle()
            sys.stdout.flush()  # what was printed without a line end

    def holds(self, held: Releasable) -> None:
        """For the runtime: let go of it once the event is over, with its tasks."""
        if self._held is None:
            self._held = WeakSet()
            self.at_over(self._release)
        self._held.add(held)

    def follow(self, work: Awaitable[Any], what: str = "ctx.waitUntil: a task failed") -> asyncio.Future[Any]:
        """For the runtime: as ``wait_until``, in the event loop's thread; ``what`` heads its exception."""
        task = self._tasks.add(work, what)
        self._mine.append(task)
        task.add_done_callback(self._settle)
        if self._responded:
            self._tasks.expire([task])
        return task

    def at_over(self, close: Callable[[], None]) -> None:
        """For the runtime: call it once nothing of this event goes on any more."""
        self._at_over.append(close)

    def _release(self) -> None:
        held, self._held = self._held, None
        for one in list(held or ()):
            one.release()

    def at_end(self, close: Callable[[], Awaitable[None]]) -> None:
        """For the runtime: call it before this process is let go, unless it ends otherwise."""
        self._tasks.closers.append(close)

    def _settle(self, done: asyncio.Future[Any] | None = None) -> None:
        if done is not None:
            self._mine.remove(done)
        if self._responded and not self._mine:
            closers, self._at_over = self._at_over, []
            for close in closers:
                close()

    waitUntil = wait_until
    passThroughOnException = pass_through_on_exception


async def _contained(work: Awaitable[T]) -> T:
    """A task that exits must not take the process with it."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"it ended itself: {error!r}") from error
