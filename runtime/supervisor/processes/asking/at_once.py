"""A request without a task: a process is asked in the turn that reads the request, and what it says is written in the
turn that hears of it.

Theory of operation
-------------------
A task costs as much as all else that is done for a small request, and keeps kilobytes for as long as a stream takes. So
the process's answer is told to an object of this file, as it would be to a future. It knows four ends: a whole answer,
which it writes; one whose body comes by itself (``runtime.wire.Flowing``), whose parts it has written as they come; a
client that leaves; and whatever takes longer, a client that is slow, an error, a process that dies, a server that ends.
That goes on in a task, from where it is, the same way as what began there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any, Protocol, cast

from runtime.errors import ScriptError
from runtime.supervisor.http.asgi import BodyStream
from runtime.supervisor.http.dispatch import Answered, Serve
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.http.framed import body_of, event_of, flows, origin_of
from runtime.supervisor.processes.asking.in_a_task import BegunAnswer
from runtime.supervisor.processes.process import Process
from runtime.supervisor.processes.slot import IsolateSlot
from runtime.wire import MAX_CHUNK, Flowing

_PARTS = 4  # of an answer that the process has no further part in


class Asking(Protocol):
    """A deployment."""

    def begins(self, slot: IsolateSlot) -> None: ...

    def ends(self, slot: IsolateSlot) -> None: ...

    def go_on(
        self, slot: IsolateSlot, process: Process, exchange: Exchange, answer: Awaitable[Any] | BegunAnswer
    ) -> Awaitable[None]: ...


class AtOnce:
    """Who waits for the answer to ``fetch``; raises RequestError, and has asked nothing then."""

    __slots__ = (
        "_deployment", "_done", "_exchange", "_flow", "_heard", "_matters", "_number", "_process", "_serve", "_slot",
        "_told",
    )  # fmt: skip

    def __init__(
        self, deployment: Asking, slot: IsolateSlot, process: Process, exchange: Exchange, told: Answered, serve: Serve
    ) -> None:
        asked = (*event_of(exchange), exchange.inbound.content, None, origin_of(exchange.scope))
        self._deployment, self._slot, self._process, self._exchange = deployment, slot, process, exchange
        self._told, self._serve, self._done = told, serve, False
        self._flow: Flowing | None = None  # its body, while that comes by itself
        self._matters = False  # to the process, when it is over
        self._number = process.channel.post(self, "fetch", *asked)
        exchange.asked()
        deployment.begins(slot)
        process.broker.at_work.begin(exchange)
        exchange.watch_untasked(process.channel, self._left, self._shut)

    # The channel's asker

    def done(self) -> bool:
        return self._done

    def set_result(self, answer: Any) -> None:
        self._exchange.unwatch()  # ahead of the connection's next request, which begins with the end of this answer
        if self._is_written(answer):
            self._over()
        elif not self._flows(answer):
            self._go_on(Known(answer))

    def set_exception(self, error: Exception) -> None:
        heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        heard.set_exception(error)
        self._go_on(heard)

    def _is_written(self, answer: Any) -> bool:
        """What is wrong with it is said the long way."""
        if not isinstance(answer, list) or len(answer) != _PARTS or type(answer[0]) is not int:
            return False
        status, _, headers, body = answer
        if body is not None and (type(body) is not bytes or len(body) > MAX_CHUNK):
            return False
        try:
            return self._exchange.answer_now(status, headers, body)
        except ScriptError:
            return False

    def _flows(self, answer: Any) -> bool:
        """Whether nobody need wait for the parts of its body: the head is sent then."""
        channel, exchange = self._process.channel, self._exchange
        if not flows(channel, answer):
            return False
        try:
            write = exchange.begin_now(answer[0], answer[2])
        except ScriptError:
            return False
        if write is None:
            return False
        flow = cast(Flowing, body_of(channel, answer[3], exchange))
        self._done, self._flow, self._matters = True, flow, len(answer) > _PARTS
        exchange.watch_untasked(channel, self._left, flow.hold)
        flow.flow(write, self._ended, self._held)
        return True

    def _ended(self) -> None:
        """All of the body has been written."""
        self._exchange.unwatch()
        self._exchange.end_now()
        self._over()

    def _held(self) -> None:
        """The client is slow, the source has broken off, or the server ends."""
        flow, self._flow = self._flow, None
        self._exchange.unwatch()
        self._go_on(BegunAnswer(cast(BodyStream, flow), self._matters))

    def _left(self) -> None:
        """The client."""
        channel, exchange = self._process.channel, self._exchange
        exchange.unwatch()
        if self._flow is not None:
            self._flow.drop()
        channel.give_up(self._number)
        for number in exchange.lent:
            channel.discard(number)
        exchange.note = "client left"
        self._over()

    def _over(self) -> None:
        self._done, self._flow = True, None
        self._exchange.let_go()
        if self._matters:
            self._process.channel.note("over", self._exchange.number)
        self._process.broker.at_work.end(self._exchange)
        self._deployment.ends(self._slot)
        try:
            self._told(self._exchange)
        except Exception as error:  # it would be taken for what the process has sent
            asyncio.get_running_loop().call_exception_handler({"message": "a request's end", "exception": error})

    def _shut(self) -> None:
        """The server ends: it has tasks to wait for, and to cancel."""
        heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._process.channel.hand_over(self._number, heard)
        self._go_on(heard)

    def _go_on(self, heard: Awaitable[Any] | BegunAnswer) -> None:
        self._done, self._heard = True, heard
        self._exchange.go_on(self._served)

    def _served(self, *_: object) -> Awaitable[None]:
        return self._serve(self._exchange, self._goes_on)

    def _goes_on(self, exchange: Exchange) -> Awaitable[None]:
        heard = self._heard if isinstance(self._heard, Known | BegunAnswer) else self._waits(self._heard)
        del self._heard
        return self._deployment.go_on(self._slot, self._process, exchange, heard)

    async def _waits(self, heard: Awaitable[Any]) -> Any:
        try:
            return await heard
        except asyncio.CancelledError:
            self._process.channel.give_up(self._number)
            raise


class Known:
    """An answer that is there. It is asked for once."""

    __slots__ = ("_answer",)

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def __await__(self) -> Generator[Any, Any, Any]:
        answer = self._answer
        del self._answer
        yield from ()
        return answer


__all__ = ["AtOnce"]
