"""Changes of one worker take turns, and each runs to its end.

A change reads what is there (the newest version, its secrets), takes its time (a script is imported) and writes what
follows from both. Had it no turn of its own, what was acknowledged in between would be undone by it. A client who
leaves takes nothing back: a change that is half-written down would differ from what answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


class Turns:
    """One queue per name."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[object]] = set()

    async def take(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """What ``work`` returns or raises, once those before it are over."""
        return await asyncio.shield(self.begin(name, work))

    def begin(self, name: str, work: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """As ``take``, for whoever does not wait."""
        task = asyncio.create_task(self._run(name, work))
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    async def aclose(self, drain: float) -> None:
        """Those that are begun have ``drain`` seconds."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=drain)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        async with self._locks.setdefault(name, asyncio.Lock()):
            return await work()

    def _over(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever began it has it, unless they have left


__all__ = ["Turns"]
