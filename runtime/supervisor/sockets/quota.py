"""What the sockets of one worker may use, all versions of it together."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from runtime.supervisor.limits import too_many_sockets

MESSAGE_BYTES = 32 * 1024 * 1024  # of one message; on Workers too


class SocketLimits(NamedTuple):
    open: int = 32_768  # sockets of one worker
    queue_bytes: int = 64 << 20  # that wait for one slow peer
    total_bytes: int = 256 << 20  # that wait for all slow peers of one worker, or are of messages that are not whole


class Quota(msgspec.Struct):
    """One worker's. ``tell``: a limit was reached, in words."""

    limits: SocketLimits
    tell: Callable[[str], None]
    open: int = 0
    waiting: int = 0  # bytes

    def enter(self) -> None:
        """One socket more. Raises LimitExceeded."""
        if self.open >= self.limits.open:
            raise too_many_sockets(self.limits.open)
        self.open += 1

    def exceeded(self, queued: int) -> str:
        """Which limit, if one: ``queued`` bytes wait for one peer."""
        if queued > self.limits.queue_bytes:
            return f"{queued >> 20} MiB wait for a client that does not read (socket_queue_mb)"
        if self.waiting > self.limits.total_bytes:
            return f"{self.waiting >> 20} MiB wait for clients that do not read (sockets_queue_mb)"
        return ""


class Quotas:
    """By worker. ``tell(worker, why)``."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self._known: dict[str, Quota] = {}

    def of(self, worker: str, limits: SocketLimits) -> Quota:
        quota = self._known.get(worker)
        if quota is None:
            quota = self._known[worker] = Quota(limits, lambda why: self._tell(worker, why))
        quota.limits = limits
        return quota


__all__ = ["MESSAGE_BYTES", "Quota", "Quotas", "SocketLimits"]
