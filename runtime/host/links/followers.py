"""The first front's ends of the links: what the other fronts are told, and what they ask."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from bindings import products
from bindings.base import Binding, CallError, HostStream, Lending, WorkerStream
from runtime.host.fleet import Fleet
from runtime.host.links.descriptors import Descriptors
from runtime.host.links.handing import Arrival
from runtime.host.store.rows import VersionRow
from runtime.supervisor.explorer.feed import Feed, Trace, What, told
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.reload.reloader import parse_bindings
from runtime.supervisor.traces.traces import Traces
from runtime.wire import Channel, ChannelClosed, RemoteError

TOLD_S = 60.0  # seconds that a front has to follow a change; one that does not is ended, and begins anew
_TELL_S = 5.0  # seconds that a front has to answer what is no change
_WANTS_INTERVAL_S = 0.5  # seconds between two looks whether somebody reads what becomes of a worker's requests

Arrive = Callable[[Arrival, socket.socket], Awaitable[None]]


class Follower(msgspec.Struct, eq=False):
    """One of the other fronts. ``held``: the bindings of the versions that it runs."""

    number: int
    channel: Channel
    connections: Descriptors
    pid: int = 0
    held: dict[str, dict[str, Binding]] = {}
    wanted: tuple[object, ...] = ()  # as it was told last
    lent: dict[str, Lending] = {}  # by the product's key


class Followers:
    """``arrive(arrival, sock)``: go on with a connection that one of them hands over. ``feed``, ``spans``: what happens
    in them is looked at here."""

    def __init__(
        self, fleet: Fleet, traces: Traces, observer: Observer, arrive: Arrive, feed: Feed, spans: Feed
    ) -> None:
        self._fleet, self._traces, self._observer, self._arrive = fleet, traces, observer, arrive
        self._feed, self._spans = feed, spans
        self._linked: list[Follower] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.opened = asyncio.Event()  # the registry's workers are known
        fleet.changed, fleet.left = self.changed, self.left

    async def link(self, number: int, sock: socket.socket, connections: socket.socket) -> None:
        """With the front of that number, from now on."""
        follower: Follower

        async def answer(op: str, args: list[Any]) -> object:
            return await self._answer(follower, op, args)

        channel = await Channel.open(
            sock, answer, on_note=lambda op, args: self._note(follower, op, args), on_close=lambda: self._lost(follower)
        )
        follower = Follower(number, channel, Descriptors(connections, self._handed))
        self._linked.append(follower)

    async def changed(self, name: str) -> None:
        """The worker's deployment, or its hostnames; "": of every worker. Each front follows before this returns, or is
        ended: none answers with what is no more."""
        await asyncio.gather(*(self._tell(follower, "changed", name) for follower in list(self._linked)))

    async def left(self, name: str) -> None:
        """Until none of them runs a version of this worker that nobody holds."""
        await asyncio.gather(*(_left(follower, name) for follower in list(self._linked)))

    async def keep_wanted(self) -> None:
        """For ever: they are told whose requests somebody reads of."""
        while True:
            await self.tell_wanted()
            await asyncio.sleep(_WANTS_INTERVAL_S)

    async def tell_wanted(self) -> None:
        """Whose requests somebody reads of, and whether the explorer is looked at; they know it once this returns."""
        wanted = [name for name in self._fleet.registry.workers() if self._traces.wanted(name)] if self._linked else []
        looked = self._feed.wanted or self._spans.wanted
        await asyncio.gather(*(_want(follower, wanted, looked) for follower in list(self._linked)))

    async def reports(self) -> list[dict[str, Any]]:
        """What each of them serves, and how it fares."""
        told = await asyncio.gather(*map(self._report, list(self._linked)))
        return [report for report in told if report is not None]

    async def aclose(self, within: float) -> None:
        """They end at the same time, and may need this front until they have."""
        open_ = [follower.channel.closed.wait() for follower in self._linked]
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await asyncio.gather(*open_)
        for follower in list(self._linked):
            await follower.channel.aclose()

    async def _report(self, follower: Follower) -> dict[str, Any] | None:
        with suppress(ChannelClosed, RemoteError, TimeoutError):
            async with asyncio.timeout(_TELL_S):
                told: dict[str, Any] = await follower.channel.call("report")
                return {"number": follower.number, "pid": follower.pid, **told}
        return None

    async def _tell(self, follower: Follower, op: str, name: str) -> None:
        with suppress(ChannelClosed):
            try:
                async with asyncio.timeout(TOLD_S):
                    await follower.channel.call(op, name)
            except (TimeoutError, RemoteError) as error:
                why = str(error) or f"no answer in {TOLD_S:.0f} s"
                self._observer.error(f"front {follower.number} does not follow a change of {name or 'the host'}: {why}")
                if follower.pid:
                    os.kill(follower.pid, signal.SIGKILL)
                await follower.channel.closed.wait()

    async def _answer(self, follower: Follower, op: str, args: list[Any]) -> object:
        await self.opened.wait()
        if op == "hello":
            [follower.pid] = args
            follower.wanted = ()
            return self._fleet.context.url
        if op == "bindings":
            bindings = self._bindings(follower, args[0])
            return [[it.name, it.client, dict(it.client_args), list(it.describe())] for it in bindings.values()]
        if op == "binding":
            return await self._call(follower, *args)
        if op == "lend":
            return await self._lending(follower, args[0]).answer(*args[1:])
        raise LookupError(op)

    def _lending(self, follower: Follower, key: str) -> Lending:
        if (found := follower.lent.get(key)) is None:
            product = next(product for product in products() if product.key == key)
            made = product.lending(self._fleet.context)
            assert made is not None
            found = follower.lent[key] = made
        return found

    def _bindings(self, follower: Follower, id: str) -> dict[str, Binding]:
        if (found := follower.held.get(id)) is None:
            row = self._fleet.registry.version(id)
            if row is None:
                raise CallError("Error", "the version that asks was deleted")
            found = follower.held[id] = self._parsed(row)
        return found

    def _parsed(self, row: VersionRow) -> dict[str, Binding]:
        return {it.name: it for it in parse_bindings(self._fleet.config(row), self._fleet.context)}

    async def _call(
        self,
        follower: Follower,
        id: str,
        name: str,
        method: str,
        args: list[Any],
        streams: list[list[int]],
        trace: dict[str, str],
    ) -> object:
        """One call of a binding. ``streams``: [place among the arguments, number] of each; ``trace``: the headers of
        the span there."""
        sources = [WorkerStream(follower.channel.read(number)) for _, number in streams]
        try:
            for (at, _), source in zip(streams, sources, strict=True):
                args[at] = source
            with self._traces.goes_on(f"env.{name}.{method}", trace):
                answer = await self._bindings(follower, id)[name].call(method, args)
        finally:
            for source in sources:
                await source.aclose()
        if isinstance(answer, HostStream):
            return ["stream", follower.channel.offer(answer.chunks), dict(answer.meta)]
        return ["value", answer]

    def _note(self, follower: Follower, op: str, args: list[Any]) -> None:
        if op == "lend":
            self._lending(follower, args[0]).note(*args[1:])
        elif op == "forget":
            follower.held.pop(args[0], None)
        elif op == "trace":
            self._traces.give(*args)
        elif op == "happened":
            self._happened(told(*args))
        elif op == "failed":
            self._give_up(*args)

    def _happened(self, what: What) -> None:
        if isinstance(what, Trace):
            self._spans.add(what)
        elif self._feed.looked_at:
            self._feed.add(what)

    def _give_up(self, name: str, id: str, why: str) -> None:
        worker = self._fleet.workers.get(name)
        for arm in worker.rollout.arms if worker is not None and worker.rollout is not None else ():
            if arm.row.id == id:
                self._fleet.give_up(arm.deployment, why)

    def _handed(self, message: bytes, descriptors: Sequence[int]) -> None:
        sock = socket.socket(fileno=descriptors[0])
        task = asyncio.create_task(self._go_on(msgspec.msgpack.decode(message, type=Arrival), sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go_on(self, arrival: Arrival, sock: socket.socket) -> None:
        with suppress(OSError):  # its client has gone
            await self._arrive(arrival, sock)

    def _lost(self, follower: Follower) -> None:
        follower.connections.close()
        for lending in follower.lent.values():
            lending.close()
        if follower in self._linked:
            self._linked.remove(follower)


async def _want(follower: Follower, *wanted: object) -> None:
    if follower.wanted != wanted:
        follower.wanted = wanted
        with suppress(ChannelClosed, RemoteError, TimeoutError):
            async with asyncio.timeout(_TELL_S):
                await follower.channel.call("wanted", *wanted)


async def _left(follower: Follower, name: str) -> None:
    with suppress(ChannelClosed, RemoteError):
        await follower.channel.call("left", name)


__all__ = ["Follower", "Followers"]
