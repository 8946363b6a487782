"""``pilot host``: the process tree of ``pilot dev`` with the sandbox on, for many workers that are deployed to it."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from bindings import products
from bindings.base import ProductContext, RouteHandler
from runtime import VERSION
from runtime.config import load_host
from runtime.errors import UserError
from runtime.host import report
from runtime.host.addresses import rule
from runtime.host.control import account, scripts, secrets, tails
from runtime.host.control.base import ROOT, Control, ControlCall, Entry
from runtime.host.fleet import Fleet
from runtime.host.front import Front, HostOptions, isolates_of
from runtime.host.http.health import HealthMonitor
from runtime.host.http.hostnames import Hostnames
from runtime.host.http.router import WORKER_PREFIX, NotFound
from runtime.host.links.followers import Followers
from runtime.host.links.handing import Arrival, arrive
from runtime.host.links.keeper import Keeper, Seat
from runtime.host.place import check_namespaces, empty_folder, lock_data, tls_context
from runtime.host.store import local_token, restored, tokens
from runtime.host.store.bundle import Bundles
from runtime.host.store.registry import Registry
from runtime.host.store.secret_box import SecretBox
from runtime.host.tails import Tails
from runtime.host.versions.packages import Packages
from runtime.host.worker import at_hand, reach
from runtime.isolate import sandbox
from runtime.supervisor import server
from runtime.supervisor.calls.traced import TracedReach, delivered
from runtime.supervisor.explorer.feed import Feed
from runtime.supervisor.explorer.recorder import KEPT, Recorder
from runtime.supervisor.explorer.routes import Explorer, Served
from runtime.supervisor.explorer.watched import Watched
from runtime.supervisor.http.app import App
from runtime.supervisor.http.asgi import Application
from runtime.supervisor.http.dispatch import Dispatch
from runtime.supervisor.loading import Loading
from runtime.supervisor.observe.base import Banner, Observer
from runtime.supervisor.processes import cgroups
from runtime.supervisor.processes.health.stalls import Stalls
from runtime.supervisor.processes.isolates import make_spawner
from runtime.supervisor.processes.parts import Confinement, Parts
from runtime.supervisor.processes.residence import Residences
from runtime.supervisor.processes.sockets import SocketTables
from runtime.supervisor.server import address, bind
from runtime.supervisor.telemetry.metrics import PATH, Metrics
from runtime.supervisor.telemetry.tracing import make_tracer
from runtime.supervisor.traces.traces import Traces
from runtime.web import Request, Response

_ALL_THAT_IS_LEFT = ROOT + "/{path:path}"  # a product's answer for it comes after that for workers/
MAX_UPLOAD_BYTES = 100_000_000  # bytes of one


class HostServer(Front):
    """Everything under one data directory, which one host at a time may have."""

    def __init__(self, options: HostOptions, observer: Observer, seat: Seat | None = None) -> None:
        self.options, self._seat = options, seat
        observer.several = True
        self._feed, self._spans = Feed(), Feed(KEPT)
        observer = Watched(observer, self._feed, self._spans)
        data = options.data.absolute()
        self._lock = lock_data(data)
        if restored.finish(data):
            observer.note(f"a restore that was cut is complete: {data}")
        if options.namespaces:
            check_namespaces()
        self._cgroups, self._no_cgroups = cgroups.claim()
        self._registry = Registry(data / "host.db")
        config = load_host(data / "host.toml")
        self.hostnames = Hostnames(options.domain, (*config.pilot.hosts, *options.hostnames))
        self._first_token(observer)
        sock = bind(options.host, seat.port, shared=True) if seat else bind(options.host, options.port)
        self.url = address("https" if options.certificate else "http", options.host, sock)
        local_token.announce(self._lock, self.url)
        context = ProductContext(
            data, data / "state", True, observer, url=self.url, options=options.product_options, config=config
        )
        spawner = make_spawner(clean=True)
        tracer = Recorder(make_tracer("pilot-host", config.pilot.otlp, observer.warn), self._spans)
        super().__init__(sock, context, spawner, observer, tracer, rule(options.allow))
        temp = empty_folder(data / "temp")
        self._tails = Tails(options.host, options.tail_port, tls_context(options.certificate, options.key))
        context.readers.append(self._tails)
        self.traces = Traces(context.readers, tracer)
        context.trace = self.traces.event
        residences = Residences(lambda of: self._fleet.resident(of), lambda of: self._fleet.resident_at_hand(of))
        context.reside, context.rehouse = residences, residences.rehouse
        parts = Parts(
            spawner,
            self.outbound,
            self.tell,
            observer.importing,
            lambda worker, why: observer.error(why, worker),
            SocketTables(delivered(self.traces, residences), lambda worker, why: observer.error(why, worker)),
            isolates=isolates_of(options),
            confinement=Confinement(temp, self._cgroups, options.namespaces),
            limits=options.limits,
            reach=TracedReach(
                self.traces, lambda of: reach(self._fleet.workers, of), lambda of: at_hand(self._fleet.workers, of)
            ),
            lasting=TracedReach(self.traces, residences.find, residences.at_hand),
        )
        self._loading = context.load = Loading(parts)
        seal = context.seal = SecretBox.of(data / "secrets.key")
        self._fleet = Fleet(
            self._registry,
            Bundles(data / "bundles"),
            seal,
            context,
            parts,
            observer,
            self.traces,
            Packages(data / "packages", options.wheelhouse),
        )
        self._health = HealthMonitor(options.limits, observer, self._fleet.give_up)
        self._control = Control(self._fleet, observer, self.hostnames)
        self._began = time.monotonic()
        context.admits, context.dispatch = self._control.admits, self._fleet.handle
        context.registry = self._registry
        self._followers = Followers(self._fleet, self.traces, observer, self._arrive, self._feed, self._spans)
        self._tails.told = self._followers.tell_wanted
        self._keeper: Keeper | None = None

    def application(self) -> Application:
        status: Entry = ("GET", ROOT + "/pilot/status", "read", self.status)
        explorer = Explorer(self.context, products(), self._feed, self._spans, self._served)
        entries = [
            status,
            *(("GET", path, "read", _asked(it)) for path, it in {PATH: self._metrics, **explorer.data()}.items()),
            *scripts.ENTRIES,
            *secrets.ENTRIES,
            *account.ENTRIES,
            *tails.entries(self._tails, self.url),
        ]
        routes = [*explorer.files(), *(route for product in products() for route in product.routes(self.context))]
        unknown = [route for route in routes if route.path == _ALL_THAT_IS_LEFT]
        served = [self._control.guard(route) for route in routes if route not in unknown]
        own = [*self._control.routes(entries), *served, *self._control.routes(account.LAST), *unknown]
        nowhere = Dispatch(NotFound(), self.observer, self.requests, self.tracer, public=True)
        app = App(nowhere, ("/",), lambda: own, lambda: MAX_UPLOAD_BYTES, self.hostnames)
        return self.routed(self._fleet, app)

    def background(self) -> list[Coroutine[Any, Any, None]]:
        running = self._loading.beside(self._fleet.deployments)
        stalls = Stalls(self.observer, running)
        shared = [self._followers.keep_wanted()] if self._seat is not None else []
        return [self._health.keep(running), stalls.watch(), self._control.keep_count(), *shared]

    async def open(self) -> None:
        for line in sandbox.available():
            self.observer.warn(line)
        if self._seat is not None:
            self._keeper = Keeper(self._seat, self._followers.link, lambda: self.stop("the keeper's end"))
        await self._fleet.open()
        self._followers.opened.set()

    def announce(self) -> None:
        names = [worker.name for worker in self._fleet.workers.values() if worker.rollout]
        lines = [
            f"{name}   version {self._fleet.workers[name].version}   {self.url}{WORKER_PREFIX}{name}/" for name in names
        ]
        path = str(self.options.data)
        self.observer.banner(Banner(version=VERSION, url=self.url, name="host", config_path=path, remarks=lines))
        self.observer.note(self._walls())
        if self._keeper is not None:
            self._keeper.ready()
            self.observer.note(report.fronts(self.options.fronts))
        self.observer.ready(self.url)

    def _walls(self) -> str:
        apart = ["namespaces (no network, no other process, no path outside)"] if self.options.namespaces else []
        walls = ", ".join([*sandbox.walls(), *apart, *(self._cgroups.walls() if self._cgroups else [])])
        return f"walls around each worker: {walls}. {self._no_cgroups}".rstrip()

    def _first_token(self, observer: Observer) -> None:
        """Without one nobody could do anything: one for commands on this machine, where there is none yet."""
        if any(row.revoked is None for row in self._registry.tokens()):
            return
        data = self.options.data.absolute()
        try:
            tokens.create(self._registry, "first", keep=lambda token: local_token.keep(data, token))
        except (OSError, sqlite3.Error) as error:
            remedy = "Let this user write there, and look whether the disk is full:  df -h"
            raise UserError(f"a first token cannot be kept: {error}", where=str(data), remedy=remedy) from None
        observer.note(f"a first token is in {data / local_token.FILE}: pilot on this machine finds it there")

    async def status(self, call: ControlCall) -> dict[str, Any]:
        """What ``pilot status`` shows."""
        sections = {head: rows for product in products() for head, rows in product.status(self.context).items()}
        others = await self._followers.reports()
        workers = report.workers(self._fleet, f"{self.url}{WORKER_PREFIX}", others)
        if self._seat is not None:
            sections["fronts"] = report.of_fronts(self._fleet, others)
        return {"version": VERSION, "up_s": time.monotonic() - self._began, "workers": workers, **sections}

    async def _metrics(self, request: Request) -> Response:
        others = await self._followers.reports()
        answered = self.requests.with_others([report["requests"] for report in others])
        more = [family for report in others for family in report["families"]]
        return await Metrics(self.context, products(), answered, None, more).show(request)

    async def _arrive(self, arrival: Arrival, sock: socket.socket) -> None:
        """A connection that another front hands over."""
        if self.server is not None and not self.server.should_exit:
            return await arrive(self.server, arrival, sock)
        sock.close()

    def _served(self) -> list[Served]:
        """The first version of each worker's deployment."""
        rollouts = [worker.rollout for worker in self._fleet.workers.values() if worker.rollout is not None]
        return [(one.arms[0].deployment.config, one.arms[0].deployment.bindings) for one in rollouts]

    async def close(self, left: float) -> None:
        until = time.monotonic() + left
        await self._followers.aclose(left)
        left = max(0.0, until - time.monotonic())
        await self._tails.aclose()
        await self._fleet.aclose(left)
        await self._control.write_counts()
        self._registry.close()
        if self._keeper is not None:
            self._keeper.close()
        os.close(self._lock)


def _asked(handler: RouteHandler) -> Callable[[ControlCall], Awaitable[Response]]:
    """A route's handler, for calls with a token."""
    return lambda call: handler(call.request)


def host(options: HostOptions, observer: Observer, seat: Seat | None = None) -> None:
    """Blocks until stopped. Raises ``UserError`` when it cannot start."""
    server.run(HostServer(options, observer, seat))
