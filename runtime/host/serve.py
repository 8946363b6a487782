"""``pilot host``: the process tree of ``pilot dev`` with the sandbox on, for many workers that are deployed to it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
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
from runtime.host.http.health import HealthMonitor
from runtime.host.http.hostnames import Hostnames
from runtime.host.http.proxies import TrustedProxies
from runtime.host.http.router import WORKER_PREFIX, HostRouter, NotFound
from runtime.host.store import local_token, restored, tokens
from runtime.host.store.bundle import Bundles
from runtime.host.store.registry import Registry
from runtime.host.store.secret_box import SecretBox
from runtime.host.tails import Tails
from runtime.host.versions.packages import Packages
from runtime.host.worker import Worker, at_hand, reach
from runtime.isolate import sandbox
from runtime.limits import cpu_count
from runtime.supervisor import server
from runtime.supervisor.calls.traced import TracedReach, delivered
from runtime.supervisor.explorer.feed import Feed
from runtime.supervisor.explorer.recorder import KEPT, Recorder
from runtime.supervisor.explorer.routes import Explorer, Served
from runtime.supervisor.explorer.watched import Watched
from runtime.supervisor.http.app import App
from runtime.supervisor.http.asgi import Application
from runtime.supervisor.http.dispatch import Dispatch
from runtime.supervisor.limits import Limits
from runtime.supervisor.loading import Loading
from runtime.supervisor.observe.base import Banner, Observer
from runtime.supervisor.processes import cgroups
from runtime.supervisor.processes.health.stalls import Stalls
from runtime.supervisor.processes.isolates import is_forking, make_spawner
from runtime.supervisor.processes.parts import Confinement, Parts, Stream
from runtime.supervisor.processes.residence import Residences
from runtime.supervisor.processes.sockets import SocketTables
from runtime.supervisor.server import Supervisor, address, bind
from runtime.supervisor.telemetry.metrics import PATH, Metrics
from runtime.supervisor.telemetry.tracing import make_tracer
from runtime.supervisor.traces.traces import Traces
from runtime.web import Request, Response

_ALL_THAT_IS_LEFT = ROOT + "/{path:path}"  # a product's answer for it comes after that for workers/
MAX_UPLOAD_BYTES = 100_000_000  # bytes of one


@dataclass(frozen=True)
class HostOptions:
    """The command line of ``pilot host``."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8788
    domain: str = "localhost"
    hostnames: tuple[str, ...] = ()  # under which its own routes answer, besides the machine's and ``domain``
    isolates: int = 0  # per version; 0: as many as there are cores, four at most
    limits: Limits = field(default_factory=Limits)
    allow: tuple[str, ...] = ()  # networks that workers may reach besides public addresses
    drain: float = 30
    tail_port: int = 0  # 0: a free one
    certificate: Path | None = None
    key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    wheelhouse: Path | None = None  # a folder of wheels that dependencies come from, instead of an index
    namespaces: bool = False  # of its own for each isolate
    product_options: Mapping[str, object] = field(default_factory=dict)


