"""How long a run lives in its process: what it is at, and when it is let go."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from bindings.workflows import errors
from bindings.workflows.durations import StepConfig
from bindings.workflows.engine import rows
from bindings.workflows.engine.book import Key
from bindings.workflows.engine.rows import Step

HOLD_S = 5.0  # seconds that a run may wait in its process: what it does outside of steps meanwhile would be lost
_LEAVING_HOLD_S = 0.2  # the same, of a version that is to be let go


class Attempt(NamedTuple):
    step: Step
    config: StepConfig


class Life:
    """``over`` is done when it shall end: ``stopped`` says why, in words for the script, or it is let go."""

    def __init__(self) -> None:
        self.working: dict[Key, Attempt] = {}
        self.waiting: dict[Key, Step] = {}
        self._asked = 0  # calls that are being dealt with, without those that wait
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self._loop.create_future()
        self._signal: asyncio.Future[None] = self._loop.create_future()  # done when those that wait are to look
        self.stopped: str | None = None
        self.left = False  # the version that runs it is to be let go
        self._timer: asyncio.TimerHandle | None = None

    def leave(self) -> None:
        """The version that runs it is to be let go."""
        self.left = True
        self._settle()

    def stop(self, why: str) -> None:
        if self.stopped is None:
            self.stopped = why
            self._fire()
            self.end()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.over.done():
            self.over.set_result(None)

    def _check(self) -> None:
        if self.stopped is not None or self.over.done():
            raise errors.aborted(self.stopped or "The instance goes on in another run")

    def _fire(self) -> None:
        signal, self._signal = self._signal, self._loop.create_future()
        if not signal.done():
            signal.set_result(None)

    def _settle(self) -> None:
        """Whether it does nothing but wait now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.waiting and not self.working and not self._asked and not self.over.done():
            self._timer = self._loop.call_later(_LEAVING_HOLD_S if self.left else HOLD_S, self._let_go)

    def _let_go(self) -> None:
        """Unless it would be back at once."""
        left = min(step.due or 0 for step in self.waiting.values()) - rows.now()
        if self.left or left > HOLD_S * 1000:
            self.end()
        else:
            self._settle()


__all__ = ["HOLD_S", "Attempt", "Life"]
