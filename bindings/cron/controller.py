"""What a worker's ``scheduled`` is handed: it is made in the isolate."""

from __future__ import annotations


class ScheduledController:
    """``scheduledTime``: milliseconds since 1970, of when it was due."""

    def __init__(self, cron: str, scheduledTime: int) -> None:  # noqa: N803
        self.cron, self.scheduledTime = cron, scheduledTime
        self.type = "scheduled"
        self._no_retry = False

    def noRetry(self) -> None:
        """Do not try again if this one fails; nothing is tried again here."""
        self._no_retry = True

    def outcome(self, returned: object) -> bool:
        """For the runtime: whether ``noRetry`` was called."""
        return self._no_retry


__all__ = ["ScheduledController"]
