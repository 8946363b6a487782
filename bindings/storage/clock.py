"""What time it is, for whatever goes by the calendar: crons, alarms, delays, what expires. Tests move it."""

from __future__ import annotations

import time
from typing import Protocol
from weakref import WeakSet


class Watcher(Protocol):
    """Who waits for a time."""

    async def clock_moved(self) -> None:
        """It is later than it was. Returns once what was due in between has been begun, or is over."""


_watchers: WeakSet[Watcher] = WeakSet()
_ahead_s = 0.0


def now() -> float:
    """Seconds since 1970."""
    return time.time() + _ahead_s


def now_ms() -> int:
    return int(now() * 1000)


def watch(watcher: Watcher) -> None:
    _watchers.add(watcher)


async def move(seconds: float) -> None:
    """From now on it is so much later."""
    global _ahead_s
    _ahead_s += seconds
    for watcher in list(_watchers):
        await watcher.clock_moved()


__all__ = ["Watcher", "move", "now", "now_ms", "watch"]
