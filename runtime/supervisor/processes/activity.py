"""What an isolate is at work on, as its broker sees it: a request, or an event that is none."""

from __future__ import annotations

from typing import Protocol

from runtime.supervisor.http.exchange import numbers
from runtime.tracing import NO_SPAN, Span


class Activity(Protocol):
    """What calls of bindings and outbound fetches are counted against; an ``Exchange`` is one."""

    @property
    def name(self) -> str:
        """For a person."""

    number: int
    status: int  # 0 while nothing of an answer is out
    span: Span
    subrequests: int
    lent: list[int]  # streams that the isolate was given

    def uses(self, source: object) -> None:
        """It was given this stream of the supervisor's."""


class EventActivity:
    """An event of a product's."""

    def __init__(self, handler: str) -> None:
        self.number, self.name, self.span = next(numbers), f"the {handler} handler", NO_SPAN
        self.status = self.subrequests = 0
        self.lent: list[int] = []

    def uses(self, source: object) -> None:
        """No line in the log says what it has used."""


__all__ = ["Activity", "EventActivity"]
