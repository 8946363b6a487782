"""A moment that is put off again and again. One timer serves them all: it is told of the next one, not begun anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """``passed()`` is called once it is there, ``seconds`` from now. ``until``: when, by the loop's clock, for whoever
    puts it off; 0: it does not come unless it begins anew."""

    __slots__ = ("_loop", "_passed", "_timer", "until")

    def __init__(self, seconds: float, passed: Callable[[], None]) -> None:
        self._loop, self._passed = asyncio.get_running_loop(), passed
        self._timer: asyncio.TimerHandle | None = None
        self.begin(seconds)

    def begin(self, seconds: float) -> None:
        """It is ``seconds`` from now."""
        self.until = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._look)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self.until:
            return
        if (left := self.until - self._loop.time()) > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._passed()


__all__ = ["Deadline"]
