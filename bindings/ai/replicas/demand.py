"""How many replicas there should be, by the requests in hand."""

from __future__ import annotations

import math

from bindings.ai.replicas.placement import Placement

UP_AFTER_S = 2.0  # of too many requests for what there is
TICK_S = 0.5  # between two looks


class Demand:
    """The same rule wherever it is followed: it looks at the load and the clock alone."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self._since: float | None = None  # more, or fewer, have been needed
        self._direction = 0

    def wanted(self, now: float, load: int, current: int) -> int:
        """Replicas: up when too few for ``UP_AFTER_S``, at once from none; down by one when too many for ``idle_s``.

        Those that made way for other models do not come back by themselves: a request brings them.
        """
        needed = self._needed(load, current)
        direction = (needed > current) - (needed < current)
        if direction != self._direction or self._since is None:
            self._direction, self._since = direction, now
        patience = self.placement.idle_s if direction < 0 else UP_AFTER_S if current else 0.0
        if not direction or now - self._since < patience:
            return current
        self._since = now
        return needed if direction > 0 else current - 1

    def _needed(self, load: int, current: int) -> int:
        least = self.placement.minimum if load else min(self.placement.minimum, current)
        return min(max(math.ceil(load / self.placement.target), least), self.placement.maximum)


__all__ = ["TICK_S", "Demand"]
