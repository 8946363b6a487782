"""The first front, as the others reach it; and the bindings of a worker that are called there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from bindings.base import Binding, CallError, HostStream, WorkerStream
from bindings.messages import TraceItem
from runtime.host.links.descriptors import Descriptors
from runtime.host.links.handing import Arrival, passable
from runtime.tracing import current
from runtime.wire import Channel, ChannelClosed, Handler

PATIENCE_S = 20.0  # seconds that the first front has to come back before what needs it fails
AWAY = "the first front of this host is being restarted"


class FirstFront:
    """``handler``: of what it says. ``came()`` is told whenever it is there anew."""

    def __init__(self, handler: Handler, came: Callable[[], Awaitable[None]]) -> None:
        self._handler, self._came = handler, came
        self._channel: Channel | None = None
        self._connections: Descriptors | None = None
        self._there = asyncio.Event()

    async def link(self, sock: socket.socket, connections: socket.socket) -> None:
        """From now on; what it was before is gone."""
        await self.aclose()
        self._channel = await Channel.open(sock, self._handler, on_close=self._there.clear)
        self._connections = Descriptors(connections, lambda message, descriptors: None)
        self._there.set()
        await self._came()

    async def call(self, op: str, *args: object) -> Any:
        """Raises RemoteError, ChannelClosed; TimeoutError: it does not come back."""
        channel = await self._open()
        return await channel.call(op, *args)

    def note(self, op: str, *args: object) -> None:
        """Lost, where it is not there."""
        if self._channel is not None and self._channel.is_open:
            self._channel.note(op, *args)

    async def hand(self, arrival: Arrival, transport: asyncio.Transport) -> None:
        """A client's connection goes on there. Raises OSError, TimeoutError: it cannot."""
        await self._open()
        assert self._connections is not None
        arrival, sock = await passable(arrival, transport)
        with sock:
            await self._connections.send(msgspec.msgpack.encode(arrival), [sock.fileno()])

    async def call_binding(self, id: str, name: str, method: str, args: Sequence[Any]) -> object:
        """As ``Binding.call``, of a version's binding."""
        try:
            channel = await self._open()
            plain, streams = list(args), []
            for at, arg in enumerate(args):
                if isinstance(arg, WorkerStream):
                    plain[at] = None
                    streams.append([at, channel.offer(arg)])
            kind, *answer = await channel.call("binding", id, name, method, plain, streams, dict(current.get().headers))
        except (ChannelClosed, TimeoutError):
            raise CallError("Error", f"env.{name}.{method}: {AWAY}") from None
        return HostStream(channel.read(answer[0]), answer[1]) if kind == "stream" else answer[0]

    async def bindings(self, id: str) -> list[Binding]:
        """Those of a version. Raises as ``call``."""
        return [CalledThere(self, id, *row) for row in await self.call("bindings", id)]

    async def aclose(self) -> None:
        if self._connections is not None:
            self._connections.close()
        if self._channel is not None:
            await self._channel.aclose()

    async def _open(self) -> Channel:
        async with asyncio.timeout(PATIENCE_S):
            while self._channel is None or not self._channel.is_open:
                self._there.clear()
                await self._there.wait()
        return self._channel


class LentThere:
    """As ``bindings.context.FirstFront``."""

    def __init__(self, first: FirstFront) -> None:
        self._first = first

    async def ask(self, key: str, op: str, *args: object) -> Any:
        return await self._first.call("lend", key, op, args)

    def note(self, key: str, op: str, *args: object) -> None:
        self._first.note("lend", key, op, args)

    def binding(self, version: str, name: str) -> Binding:
        return CalledThere(self._first, version, name, "", {}, ("", ""))


class CalledThere:
    """A binding whose calls are the first front's."""

    def __init__(
        self, first: FirstFront, id: str, name: str, client: str, client_args: Mapping[str, Any], about: Sequence[str]
    ) -> None:
        self.name, self.client, self.client_args = name, client, client_args
        self._first, self._id, self._about = first, id, about

    def describe(self) -> tuple[str, str]:
        return self._about[0], self._about[1]

    async def call(self, method: str, args: Sequence[Any]) -> object:
        return await self._first.call_binding(self._id, self.name, method, args)


class ReadThere:
    """A ``TraceReader``: who reads is at the first front."""

    def __init__(self, first: FirstFront) -> None:
        self._first = first
        self.wanted: frozenset[str] = frozenset()

    def wants(self, worker: str) -> bool:
        return worker in self.wanted

    def take(self, worker: str, item: TraceItem) -> None:
        self._first.note("trace", worker, item)


__all__ = ["AWAY", "CalledThere", "FirstFront", "LentThere", "ReadThere"]
