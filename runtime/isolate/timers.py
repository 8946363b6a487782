"""``setTimeout`` and its like, ``queueMicrotask``, ``scheduler.wait`` and ``performance``, over the event loop.

A callback may be plain or async; what it raises is printed, as the exception of a task under ``waitUntil`` is.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections.abc import Callable
from typing import Any

from runtime.isolate.script.errors import report

_numbers = itertools.count(1)
_waiting: dict[int, asyncio.TimerHandle] = {}
_running: set[asyncio.Future[Any]] = set()
_BEGAN = time.perf_counter()


def setTimeout(callback: Callable[..., Any], delay: float = 0, *args: object) -> int:
    """``delay`` in milliseconds. Its number, for ``clearTimeout``."""
    return _begin(callback, delay, args, again=False)


def setInterval(callback: Callable[..., Any], delay: float = 0, *args: object) -> int:
    return _begin(callback, delay, args, again=True)


def clearTimeout(number: int | None = None) -> None:
    handle = _waiting.pop(number, None) if number is not None else None
    if handle is not None:
        handle.cancel()


clearInterval = clearTimeout


def queueMicrotask(callback: Callable[[], Any]) -> None:
    asyncio.get_running_loop().call_soon(_call, "queueMicrotask", callback, ())


class scheduler:
    @staticmethod
    async def wait(delay: float, options: object = None) -> None:
        """Milliseconds."""
        await asyncio.sleep(max(0.0, delay) / 1000)


class performance:
    """``now()``: milliseconds since this process began to import."""

    timeOrigin = time.time() * 1000

    @staticmethod
    def now() -> float:
        return (time.perf_counter() - _BEGAN) * 1000


def _begin(callback: Callable[..., Any], delay: float, args: tuple[object, ...], *, again: bool) -> int:
    if not callable(callback):
        raise TypeError(f"a timer's callback must be a function, not {type(callback).__name__}")
    loop, seconds, number = asyncio.get_running_loop(), max(0.0, float(delay or 0)) / 1000, next(_numbers)

    def fire() -> None:
        if again:
            _waiting[number] = loop.call_later(max(seconds, 0.001), fire)
        else:
            _waiting.pop(number, None)
        _call("setInterval" if again else "setTimeout", callback, args)

    _waiting[number] = loop.call_later(seconds, fire)
    return number


def _call(what: str, callback: Callable[..., Any], args: tuple[object, ...]) -> None:
    try:
        done = callback(*args)
    except Exception as error:
        return report(f"{what}: its callback failed", error)
    if inspect.isawaitable(done):
        task = asyncio.ensure_future(done)
        _running.add(task)
        task.add_done_callback(lambda _: _over(what, task))


def _over(what: str, task: asyncio.Future[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        report(f"{what}: its callback failed", error)


__all__ = [
    "clearInterval", "clearTimeout", "performance", "queueMicrotask", "scheduler", "setInterval", "setTimeout",
]  # fmt: skip
