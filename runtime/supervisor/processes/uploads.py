"""Requests of one version whose bodies had not come when they began.

They hold half of its places at most: however slowly their clients send, the other half is there for requests that have
come whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.limits import Limits, too_many_uploads


class Uploads:
    """``limits``: the version's."""

    def __init__(self, limits: Limits | None) -> None:
        self._most = max(1, limits.concurrent // 2) if limits is not None else 0
        self._exchanges: set[Exchange] = set()

    @contextmanager
    def place(self, exchange: Exchange) -> Iterator[None]:
        """Raises LimitExceeded."""
        if sum(not other.inbound.done for other in self._exchanges) >= self._most:
            raise too_many_uploads(self._most)
        self._exchanges.add(exchange)
        try:
            yield
        finally:
            self._exchanges.discard(exchange)


__all__ = ["Uploads"]
