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
from contextlib import suppress
from typing import Any, Generic, TypeVar

from runtime.errors import ScriptError
from runtime.supervisor.calls import called
from runtime.supervisor.calls.call import Answer, Begun, Call, ServiceAnswer, ServiceRequest
from runtime.supervisor.calls.called import CallActivity
from runtime.supervisor.calls.channel import PassingChannel, Release
from runtime.supervisor.http.heads import pairs
from runtime.supervisor.limits import wall_exceeded
from runtime.wire import MAX_CHUNK
from runtime.wire.protocol import RESULT

Asked = TypeVar("Asked", Call, ServiceRequest)
Told = Callable[[Any], Awaitable[object]]


class Passing(Generic[Asked]):
    """One call, or one request, which came as ``number`` by ``channel``; ``told(self)`` is its answer where that takes
    a task. It stands where its caller has a task, and where whoever is called has a future."""

    __slots__ = (
        "_activity", "_answer", "_begun", "_channel", "_error", "_number", "_over", "_sent", "_timer", "_told",
        "release",
    )  # fmt: skip

    def __init__(self, channel: PassingChannel, number: int, told: Told, begun: Begun, asked: Asked) -> None:
        self.release: Release
        self._channel, self._number, self._told, self._begun = channel, number, told, begun
        self._answer: object = None
        self._error: Exception | None = None
        self._over = False
        self._activity = activity = CallActivity(asked)
        self._timer: asyncio.TimerHandle | None = None
        if begun.limits is not None:
            self._timer = asyncio.get_running_loop().call_later(begun.limits.wall_s, self._expired)
        begun.process.at_work.begin(activity)
        self._sent = self._post(asked, activity.number)

    def _post(self, asked: Asked, event: int) -> int:
        """Ask the process. The question's number."""
        raise NotImplementedError

    def _plain(self, result: object) -> list[Any] | None:
        """What has been answered, where it goes on as it is."""
        raise NotImplementedError

    # As a future

    def done(self) -> bool:
        return self._over

    def set_result(self, result: Any, /) -> None:
        self._end()
        if (plain := self._plain(result)) is not None:
            self._begun.process.channel.passed += 1
            self._begun.ended()
            self._channel.reply(self._number, self, [RESULT, self._number, plain])
        else:
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

    async def heard(self) -> object:
        """What the process has answered. Raises what ``Callee.call`` does."""
        try:
            if self._error is not None:
                raise await self._begun.failed(self._error) from None
            return self._answer
        finally:
            self._begun.ended()

    async def _at_length(self) -> object:
        return await self._told(self)

    def _expired(self) -> None:
        assert self._begun.limits is not None
        self._give_up()
        self._fail(wall_exceeded(self._begun.limits.wall_s))

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


class PassingCall(Passing[Call]):
    """A method."""

    __slots__ = ()

    def _post(self, asked: Call, event: int) -> int:
        target, post = asked.target, self._begun.process.channel.post
        return post(self, "call", event, target.entrypoint, target.id, asked.method, asked.payload, [], target.props)

    def _plain(self, result: object) -> list[Any] | None:
        match result:
            case [bytes() as payload, []]:
                return [payload, []]
        return None

    async def answer(self) -> Answer:
        """What ``Callee.call`` returns and raises."""
        return await called.answered(self._begun.process, await self.heard())


class PassingRequest(Passing[ServiceRequest]):
    """A request whose body is here, if it has one."""

    __slots__ = ()

    def _post(self, asked: ServiceRequest, event: int) -> int:
        parts = (asked.method, asked.url, asked.headers, asked.body, None, None)
        props = dict(asked.target.props)
        return self._begun.process.channel.post(self, "fetch", event, *parts, asked.target.entrypoint, props)

    def _plain(self, result: object) -> list[Any] | None:
        match result:
            case [int(status), str(text), list(headers), None | bytes() as body] if len(body or b"") <= MAX_CHUNK:
                with suppress(ScriptError):  # which is told of at length
                    return [status, text, pairs(headers), body]
        return None

    async def answer(self) -> ServiceAnswer:
        """What ``Callee.request`` returns and raises."""
        heard, process = await self.heard(), self._begun.process
        called.noted(process, heard, self._activity)
        return called.service_answer(process, heard, self._begun.limits, self._activity.number)


__all__ = ["Passing", "PassingCall", "PassingRequest"]
