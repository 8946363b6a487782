"""``run_sync``: a plain function waits for an awaitable, and the event loop goes on with others meanwhile.

Theory of operation. Pyodide suspends the whole stack; a greenlet does the same here. Once a script has imported
``run_sync``, each step of a handler's coroutine runs in a greenlet, and so does each step of a task that it begins.
``run_sync`` switches out of it with what it waits for; the loop's side awaits that and switches back with the result.
Where the plain function already runs in a thread, as a handler that is a plain ``def`` does, the loop is simply asked
to do it. A script that never speaks of it pays nothing.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from functools import partial
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")
_OURS = f"{Path(__file__).parents[1]}{os.sep}"  # whose tasks never wait within a plain function
_MOST_IDLE = 32  # greenlets, of some 20 KiB each
_loop: asyncio.AbstractEventLoop | None = None
_greenlets: Any = None  # the module, once a script wants it


def want() -> None:
    """A script has imported ``run_sync``."""
    global _greenlets
    import greenlet  # type: ignore[import-untyped]

    _greenlets = greenlet


def is_wanted() -> bool:
    return _greenlets is not None


def begin(loop: asyncio.AbstractEventLoop) -> None:
    """The loop that the script's handlers run in."""
    global _loop
    _loop = loop


def follow_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """From here on, in tasks of others than this runtime, too."""

    def task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        code = getattr(work, "cr_code", None)
        if code is not None and not code.co_filename.startswith(_OURS):
            work = suspendable(work)
        return asyncio.Task(work, loop=loop, **options)

    loop.set_task_factory(task)


def can_run_sync() -> bool:
    return _greenlets is not None and (_in_thread() or getattr(_greenlets.getcurrent(), "suspends", False))


def run_sync(awaitable: Awaitable[T]) -> T:
    """The result of ``awaitable``. Raises what it raises; RuntimeError where nothing can wait: while the script is
    imported, or in a callback of the event loop."""
    if _in_thread() and _loop is not None:
        return asyncio.run_coroutine_threadsafe(_awaited(awaitable), _loop).result()
    current: Any = _greenlets.getcurrent() if _greenlets is not None else None
    if not getattr(current, "suspends", False):
        if isinstance(awaitable, Coroutine):
            awaitable.close()
        raise RuntimeError("run_sync() can wait only within a handler: this is a callback, or the import")
    done, value = current.parent.switch((awaitable,))
    if done:
        return value  # type: ignore[no-any-return]
    try:
        raise value
    finally:
        del value


def suspendable_steps(source: AsyncIterator[T]) -> AsyncIterator[T]:
    """``source``, in whose steps ``run_sync`` can wait if a script wants that."""
    return source if _greenlets is None else _Steps(source)


async def suspendable(work: Coroutine[Any, Any, T]) -> T:
    """``work``, in which ``run_sync`` can wait."""
    return await _Suspendable(work)  # type: ignore[no-any-return]


class _Suspendable:
    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self._next: Callable[[], Any] = partial(work.send, None)
        self._result: tuple[str, Any] = "", None  # of a step

    def __await__(self) -> Generator[Any, Any, Any]:
        while True:
            kind, value = yield from self._stepped()
            if kind == "returned":
                return value
            if kind == "raised":
                try:
                    raise value
                finally:
                    del value  # its traceback has this frame: what the work held would wait for the collector
            try:
                self._next = partial(self._work.send, (yield value))
            except BaseException as error:
                self._next = partial(self._work.throw, error)

    def _stepped(self) -> Generator[Any, Any, tuple[str, Any]]:
        """One step of the work: what it yielded to the loop, or returned. It may wait several times on its way."""
        idle = _idle.greenlets
        greenlet = idle.pop() if idle else _greenlets.greenlet(_steps)
        waits = _switch(greenlet, self)
        while waits:
            waits = _switch(greenlet, (yield from _outcome(*waits)))
        greenlet.gr_context = None
        if len(idle) < _MOST_IDLE:
            idle.append(greenlet)
        result, self._result = self._result, ("", None)
        return result

    def step(self) -> None:
        go = self._next
        del self._next  # which may hold an exception, as below
        try:
            self._result = "yielded", go()
        except StopIteration as end:
            self._result = "returned", end.value
        except BaseException as error:
            self._result = "raised", error
        finally:
            del go


class _Steps(Generic[T]):
    def __init__(self, source: AsyncIterator[T]) -> None:
        self._source = source

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        return await suspendable(_awaited(anext(self._source)))


class _Idle(threading.local):
    """Greenlets between two steps: a new one costs many times what a step does."""

    def __init__(self) -> None:
        self.greenlets: list[Any] = []


_idle = _Idle()


def _steps(work: _Suspendable) -> None:
    """The life of a greenlet."""
    current = _greenlets.getcurrent()
    current.suspends = True
    while True:
        work.step()
        del work  # which is not to be kept meanwhile
        work = current.parent.switch()


def _switch(greenlet: Any, value: object) -> tuple[Any, ...]:
    """What it waits for; empty: its step is over."""
    current = _greenlets.getcurrent()
    greenlet.parent, greenlet.gr_context = current, current.gr_context  # context variables are the task's
    return greenlet.switch(value)  # type: ignore[no-any-return]


def _outcome(awaitable: Awaitable[Any]) -> Generator[Any, Any, tuple[bool, Any]]:
    try:
        return True, (yield from _awaited(awaitable).__await__())
    except BaseException as error:
        return False, error


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _in_thread() -> bool:
    """This is another thread than the loop's."""
    try:
        return asyncio.get_running_loop() is not _loop
    except RuntimeError:
        return True


__all__ = ["begin", "can_run_sync", "is_wanted", "run_sync", "suspendable", "suspendable_steps", "want"]