class HostServer(Supervisor):
    """Everything under one data directory, which one host at a time may have."""

    def __init__(self, options: HostOptions, observer: Observer) -> None:
        self._options = options
        observer.several = True
        self._feed, self._spans = Feed(), Feed(KEPT)
        observer = Watched(observer, self._feed, self._spans)
        data = options.data.absolute()
        self._lock = _lock_data(data)
        if restored.finish(data):
            observer.note(f"a restore that was cut is complete: {data}")
        if options.namespaces:
            _check_namespaces()
        self._cgroups, self._no_cgroups = cgroups.claim()
        self._registry = Registry(data / "host.db")
        config = load_host(data / "host.toml")
        self._hostnames = Hostnames(options.domain, (*config.pilot.hosts, *options.hostnames))
        self._first_token(observer)
        sock = bind(options.host, options.port)
        self.url = address("https" if options.certificate else "http", options.host, sock)
        local_token.announce(self._lock, self.url)
        context = ProductContext(
            data, data / "state", True, observer, url=self.url, options=options.product_options, config=config
        )
        spawner = make_spawner(clean=True)
        tracer = Recorder(make_tracer("pilot-host", config.pilot.otlp, observer.warn), self._spans)
        super().__init__(sock, context, spawner, observer, tracer, rule(options.allow))
        temp = _empty_folder(data / "temp")
        self._tails = Tails(options.host, options.tail_port, _tls(options))
        context.readers.append(self._tails)
        self._traces = Traces(context.readers, tracer)
        context.trace = self._traces.event
        residences = Residences(lambda of: self._fleet.resident(of), lambda of: self._fleet.resident_at_hand(of))
        context.reside, context.rehouse = residences, residences.rehouse
        parts = Parts(
            spawner,
            self.outbound,
            self._tell,
            observer.importing,
            lambda worker, why: observer.error(why, worker),
            SocketTables(delivered(self._traces, residences), lambda worker, why: observer.error(why, worker)),
            isolates=options.isolates or min(cpu_count(), 4),
            confinement=Confinement(temp, self._cgroups, options.namespaces),
            limits=options.limits,
            reach=TracedReach(
                self._traces, lambda of: reach(self._fleet.workers, of), lambda of: at_hand(self._fleet.workers, of)
            ),
            lasting=TracedReach(self._traces, residences.find, residences.at_hand),
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
            self._traces,
            Packages(data / "packages", options.wheelhouse),
        )
        self._keeper = HealthMonitor(options.limits, observer, self._fleet.give_up)
        self._control = Control(self._fleet, observer, self._hostnames)
        self._began = time.monotonic()
        context.admits, context.dispatch = self._control.admits, self._fleet.handle
        context.registry = self._registry

    @property
    def drain(self) -> float:
        return self._options.drain

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
        app = App(nowhere, own, lambda: MAX_UPLOAD_BYTES, self._hostnames)

        def dispatch(worker: Worker) -> Dispatch:
            return Dispatch(worker, self.observer, self.requests, self.tracer, public=True, worker=worker.name)

        front = HostRouter(self._fleet, app, self._hostnames, dispatch)
        return TrustedProxies(front, self._options.trusted_proxies) if self._options.trusted_proxies else front

    def background(self) -> list[Coroutine[Any, Any, None]]:
        running = self._loading.beside(self._fleet.deployments)
        stalls = Stalls(self.observer, running)
        return [self._keeper.keep(running), stalls.watch(), self._control.keep_count()]

    def listening(self) -> dict[str, Any]:
        certificate, key = self._options.certificate, self._options.key
        tls = {"ssl_certfile": certificate, "ssl_keyfile": key} if certificate else {}
        return {**tls, "proxy_headers": False}  # uvicorn would trust every process of this machine

    async def open(self) -> None:
        for line in sandbox.available():
            self.observer.warn(line)
        await self._fleet.open()

    def announce(self) -> None:
        names = [worker.name for worker in self._fleet.workers.values() if worker.rollout]
        lines = [
            f"{name}   version {self._fleet.workers[name].version}   {self.url}{WORKER_PREFIX}{name}/" for name in names
        ]
        path = str(self._options.data)
        self.observer.banner(Banner(version=VERSION, url=self.url, name="host", config_path=path, remarks=lines))
        self.observer.note(self._walls())
        self.observer.ready(self.url)

    def _walls(self) -> str:
        apart = ["namespaces (no network, no other process, no path outside)"] if self._options.namespaces else []
        walls = ", ".join([*sandbox.walls(), *apart, *(self._cgroups.walls() if self._cgroups else [])])
        return f"walls around each worker: {walls}. {self._no_cgroups}".rstrip()

    def _first_token(self, observer: Observer) -> None:
        """Without one nobody could do anything: one for commands on this machine, where there is none yet."""
        if any(row.revoked is None for row in self._registry.tokens()):
            return
        data = self._options.data.absolute()
        try:
            tokens.create(self._registry, "first", keep=lambda token: local_token.keep(data, token))
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"a first token cannot be kept: {error}", where=str(data)) from None
        observer.note(f"a first token is in {data / local_token.FILE}: pilot on this machine finds it there")

    def _tell(self, worker: str, stream: Stream, line: str) -> None:
        self.observer.worker_output(worker, stream, self._traces.printed(worker, stream, line))

    async def status(self, call: ControlCall) -> dict[str, Any]:
        """What ``pilot status`` shows."""
        sections = {head: rows for product in products() for head, rows in product.status(self.context).items()}
        workers = report.workers(self._fleet, f"{self.url}{WORKER_PREFIX}")
        return {"version": VERSION, "up_s": time.monotonic() - self._began, "workers": workers, **sections}

    async def _metrics(self, request: Request) -> Response:
        return await Metrics(self.context, products(), self.requests, None).show(request)

    def _served(self) -> list[Served]:
        """The first version of each worker's deployment."""
        rollouts = [worker.rollout for worker in self._fleet.workers.values() if worker.rollout is not None]
        return [(one.arms[0].deployment.config, one.arms[0].deployment.bindings) for one in rollouts]

    async def close(self, left: float) -> None:
        await self._tails.aclose()
        await self._fleet.aclose(left)
        await self._control.write_counts()
        self._registry.close()
        os.close(self._lock)


def _asked(handler: RouteHandler) -> Callable[[ControlCall], Awaitable[Response]]:
    """A route's handler, for calls with a token."""
    return lambda call: handler(call.request)


def _lock_data(data: Path) -> int:
    """A lock on the data directory for as long as this process lives. Raises UserError."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(data / local_token.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(f"cannot be used: {error.strerror}", where=str(data), remedy="--data FOLDER") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UserError("another host serves from it", where=str(data), remedy="--data FOLDER") from None
    return lock


def _check_namespaces() -> None:
    """Raises UserError."""
    missing = sandbox.namespaces.missing() if is_forking() else "isolates are no forks here (PILOT_SPAWN)"
    if missing:
        remedy = (
            "Allow user namespaces (sysctl user.max_user_namespaces; a container's seccomp profile), or leave it out."
        )
        raise UserError(f"not to be had here: {missing}", where="--namespaces", remedy=remedy)


def _tls(options: HostOptions) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(options.certificate, options.key)
    return tls


def _empty_folder(folder: Path) -> Path:
    """What isolates of an earlier life left behind is gone."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def host(options: HostOptions, observer: Observer) -> None:
    """Blocks until stopped. Raises ``UserError`` when it cannot start."""
    server.run(HostServer(options, observer))
