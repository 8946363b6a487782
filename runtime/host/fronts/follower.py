"""A front that is not the first: its workers' requests, and the way to the first front for all others."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine, Sequence
from typing import Any

from bindings import products
from bindings.base import Product, ProductContext
from runtime.config import load_host
from runtime.errors import UserError
from runtime.host.addresses import rule
from runtime.host.front import Front, HostOptions, isolates_of
from runtime.host.fronts.following import STARTED, Following
from runtime.host.http.health import HealthMonitor
from runtime.host.http.hostnames import Hostnames
from runtime.host.links import handing
from runtime.host.links.first import AWAY, FirstFront, LentThere, ReadThere
from runtime.host.links.keeper import Keeper, Seat
from runtime.host.place import empty_folder
from runtime.host.store.bundle import Bundles
from runtime.host.store.registry import Registry
from runtime.host.store.secret_box import SecretBox
from runtime.host.versions.packages import Packages
from runtime.supervisor import server
from runtime.supervisor.explorer.feed import FarFeed
from runtime.supervisor.explorer.recorder import Recorder
from runtime.supervisor.explorer.watched import Watched
from runtime.supervisor.http.asgi import Application, Receive, Scope, Send
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.processes import cgroups
from runtime.supervisor.processes.health.stalls import Stalls
from runtime.supervisor.processes.isolates import make_spawner
from runtime.supervisor.processes.parts import Confinement, Parts
from runtime.supervisor.processes.sockets import SocketTables
from runtime.supervisor.server import address, bind
from runtime.supervisor.telemetry.together import plain
from runtime.supervisor.telemetry.tracing import make_tracer
from runtime.supervisor.traces.traces import Traces
from runtime.wire import ChannelClosed


class Follower(Front):
    """``seat``: its place among the fronts. The first front holds the data folder's lock, and has written all there
    is in it."""

    def __init__(self, options: HostOptions, observer: Observer, seat: Seat) -> None:
        self.options, self._seat = options, seat
        observer.several = True
        self._feed = FarFeed(lambda kind, fields: self.first.note("happened", kind, fields))
        observer = Watched(observer, self._feed)
        data = options.data.absolute()
        config = load_host(data / "host.toml")
        sock = bind(options.host, seat.port, shared=True)
        url = address("https" if options.certificate else "http", options.host, sock)
        context = ProductContext(
            data, data / "state", True, observer, url=url, options=options.product_options, config=config
        )
        spawner = make_spawner(clean=True)
        tracer = Recorder(make_tracer("pilot-host", config.pilot.otlp, observer.warn), self._feed)
        super().__init__(sock, context, spawner, observer, tracer, rule(options.allow))
        self.first = FirstFront(self._answer, self._linked)
        self._reader = ReadThere(self.first)
        context.readers.append(self._reader)
        self.traces = Traces(context.readers, tracer)
        context.trace = self.traces.event
        groups, _ = cgroups.claim(f"front{seat.number}-")
        parts = Parts(
            spawner,
            self.outbound,
            self.tell,
            observer.importing,
            lambda worker, why: observer.error(why, worker),
            SocketTables(_nobody, lambda worker, why: observer.error(why, worker)),
            isolates=isolates_of(options),
            confinement=Confinement(empty_folder(data / f"temp-{seat.number}"), groups, options.namespaces),
            limits=options.limits,
        )
        seal = context.seal = SecretBox.of(data / "secrets.key")
        packages = Packages(data / "packages", options.wheelhouse, sweep=False)
        self._registry = Registry(data / "host.db")
        bundles = Bundles(data / "bundles")
        self._fleet = Following(self._registry, bundles, seal, context, parts, observer, self.traces, packages)
        self._fleet.first, context.registry = self.first, self._registry
        context.first = LentThere(self.first)
        self.hostnames = Hostnames(options.domain, (*config.pilot.hosts, *options.hostnames))
        self._health = HealthMonitor(options.limits, observer, self._fleet.give_up)
        self._opened = asyncio.Event()
        self._keeper: Keeper | None = None

    def products(self) -> Sequence[type[Product]]:
        return [product for product in products() if product.fronts in STARTED]

    def application(self) -> Application:
        return self.routed(self._fleet, self._hand)

    def listening(self) -> dict[str, Any]:
        return {**super().listening(), "protocol": handing.HandingProtocol}

    def background(self) -> list[Coroutine[Any, Any, None]]:
        stalls = Stalls(self.observer, self._fleet.deployments)
        return [self._health.keep(self._fleet.deployments), stalls.watch()]

    async def open(self) -> None:
        self._keeper = Keeper(self._seat, self._link, lambda: self.stop("the keeper's end"))
        await self._opened.wait()

    def announce(self) -> None:
        assert self._keeper is not None
        self._keeper.ready()
        self.observer.note(f"front {self._seat.number} serves, too (process {os.getpid()})")

    async def _hand(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is not served here: the connection is the first front's from this request on."""
        left = handing.leave(send)
        if left is None:
            return  # without an answer the connection is closed
        arrival, transport = left
        try:
            await self.first.hand(arrival, transport)
        except (OSError, TimeoutError):
            transport.write(_unavailable())
            transport.close()

    async def _link(self, number: int, sock: socket.socket, connections: socket.socket) -> None:
        await self.first.link(sock, connections)

    async def _linked(self) -> None:
        """The first front is there, for the first time or once more: it may know of other deployments."""
        try:
            self.context.url = await self.first.call("hello", os.getpid())
            await self._fleet.open()
            self._opened.set()
        except (ChannelClosed, TimeoutError):
            return  # it has gone again
        except Exception as error:  # this front would not know what answers: it begins anew
            self.observer.fault(error)
            self.stop("what is deployed cannot be read")

    async def _answer(self, op: str, args: list[Any]) -> object:
        match op:
            case "changed":
                await self._fleet.follow(*args)
            case "left":
                await self._fleet.versions.left(*args)
            case "wanted":
                self._reader.wanted = frozenset(args[0])
                self._feed.look(args[1])
            case "report":
                families = [family for product in self.products() for family in await product.metrics(self.context)]
                counted = {"requests": self.requests.rows(), "families": plain(families)}
                return {"workers": self._fleet.rows(), **counted}
        return None

    async def close(self, left: float) -> None:
        await self._fleet.aclose(left)
        await self.first.aclose()
        if self._keeper is not None:
            self._keeper.close()
        self._registry.close()


async def _nobody(worker: str, method: str, args: Sequence[Any]) -> object:
    raise UserError("keeps no process here", where=worker, remedy="Ask again: the first of the fronts keeps it.")


def follow(options: HostOptions, observer: Observer, seat: Seat) -> None:
    """Blocks until stopped. Raises ``UserError`` when it cannot start."""
    server.run(Follower(options, observer, seat))


def _unavailable() -> bytes:
    body = f"{AWAY}: try again in a moment\n".encode()
    head = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 1\r\nconnection: close\r\n"
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


__all__ = ["Follower", "follow"]
