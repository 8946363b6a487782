"""How many requests a gateway lets through in how many seconds."""

from __future__ import annotations

from collections import deque


class RateLimit:
    """At most ``limit`` in each ``interval``: counted from its start (fixed), or back from now (sliding)."""

    def __init__(self, limit: int, interval: float, *, sliding: bool) -> None:
        self._limit, self._interval, self._sliding = limit, interval, sliding
        self._admitted: deque[float] = deque()  # when; never more than ``limit`` of them

    def admits(self, now: float) -> bool:
        """Whether one more may pass at ``now``, in seconds; if so, it is counted."""
        while self._admitted and self._is_past(self._admitted[0], now):
            self._admitted.popleft()
        if len(self._admitted) >= self._limit:
            return False
        self._admitted.append(now)
        return True

    def _is_past(self, then: float, now: float) -> bool:
        if self._sliding:
            return now - then >= self._interval
        return then // self._interval < now // self._interval


__all__ = ["RateLimit"]
