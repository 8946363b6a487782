"""What one isolate is at work on, and how often each of it has asked for something outside (``subrequests``)."""

from __future__ import annotations

import time
from collections import OrderedDict  # whose oldest is found at once, however many have gone
from typing import Protocol

from runtime.supervisor.http.exchange import numbers
from runtime.supervisor.limits import too_many_subrequests
from runtime.supervisor.traces.lines import claimed
from runtime.tracing import NO_SPAN, Span, current

_MAX_LATE = 10_000  # activities that have their answer and ask on, at a time


class Activity(Protocol):
    """What calls of bindings and outbound fetches are counted against; an ``Exchange`` is one."""

    @property
    def name(self) -> str:
        """For a person."""

    number: int
    status: int  # 0 while nothing of an answer is out
    depth: int  # how many calls between workers have led to it
    span: Span
    subrequests: int
    lent: list[int]  # streams that the isolate was given

    def uses(self, source: object) -> None:
        """It was given this stream of the supervisor's."""


class EventActivity:
    """An event of a product's."""

    def __init__(self, handler: str) -> None:
        self.number, self.name = next(numbers), f"the {handler} handler"
        self.span = NO_SPAN if (span := current.get()).over else span
        self.status = self.subrequests = self.depth = 0
        self.lent: list[int] = []

    def uses(self, source: object) -> None:
        """No line in the log says what it has used."""


class SocketActivity(EventActivity):
    """A WebSocket that a request was answered with. Each message counts its asks anew."""

    def __init__(self, number: int, name: str) -> None:
        self.number, self.name, self.span = number, name, NO_SPAN
        self.status, self.subrequests, self.depth = 101, 0, 0
        self.lent = []


class AtWork:
    """``limit`` asks of each, None: any number. A count goes on after the answer for ``wait_s`` seconds, as
    ``waitUntil`` does; what no request asks for, but an import or a thread, counts as one request in that time."""

    def __init__(self, limit: int | None = None, wait_s: float = 30.0) -> None:
        self.activities: dict[int, Activity] = {}  # by number; without those that have their answer
        self.begun = 0  # so far
        self._limit, self._wait_s = limit, wait_s
        self._last = 0  # the number that began last
        self._late: OrderedDict[int, tuple[int, float]] = (
            OrderedDict()
        )  # by number: asks, and when they are forgotten; oldest first
        self._depths: OrderedDict[int, int] = (
            OrderedDict()
        )  # of those that have their answer, and may ask on; oldest first

    def begin(self, activity: Activity) -> None:
        self.activities[activity.number] = activity
        claimed(activity.number)
        self.begun += 1
        self._last = activity.number

    def end(self, activity: Activity) -> None:
        if self.activities.get(activity.number) is activity:  # else a socket has taken its place
            del self.activities[activity.number]
        if activity.depth:
            self._depths[activity.number] = activity.depth
            if len(self._depths) > _MAX_LATE:
                self._depths.popitem(last=False)
        if activity.subrequests and self._limit is not None:
            self._late[activity.number] = activity.subrequests, time.monotonic() + self._wait_s
            self._forget()

    def ask(self, number: int) -> Activity | None:
        """Whose ask it is, None: not one of those. Raises LimitExceeded: it has asked too often."""
        activity = self.activities.get(number)
        if activity is not None:
            activity.subrequests += 1
        if self._limit is not None and self._asks(number, activity) > self._limit:
            raise too_many_subrequests(self._limit)
        return activity

    def asks_freely(self, number: int) -> Activity | None:
        """Whose ask it is, where it is at work and may ask once more; None: ``ask`` says. It is not counted yet."""
        activity = self.activities.get(number)
        within = activity is not None and (self._limit is None or activity.subrequests < self._limit)
        return activity if within else None

    def depth(self, number: int) -> int:
        """How many calls between workers have led to what asks."""
        activity = self.activities.get(number)
        return self._depths.get(number, 0) if activity is None else activity.depth

    def _asks(self, number: int, activity: Activity | None) -> int:
        if activity is not None:
            return activity.subrequests
        self._forget()
        known = number if 0 < number <= self._last and len(self._late) < _MAX_LATE else 0
        asks, until = self._late.get(known, (0, time.monotonic() + self._wait_s))
        self._late[known] = asks + 1, until
        return asks + 1

    def _forget(self) -> None:
        now = time.monotonic()
        while self._late and next(iter(self._late.values()))[1] < now:
            self._late.popitem(last=False)


__all__ = ["Activity", "AtWork", "EventActivity", "SocketActivity"]
