"""What one isolate may ask for: its own bindings by name, what was lent to it, outbound fetch. Nothing else has a name
here."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec.msgpack import Ext

from bindings.base import Binding, CallError, HostStream, WorkerStream
from bindings.messages import HostSocket
from runtime.isolate.ambient import INTERNAL
from runtime.supervisor.calls.at_work import AtWork
from runtime.supervisor.calls.call import Callee
from runtime.supervisor.calls.calls import Calls
from runtime.supervisor.calls.channel import PassingChannel
from runtime.supervisor.calls.reach import NOWHERE, Reach
from runtime.supervisor.calls.stubs import Stubs
from runtime.supervisor.http.heads import pairs
from runtime.supervisor.outbound import FetchError, Outbound, traced
from runtime.supervisor.outbound.lending import Lender
from runtime.supervisor.outbound.tcp import TcpConnections
from runtime.supervisor.processes.sockets import ProcessSockets
from runtime.tracing import NO_SPAN, current
from runtime.values import STREAM, stream_named
from runtime.wire import Channel

_MAX_URL_CHARACTERS = 64 * 1024


class Broker:
    """Serves the calls of one isolate. Everything that arrives is checked: the other end runs user code."""

    def __init__(
        self,
        bindings: Mapping[str, Binding],
        outbound: Outbound,
        at_work: AtWork,
        reach: Reach = NOWHERE,
        lasting: Reach = NOWHERE,
        own: Callee | None = None,
    ) -> None:
        self.channel: Channel
        self.sockets: ProcessSockets
        self._bindings, self._outbound, self.at_work = bindings, outbound, at_work
        self._connections = TcpConnections(outbound)
        self._lender: Lender | None = None
        self.stubs = Stubs(at_work)
        self._calls = calls = Calls(bindings, self.stubs, reach, lasting, own)
        self.note = calls.note
        self._operations: dict[str, Callable[..., Awaitable[object]]] = {
            "binding": self._binding, "fetch": self._fetch, "call": calls.call, "invoke": calls.invoke,
            "request": calls.request, "load": calls.load, "sockets": self._held, "connect": self._connect,
            "tcp": self._tcp,
        }  # fmt: skip

    def attach(self, channel: PassingChannel, sockets: ProcessSockets, line: int | None = None) -> None:
        """Once, before anything is asked. ``line``: a descriptor, on which a host's isolate asks."""
        self.channel = self.stubs.channel = self._calls.channel = channel
        self.sockets = self.stubs.sockets = sockets
        channel.unheard, channel.passes = self.stubs.unheard, self._calls.passed
        if line is not None:
            self._lender = Lender(line, self._outbound, self.at_work.ask, sockets.quota)

    def close(self) -> None:
        """The isolate is gone."""
        self.stubs.clear()
        self._connections.close()
        if self._lender is not None:
            self._lender.close()

    def __call__(self, op: str, args: list[Any]) -> Awaitable[object]:
        if (operation := self._operations.get(op)) is None:
            raise ValueError(f"no such operation: {op!r}")
        return operation(*args)

    async def _held(self, cls: object, id: object, after: object) -> list[Any]:
        return self.sockets.held(cls, id, after)

    async def _connect(self, event: int, host: str, port: int, tls: bool) -> list[object]:
        self.at_work.ask(event)
        return await self._connections.open(self.channel, self.sockets.quota, host, port, tls)

    async def _tcp(self, number: int, operation: str, *args: object) -> object:
        return await self._connections.call(self.channel, number, operation, *args)

    async def _binding(self, event: int, name: str, method: str, args: list[Any]) -> list[Any]:
        # what only an event's own object calls is the runtime's, and no subrequest of the script
        exchange = self.at_work.activities.get(event) if name.startswith(INTERNAL) else self.at_work.ask(event)
        span = NO_SPAN
        if exchange is not None and exchange.span is not NO_SPAN:
            current.set(exchange.span)
            if not name.startswith(INTERNAL):
                span = exchange.span.child(f"env.{name}.{method}", "client")
        streams: list[WorkerStream] = []
        try:
            for at, arg in enumerate(args):
                if type(arg) is Ext and arg.code == STREAM:
                    streams.append(self._receive(args, at))
            answer = await self._bindings[name].call(method, args)
        finally:
            if span is not NO_SPAN:
                span.end(sys.exception())
            for stream in streams:
                await stream.aclose()
        if isinstance(answer, HostStream):
            number = self.channel.offer(answer.chunks)
            if exchange is not None:
                exchange.uses(answer.chunks)
                exchange.lent.append(number)
            return ["stream", number, dict(answer.meta)]
        if isinstance(answer, HostSocket):
            return ["socket", self.sockets.lend(answer.end), dict(answer.meta)]
        return ["value", answer]

    def _receive(self, args: list[Any], at: int) -> WorkerStream:
        """A stream among the arguments takes the place of its mark."""
        owner, number = stream_named(args[at])
        source = self.channel.adopt(number) if owner == "yours" else self.channel.read(number)
        if source is None:
            raise CallError(
                "TypeError",
                "This ReadableStream is disturbed (has already been read from), and cannot be used as a body.",
            )
        args[at] = stream = WorkerStream(source)
        return stream

    async def _fetch(
        self,
        event: int,
        method: str,
        url: str,
        headers: list[Any],
        body: bytes | None,
        stream: list[Any] | None,
        redirect: str,
    ) -> list[Any]:
        exchange = self.at_work.ask(event)
        if len(url) > _MAX_URL_CHARACTERS:
            raise FetchError(url[:100], f"the URL has more than {_MAX_URL_CHARACTERS} characters")
        source: Any = body
        if stream is not None:
            owner, number = stream
            source = self.channel.adopt(number) if owner == "yours" else self.channel.read(number)
        span = NO_SPAN if exchange is None else exchange.span
        sockets = self.sockets
        answer = await traced.fetch(
            span, self._outbound, method, url, pairs(headers), source, redirect, sockets.quota, sockets.deflates
        )
        handle: object = self.channel.offer(answer.chunks) if answer.socket is None else None
        if answer.socket is not None:
            handle = ["socket", self.sockets.lend(answer.socket)]
        return [answer.status, answer.status_text, answer.headers, answer.url, answer.redirected, handle]
