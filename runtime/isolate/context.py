"""``ctx``: what belongs to one event. https://developers.cloudflare.com/workers/runtime-apis/context/"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Awaitable
from typing import Any

from runtime.isolate.carried import in_words
from runtime.isolate.trace import script_place, script_trace


class Tasks:
    """The ``waitUntil`` tasks of one isolate: they outlive their response, but not by more than ``limit`` s."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.loop = asyncio.get_running_loop()
        self._running: set[asyncio.Future[Any]] = set()

    def add(self, work: Awaitable[Any]) -> asyncio.Future[Any]:
        task = asyncio.ensure_future(_contained(work))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    async def drain(self) -> None:
        """Until every task is done or has had its time."""
        while self._running:
            await asyncio.wait(self._running)

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

    def _finished(self, task: asyncio.Future[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            where = ": ".join(filter(None, (script_place(error), in_words(error))))
            print(f"✘ ctx.waitUntil: a task failed: {where}\n{script_trace(error)}", file=sys.stderr)


class Context:
    """``props`` is empty unless another worker called this one."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._mine: list[asyncio.Future[Any]] = []
        self._responded = False
        self.props: dict[str, Any] = {}

    def wait_until(self, work: Awaitable[Any]) -> None:
        """Keep ``work`` running after the response. Raises ``TypeError`` for what cannot be awaited."""
        if not isinstance(work, Awaitable):
            raise TypeError(f"ctx.waitUntil wants an awaitable, not {type(work).__name__}: call the function")
        if threading.current_thread() is threading.main_thread():
            self._begin(work)
        else:  # a handler that is a plain function
            self._tasks.loop.call_soon_threadsafe(self._begin, work, context=contextvars.copy_context())

    def pass_through_on_exception(self) -> None:
        """Accepted as on Workers. There is no origin server behind a local worker, so an exception still
        answers 500."""

    def responded(self) -> None:
        """For the runtime: the event's answer is out."""
        if not self._responded:
            self._responded = True
            self._tasks.expire(self._mine)
            sys.stdout.flush()  # what was printed without a line end

    def _begin(self, work: Awaitable[Any]) -> None:
        task = self._tasks.add(work)
        self._mine.append(task)
        if self._responded:
            self._tasks.expire([task])

    waitUntil = wait_until
    passThroughOnException = pass_through_on_exception


async def _contained(work: Awaitable[Any]) -> Any:
    """A task that exits must not take the process with it."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"it ended itself: {error!r}") from error
