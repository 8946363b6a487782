"""The supervisor's end of a channel to a worker's process, as calls between workers need it: a call may be passed on in
the moment in which it comes, and is then nobody's task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from runtime.wire import GuardedChannel
from runtime.wire.protocol import CALL, Asker, Frame, Serving

Release = Callable[[object], None]


class Passed(Serving, Protocol):
    """A call that was passed on."""

    release: Release  # what it holds of its caller's credit


class PassingChannel(GuardedChannel):
    """``passes(call, op, args)`` is asked of each call that comes: who has passed it on; None: it is a task."""

    passes: Callable[[int, str, list[Any]], Passed | None] = staticmethod(lambda call, op, args: None)

    def post(self, asker: Asker, op: str, *args: object) -> int:
        """As ``call``, but that ``asker`` gets the answer in the moment in which it comes. Its number."""
        self._last_number = number = self._last_number + 1
        self._calls[number] = asker
        self.send([CALL, number, op, args])
        return number

    def hand_over(self, number: int, asker: Asker) -> None:
        """``asker`` gets the answer to what was posted, instead of who would have."""
        self._calls[number] = asker

    def give_up(self, number: int) -> None:
        """The answer to what was posted is waited for no more."""
        if self._calls.pop(number, None) is not None:
            self._unwanted(number)

    def reply(self, number: int, passed: Passed, frame: Frame) -> None:
        """The answer to a call that was passed on."""
        self.over(number, passed)
        self.send(frame)

    def reply_later(self, number: int, passed: Passed, work: Callable[[], Awaitable[object]]) -> None:
        """The same, of what that gives or raises."""
        self._serving[number] = task = self._loop.create_task(self._answer(number, work))
        task.add_done_callback(passed.release)

    def over(self, number: int, passed: Passed) -> None:
        """A call that was passed on has no answer, or has it."""
        self._serving.pop(number, None)
        passed.release(None)

    def _begin(self, frame: Frame, release: Release) -> None:
        if (passed := self.passes(frame[1], frame[2], frame[3])) is None:
            return super()._begin(frame, release)
        passed.release = release
        self._serving[frame[1]] = passed
        self.passed += 1


__all__ = ["Passed", "PassingChannel", "Release"]
