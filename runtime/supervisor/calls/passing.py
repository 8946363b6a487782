"""Calls that need nothing but to be passed on: from one process's channel to another's, and back, without a task.

Theory of operation
-------------------
Most calls between workers carry bytes alone, go to a process that is there, and are in nobody's trace. Such a one goes
on in the very moment in which it comes, as its answer does: nothing is awaited, and nothing is decoded but the frame.
Whatever else there is to it goes the other way (``Calls.call``): a worker that has yet to begin, functions and streams
among the arguments, a limit that is reached. And what has gone this way and then turns out not to be that simple, for
it fails, or answers with more than bytes, is ended by a task, with that way's code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from runtime.supervisor.calls import called
from runtime.supervisor.calls.call import Answer, Begun, Call
from runtime.supervisor.calls.called import CallActivity
from runtime.supervisor.calls.channel import PassingChannel, Release
from runtime.supervisor.limits import wall_exceeded
from runtime.wire.protocol import RESULT

Told = Callable[["Passing"], Awaitable[object]]


class Passing:
    """One call, which came as ``number`` by ``channel``; ``told(self)`` is its answer where that takes a task. It
    stands where its caller has a task, and where whoever is called has a future."""

    __slots__ = (
        "_activity", "_answer", "_begun", "_call", "_channel", "_error", "_number", "_over", "_sent", "_timer", "_told",
        "release",
    )  # fmt: skip

    def __init__(self, channel: PassingChannel, number: int, told: Told, begun: Begun, call: Call) -> None:
        self.release: Release
        self._channel, self._number, self._told, self._begun = channel, number, told, begun
        self._answer: object = None
        self._error: Exception | None = None
        self._over = False
        self._activity = activity = CallActivity(call)
        self._timer: asyncio.TimerHandle | None = None
        if begun.wall_s is not None:
            self._timer = asyncio.get_running_loop().call_later(begun.wall_s, self._expired)
        process, target = begun.process, call.target
        process.at_work.begin(activity)
        self._sent = process.channel.post(
            self, "call", activity.number, target.entrypoint, target.id, call.method, call.payload, [], target.props
        )

    # As a future

    def done(self) -> bool:
        return self._over

    def set_result(self, result: Any, /) -> None:
        self._end()
        match result:
            case [bytes(), []]:
                self._begun.process.channel.passed += 1
                self._begun.ended()
                self._channel.reply(self._number, self, [RESULT, self._number, result])
            case _:
                self._answer = result
                self._channel.reply_later(self._number, self, self._at_length)

    def set_exception(self, exception: Exception, /) -> None:
        self._end()
        self._fail(exception)

    # As a task

    def cancel(self) -> None:
        self._give_up()
        self._begun.ended()
        self._channel.over(self._number, self)

    async def answer(self) -> Answer:
        """What ``Callee.call`` returns and raises."""
        try:
            if self._error is not None:
                raise await self._begun.failed(self._error) from None
            return await called.answered(self._begun.process, self._answer)
        finally:
            self._begun.ended()

    async def _at_length(self) -> object:
        return await self._told(self)

    def _expired(self) -> None:
        assert self._begun.wall_s is not None
        self._give_up()
        self._fail(wall_exceeded(self._begun.wall_s))

    def _give_up(self) -> None:
        self._end()
        self._begun.process.channel.give_up(self._sent)
        called.let_go(self._begun.process, self._activity)

    def _fail(self, error: Exception) -> None:
        self._error = error
        called.let_go(self._begun.process, self._activity)
        self._channel.reply_later(self._number, self, self._at_length)

    def _end(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._begun.process.at_work.end(self._activity)


__all__ = ["Passing"]
