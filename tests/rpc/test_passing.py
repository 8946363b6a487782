"""Calls that are passed on from channel to channel: they are nobody's task, and end as the others do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from bindings.messages import Target
from runtime.supervisor.calls.at_work import AtWork, EventActivity
from runtime.supervisor.calls.call import Answer, Begun, Call, Callee, ServiceAnswer, ServiceRequest
from runtime.supervisor.calls.calls import Calls
from runtime.supervisor.calls.channel import PassingChannel
from runtime.supervisor.calls.reach import NOWHERE
from runtime.supervisor.calls.stubs import Stubs
from runtime.supervisor.limits import Limits
from runtime.wire import Channel, RemoteError


class Leads:
    """A binding to the other worker."""

    name, client = "OTHER", ""
    client_args: Mapping[str, Any] = {}

    def describe(self) -> tuple[str, str]:
        return "worker", "other"

    def target(self, address: object) -> Target:
        return Target("other")

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise AssertionError


class Pair:
    """Two processes and the supervisor between them. ``limits``: of what is called."""

    def __init__(self) -> None:
        self.caller: Channel
        self.callee: Channel
        self.limits: Limits | None = None
        self.begun = self.ended = 0
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.event = EventActivity("fetch")
        self.stubs = Stubs(AtWork()), Stubs(AtWork(1000))

    # Reach and Callee

    async def __call__(self, worker: str) -> Callee:
        raise AssertionError("it is at hand")

    def at_hand(self, worker: str) -> Callee:
        return self

    def begin(self, *, requests: bool = False) -> Begun:
        self.begun += 1
        return Begun(self.stubs[1], self.over, self.failed, self.limits)

    def over(self) -> None:
        self.ended += 1

    async def failed(self, error: Exception) -> Exception:
        return error

    async def call(self, call: Call) -> Answer:
        raise AssertionError("it is passed on")

    async def request(self, request: ServiceRequest) -> ServiceAnswer:
        raise AssertionError("it is none")

    # The process that is called

    async def served(self, op: str, args: list[Any]) -> object:
        self.asked.set()
        match args:
            case [_, "Default", None, "echo", payload, [], {}]:
                return payload, []
            case [*_, "fail", _, _, _]:
                raise LookupError("no")
            case [_, "POST", "http://other/whole", headers, body, None, None, "Default", {}]:
                return [200, "fine", headers, body]
            case [_, "GET", "http://other/stream", *_]:
                return [200, "", [], ["mine", self.callee.offer(said("a", "b"))]]
            case [_, "GET", "http://other/wrong", *_]:
                return [200, "", [[b"one"]], b""]
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    def asks(self, method: str, payload: bytes = b"p") -> asyncio.Task[Any]:
        return asyncio.create_task(self.caller.call("call", self.event.number, "OTHER", None, method, payload, []))

    def requests(self, method: str, path: str, headers: list[Any], body: bytes | None = None) -> Awaitable[Any]:
        parts = (self.event.number, "OTHER", None, method, f"http://other/{path}", headers, body, None)
        return self.caller.call("request", *parts)


async def said(*words: str) -> AsyncIterator[bytes]:
    for word in words:
        yield word.encode()


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    pair, ends = Pair(), [socket.socketpair(), socket.socketpair()]
    calls = Calls({"OTHER": Leads()}, pair.stubs[0], pair, NOWHERE, None)

    async def never(op: str, args: list[Any]) -> object:
        raise AssertionError(f"{op} is passed on")

    for stubs, (ours, _) in zip(pair.stubs, ends, strict=True):
        stubs.channel = await PassingChannel.guard(ours, never, pytest.fail)
    calls.channel = pair.stubs[0].channel
    calls.channel.passes = calls.passed
    pair.stubs[0].at_work.begin(pair.event)
    pair.caller = await Channel.open(ends[0][1], never)
    pair.callee = await Channel.open(ends[1][1], pair.served)
    try:
        yield pair
    finally:
        for channel in (pair.caller, pair.callee):
            await channel.aclose()


async def test_an_answer_comes_back() -> None:
    async with pair() as it:
        answers = await asyncio.gather(*[it.asks("echo", b"%d" % number) for number in range(100)])
        assert answers == [[b"%d" % number, []] for number in range(100)]
        assert (it.begun, it.ended, it.event.subrequests) == (100, 100, 100)
        assert not it.stubs[1].at_work.activities
        assert (it.stubs[0].channel.held, it.stubs[0].channel.load) == (0, 0)


async def test_it_is_nobodys_task() -> None:
    async with pair() as it:
        before = len(asyncio.all_tasks())
        waits = it.asks("wait")
        await it.asked.wait()
        assert len(asyncio.all_tasks()) == before + 2, "who asks, and who is asked"
        assert [activity.name for activity in it.stubs[1].at_work.activities.values()] == ["Default.wait"]
        waits.cancel()
        await it.cancelled.wait()
        assert (it.begun, it.ended, it.stubs[0].channel.load) == (1, 1, 0)
        assert not it.stubs[1].at_work.activities


async def test_an_error_is_the_callers() -> None:
    async with pair() as it:
        with pytest.raises(RemoteError, match="no") as caught:
            await it.asks("fail")
        assert (caught.value.name, caught.value.fields["remote"], it.ended) == ("LookupError", True, 1)


async def test_the_callees_end_is_an_error() -> None:
    async with pair() as it:
        waits = it.asks("wait")
        await it.asked.wait()
        await it.callee.aclose()
        with pytest.raises(RemoteError, match=r"Network connection lost\."):
            await waits
        assert (it.ended, it.stubs[0].channel.load) == (1, 0)


async def test_the_callers_end_is_heard() -> None:
    async with pair() as it:
        waits = it.asks("wait")
        await it.asked.wait()
        await it.caller.aclose()
        await it.cancelled.wait()
        assert it.ended == 1
        with suppress(Exception):
            await waits


async def test_its_time_is_limited() -> None:
    async with pair() as it:
        it.limits = Limits(wall_s=1)
        with pytest.raises(RemoteError, match=r"more than 1 s \(wall_s\)"):
            await it.asks("wait")
        await it.cancelled.wait()
        assert (it.ended, it.stubs[0].channel.load) == (1, 0)


async def test_a_request_and_its_whole_answer_are_passed_on() -> None:
    async with pair() as it:
        answers = await asyncio.gather(*[it.requests("POST", "whole", [[b"x", b"1"]], b"%d" % n) for n in range(100)])
        assert answers == [[200, "fine", [[b"x", b"1"]], b"%d" % number] for number in range(100)]
        assert (it.begun, it.ended, it.event.subrequests) == (100, 100, 100)
        assert not it.stubs[1].at_work.activities
        assert (it.stubs[0].channel.held, it.stubs[0].channel.load) == (0, 0)


async def test_an_answer_that_is_a_stream_is_handed_on() -> None:
    async with pair() as it:
        status, _, _, number = await it.requests("GET", "stream", [])
        assert (status, [chunk async for chunk in it.caller.read(number)]) == (200, [b"a", b"b"])
        assert (it.begun, it.ended) == (1, 1)


async def test_an_answer_to_a_request_that_is_none_is_the_callees_fault() -> None:
    async with pair() as it:
        with pytest.raises(RemoteError, match="headers that are none"):
            await it.requests("GET", "wrong", [])
        assert (it.begun, it.ended, it.stubs[0].channel.load) == (1, 1, 0)
