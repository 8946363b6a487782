"""A thread that a request's code begins, and what it gives a pool to do, is metered with the request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from runtime.isolate.meter import current

# Python 3.14's pool of interpreters: they share nothing to meter with.
_ELSEWHERE: tuple[type, ...] = tuple(filter(None, [getattr(futures, "InterpreterPoolExecutor", None)]))


def follow() -> None:
    """From here on, in this process."""
    _follow_threads()
    _follow_pools()


def _follow_threads() -> None:
    original = threading.Thread.start

    def start(self: threading.Thread) -> None:
        if (metered := current.get()) is not None:
            self.run = partial(metered.run, self.run)  # type: ignore[method-assign]
        original(self)

    threading.Thread.start = start  # type: ignore[method-assign]


def _follow_pools() -> None:
    original = ThreadPoolExecutor.submit

    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        metered = current.get()
        if metered is None or isinstance(self, _ELSEWHERE):
            return original(self, fn, *args, **named)
        token = current.set(None)  # the pool's own threads, which it may begin now, are nobody's
        try:
            return original(self, metered.run, fn, *args, **named)
        finally:
            current.reset(token)

    ThreadPoolExecutor.submit = submit  # type: ignore[method-assign, assignment]


__all__ = ["follow"]
