"""Progress comes many times a second; a log wants it now and then."""

from __future__ import annotations

from time import monotonic


class Throttle:
    """Lets a stage's start through, then each ``step`` of its fraction, and a sign of life every so often."""

    def __init__(self, *, step: float, every_s: float) -> None:
        self._step, self._every_s = step, every_s
        self._last: dict[str, tuple[str, int, float]] = {}

    def passes(self, key: str, stage: str, fraction: float | None) -> bool:
        now, reached = monotonic(), int((fraction or 0) / self._step + 1e-9)
        before = self._last.get(key)
        if before and before[:2] == (stage, reached) and now - before[2] < self._every_s:
            return False
        self._last[key] = (stage, reached, now)
        return True

    def forget(self, key: str) -> None:
        self._last.pop(key, None)
